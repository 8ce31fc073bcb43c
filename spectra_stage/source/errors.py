"""Errors that a stage comes across: told as log lines, and counted in ``session.result``."""

from __future__ import annotations

from spectra_logging.session import ErrorSummary, NotebookSession
from spectra_stage.errors import SourceSystemError

__all__ = ["collect"]


def collect(session: NotebookSession, error: SourceSystemError, *, critical: bool = False) -> None:
    """Count an error in ``session.result["errors"]`` and log it.

    Args:
        session: The stage's session.
        error: What happened.
        critical: Whether the stage can't go on, which is logged as CRITICAL; else WARNING.
    """
    summary: ErrorSummary = session.result["errors"]
    summary["total_errors"] += 1
    summary["critical_errors"] += critical
    for counts, name in (
        (summary["errors_by_category"], error.category),
        (summary["errors_by_code"], error.code),
        (summary["errors_by_type"], type(error).__name__),
    ):
        counts[name] = counts.get(name, 0) + 1
    summary["has_retryable_errors"] |= error.retryable
    tell = session.log.critical if critical else session.log.warning
    tell(
        str(error),
        error_category=error.category,
        error_code=error.code,
        error_type=type(error).__name__,
        retryable=error.retryable,
    )
