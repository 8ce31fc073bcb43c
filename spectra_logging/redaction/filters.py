"""A filter that scrubs records on their way to handlers of your own."""

from __future__ import annotations

import copy
import functools
import logging
import sys

from spectra_logging.exc_info import exc_info_triple, traceback_text
from spectra_logging.redaction.keys import is_secret_key
from spectra_logging.redaction.registry import REDACTED
from spectra_logging.redaction.text import redact_text
from spectra_logging.redaction.values import redact_value
from spectra_logging.values import safe_text

__all__ = ["RedactionFilter"]

_STANDARD_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}

# Handlers take a filter's replacement record since Python 3.12.
_FILTERS_MAY_REPLACE = sys.version_info >= (3, 12)


class RedactionFilter(logging.Filter):
    """Scrubs message, arguments, extras and exception text of each record that passes.

    Attach it to a handler, by ``addFilter`` or in a ``dictConfig``::

        "filters": {"redact": {"()": "spectra_logging.redaction.RedactionFilter"}},
        "handlers": {"file": {"class": "logging.FileHandler", "filters": ["redact"], ...}},

    Since Python 3.12 a record that holds a secret is replaced by a scrubbed copy for this handler
    alone. Python 3.10 and 3.11 can't replace a record, so there the record itself is scrubbed:
    handlers after this one see the scrubbed record too. A record without secrets is left alone.
    """

    def filter(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Pass the record on, scrubbed."""
        changes = self._changes(record)
        if not changes:
            return True
        if _FILTERS_MAY_REPLACE:
            record = copy.copy(record)
        record.__dict__.update(changes)
        if "message" in changes and type(record).getMessage is not logging.LogRecord.getMessage:
            # str.format would take braces in what is a finished message for placeholders.
            record.__class__ = _of_finished_message(type(record))  # type: ignore[arg-type]
        return record if _FILTERS_MAY_REPLACE else True

    def _changes(self, record: logging.LogRecord) -> dict[str, object]:
        changes = _changes_of_message(record)
        for name, value in record.__dict__.items():
            if name not in _STANDARD_ATTRIBUTES:
                # extra= takes any key
                hidden = is_secret_key(safe_text(name)) and value is not None
                changes |= _changed(name, value, REDACTED if hidden else redact_value(value))
        if record.stack_info:
            changes |= _changed("stack_info", record.stack_info, redact_value(record.stack_info))
        if (text := _redacted_traceback(record.exc_info)) is not None:
            # Formatters that don't know exc_text would print exc_info as it is.
            changes |= {"exc_text": text, "exc_info": None}
        elif record.exc_text:
            changes |= _changed("exc_text", record.exc_text, redact_value(record.exc_text))
        return changes


@functools.cache
def _of_finished_message(record_class: type[logging.LogRecord]) -> type[logging.LogRecord]:
    """The class with logging's own way to the message; what else formatters may ask for is kept."""
    own = {
        "__slots__": (),  # Else a record could not change to it.
        "getMessage": logging.LogRecord.getMessage,
        # What crosses to another process finds no such class there.
        "__reduce__": lambda record: (logging.makeLogRecord, (record.__dict__,)),
    }
    return type(record_class.__name__, (record_class,), own)


def _changes_of_message(record: logging.LogRecord) -> dict[str, object]:
    is_text = isinstance(record.msg, str)
    if is_text or record.args:
        message = _message(record)
        redacted = redact_text(message)
        if redacted is not message:
            return {"msg": redacted, "message": redacted, "args": ()}
    changes: dict[str, object] = {}
    if not is_text:
        changes |= _changed("msg", record.msg, _redacted_message(record.msg))
    if record.args:
        changes |= _changed("args", record.args, redact_value(record.args))
    return changes


def _redacted_message(message: object) -> object:
    redacted = redact_value(message)
    if isinstance(redacted, dict) and "exc_info" in redacted:
        # An event dict of structlog, whose exception is rendered only behind this filter.
        text = _redacted_traceback(redacted["exc_info"])
        if text is not None:
            redacted = {name: item for name, item in redacted.items() if name != "exc_info"}
            redacted["exception"] = text
    return redacted


def _redacted_traceback(exc_info: object) -> str | None:
    """The traceback without the secrets it holds; ``None`` when it holds none."""
    triple = exc_info_triple(exc_info)
    if triple is None:
        return None
    text = traceback_text(triple)
    redacted = redact_text(text)
    return None if redacted is text else redacted


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - wrong arguments are the formatter's to report
        return safe_text(record.msg)


def _changed(name: str, old: object, new: object) -> dict[str, object]:
    return {} if new is old else {name: new}
