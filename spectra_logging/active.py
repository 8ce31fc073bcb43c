"""What is active where a log call is made: context variables, and OpenTelemetry's span."""

from __future__ import annotations

import contextvars
import os
import sys
from collections.abc import Callable, Sized

__all__ = ["active_context", "current_trace_ids"]

active_context: Callable[[], Sized] = contextvars.copy_context
"""Empty where nothing is bound and no span is active; in a program without either, always."""

if "OTEL_PYTHON_CONTEXT" in os.environ:
    # OpenTelemetry may keep its active span elsewhere.
    def active_context() -> Sized:
        """Never empty: what is elsewhere can't be seen here."""
        return (None,)


def current_trace_ids() -> tuple[str, str] | None:
    """The active span's trace id (32 hex digits) and span id (16).

    Never imports OpenTelemetry: a process that hasn't loaded it has no active span.

    Returns:
        The two ids; ``None`` when OpenTelemetry is not loaded or no valid span is active.
    """
    opentelemetry_trace = sys.modules.get("opentelemetry.trace")
    # Most often nothing is active, and to ask for all that may be takes a third of the time.
    if opentelemetry_trace is None or not sys.modules["opentelemetry.context"].get_current():
        return None
    context = opentelemetry_trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"
