"""structlog processors: what ``configure()`` puts into its chain, usable in a chain of your own."""

from __future__ import annotations

import sys

from structlog.typing import EventDict, WrappedLogger

from spectra_logging.redaction import redact_value

__all__ = ["add_trace_ids", "current_trace_ids", "redact", "resolve_exc_info"]


def redact(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Hide registered secrets and the values under secret keys, in the event and every field.

    Put it before the renderer. Exceptions that are not rendered yet pass as they are: handlers of
    this package scrub the traceback's text, and so does :func:`configure`'s console.
    """
    redacted = redact_value(event_dict)
    return redacted if isinstance(redacted, dict) else event_dict


def resolve_exc_info(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Turn ``exc_info=True`` and ``exc_info=error`` into the triple the stdlib uses.

    ``True`` means the exception handled *here and now*; on the far side of a queue another thread
    would find none. Without an exception to report the key goes.
    """
    if "exc_info" not in event_dict:
        return event_dict
    exc_info = event_dict["exc_info"]
    if isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    elif exc_info and not isinstance(exc_info, tuple):
        exc_info = sys.exc_info()
    if exc_info and exc_info[0] is not None:
        event_dict["exc_info"] = exc_info
    else:
        del event_dict["exc_info"]
    return event_dict


def add_trace_ids(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Add ``trace_id`` and ``span_id`` of the active OpenTelemetry span, unless they are there.

    :class:`~spectra_logging.handlers.delta.DeltaHandler` does so by itself; this is for other
    renderers. Without OpenTelemetry, or outside of a span, nothing is added.
    """
    ids = current_trace_ids()
    if ids is not None:
        event_dict.setdefault("trace_id", ids[0])
        event_dict.setdefault("span_id", ids[1])
    return event_dict


def current_trace_ids() -> tuple[str, str] | None:
    """The active span's trace id (32 hex digits) and span id (16).

    Never imports OpenTelemetry: a process that hasn't loaded it has no active span.

    Returns:
        The two ids; ``None`` when OpenTelemetry is not loaded or no valid span is active.
    """
    opentelemetry_trace = sys.modules.get("opentelemetry.trace")
    if opentelemetry_trace is None:
        return None
    context = opentelemetry_trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"
