"""What a session has come to so far: ``session.result``."""

from __future__ import annotations

from typing import Any, TypedDict

from spectra_logging.activity import SUCCESS

__all__ = ["ErrorSummary", "SessionResult", "new_result"]


class ErrorSummary(TypedDict):
    """Errors that a stage collected and survived, counted."""

    total_errors: int
    critical_errors: int
    errors_by_category: dict[str, int]
    errors_by_code: dict[str, int]
    errors_by_type: dict[str, int]
    has_retryable_errors: bool


class SessionResult(TypedDict):
    """What a session has come to so far.

    ``status`` is Success until the stage failed. ``capabilities`` are the names of what the run
    established, in order. ``error`` is the first failure in words. ``validation`` is what a
    validation returned, with ``valid`` among its keys.
    """

    status: str
    capabilities: list[str]
    error: str | None
    errors: ErrorSummary
    validation: dict[str, Any] | None


def new_result() -> SessionResult:
    """The result of a session in which nothing has happened yet."""
    return {
        "status": SUCCESS,
        "capabilities": [],
        "error": None,
        "errors": {
            "total_errors": 0,
            "critical_errors": 0,
            "errors_by_category": {},
            "errors_by_code": {},
            "errors_by_type": {},
            "has_retryable_errors": False,
        },
        "validation": None,
    }
