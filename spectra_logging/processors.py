"""structlog processors that ``configure()`` and sessions put into their chains, for yours too."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import cast

from structlog.typing import EventDict, WrappedLogger

from spectra_logging.active import current_trace_ids
from spectra_logging.exc_info import exc_info_triple
from spectra_logging.redaction import redact_text, redact_value
from spectra_logging.values import free_name, safe_text

__all__ = [
    "add_record_origin",
    "add_trace_ids",
    "brief_activity",
    "fill_in_arguments",
    "redact",
    "resolve_exc_info",
]

_BRIEF = frozenset(
    {
        *("event", "timestamp", "level", "logger", "exception", "execution_id", "status"),
        *("entity_name", "target_table", "row_count", "duration_seconds"),
        *("capabilities", "error_type", "error_message"),
    }
)
"""What is shown of a row of the activity log, which has three dozen columns."""

# Other programs have activities with an id, too.
_OF_ACTIVITY = frozenset({"activity_id", "execution_id", "notebook_name", "sdk_version"})
"""What every row has that a session logs."""

# Put into the event dict by structlog for its own use; no fields of the caller's.
_NO_FIELDS = ("exc_info", "_record", "_from_structlog")


def redact(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Hide registered secrets and the values under secret keys, in the event and every field.

    Put it behind everything that adds to the event dict, and behind ``format_exc_info``: what a
    later processor makes of ``exc_info`` is not scrubbed.
    """
    own = {name: event_dict.pop(name) for name in _NO_FIELDS if name in event_dict}
    redacted = cast("EventDict", redact_value(event_dict))
    redacted.update(own)
    return redacted


def fill_in_arguments(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Fill positional arguments into the event, as ``logging`` does, and never raise.

    structlog's ``PositionalArgumentsFormatter`` raises into the caller when arguments and
    placeholders don't match. Here the event then stays as it is, with the arguments and the error
    beside it as ``args`` and ``logging_error``.
    """
    arguments = event_dict.pop("positional_args", ())
    if not arguments:
        return event_dict
    # Records of the stdlib hold a single mapping as it is, structlog a tuple of one.
    if isinstance(arguments, tuple) and len(arguments) == 1 and isinstance(arguments[0], Mapping):
        arguments = arguments[0] or arguments
    try:
        event_dict["event"] = str(event_dict["event"]) % arguments
    except Exception as error:  # noqa: BLE001 - whatever the arguments raise
        event_dict[free_name("args", event_dict)] = arguments
        event_dict[free_name("logging_error", event_dict)] = (
            f"{type(error).__name__}: {safe_text(error)}"
        )
    return event_dict


def resolve_exc_info(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Turn ``exc_info=True`` and ``exc_info=error`` into the triple the stdlib uses.

    ``True`` means the exception handled *here and now*; on the far side of a queue another thread
    would find none. Without an exception to report the key goes.
    """
    if "exc_info" not in event_dict:
        return event_dict
    exc_info = exc_info_triple(event_dict["exc_info"])
    if exc_info is not None:
        event_dict["exc_info"] = exc_info
    else:
        del event_dict["exc_info"]
    return event_dict


def add_trace_ids(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Add ``trace_id`` and ``span_id`` of the active OpenTelemetry span, unless they are there.

    :class:`~spectra_logging.handlers.delta.DeltaHandler` does so by itself; this is for other
    renderers, and for records that cross a queue to a thread where no span is active.
    """
    ids = current_trace_ids()
    # In a trace that the caller names, there is no such span.
    if ids is not None and event_dict.setdefault("trace_id", ids[0]) == ids[0]:
        event_dict.setdefault("span_id", ids[1])
    return event_dict


def add_record_origin(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Add ``timestamp``, ``level`` and ``logger`` of the log record that carries the event.

    For chains of structlog's ``ProcessorFormatter``. The time is that of the log call, in UTC,
    not that of formatting, which a queue may delay; of a record whose ``created`` is no moment it
    is that of formatting after all.
    """
    record: logging.LogRecord = event_dict["_record"]
    try:
        time = datetime.fromtimestamp(record.created, timezone.utc)
    except (TypeError, ValueError, OverflowError, OSError):
        time = datetime.now(timezone.utc)
    event_dict["timestamp"] = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event_dict["level"] = record.levelname.lower()
    event_dict["logger"] = redact_text(safe_text(record.name))
    return event_dict


def brief_activity(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Keep of a row of the activity log what a person at a console reads; the table has it all.

    Other records stay as they are. For chains of structlog's ``ProcessorFormatter``, or any other
    renderer of what a session logs.
    """
    if not event_dict.keys() >= _OF_ACTIVITY:
        return event_dict
    return {
        name: value
        for name, value in event_dict.items()
        if name in _BRIEF or name.startswith("_") or name in _NO_FIELDS
    }
