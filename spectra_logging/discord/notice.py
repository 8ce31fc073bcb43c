"""A notice: one or many equal records, frozen on the caller's thread in microseconds."""

from __future__ import annotations

import contextvars
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from structlog.contextvars import get_contextvars

from spectra_logging.active import active_context, current_trace_ids
from spectra_logging.activity import ACTIVITY_LOGGER, FAILED, RECORD
from spectra_logging.exc_info import ExcInfo, exc_info_triple
from spectra_logging.frozen_error import FrozenError
from spectra_logging.record.encoder import RowEncoder, has_its_own_message
from spectra_logging.record.rules import NO_FIELDS, names_of_extras
from spectra_logging.tables import EVENT_LOG
from spectra_logging.values import safe_text

__all__ = ["Key", "Notice", "bound_fields", "execution_id_of", "freeze", "key_of"]

COMPARED_CHARACTERS = 500
_FIXED_COST_BYTES = 500
_ATTRIBUTES_COST_BYTES = 1500
_IMMUTABLE = frozenset({int, float, bool, type(None)})
"""Beside text."""

# What differs from one telling of the same to the next: addresses of objects, and UUIDs.
_VARYING = re.compile(r"0x[0-9a-fA-F]{6,16}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_encoder = RowEncoder(EVENT_LOG)


class Key(NamedTuple):
    """What makes records equal.

    Attributes:
        levelno: Their level.
        logger: Their logger.
        text: The beginning of their message; for the record of a run its status.
        error: Class and beginning of the words of their exception.
        execution_id: The session they were logged in.
        is_run: Whether it is the record of a run's end.
    """

    levelno: int
    logger: str
    text: str
    error: str
    execution_id: str | None
    is_run: bool

    @property
    def failed(self) -> bool:
        """For the record of a run: whether the run failed."""
        return self.text == FAILED


@dataclass(eq=False, slots=True)
class Notice:
    """One or many equal records.

    Args:
        key: What makes them equal.
        said: What the first of them said: the attributes of the record where none of them can
            change any more, else its row as a line of JSON.
        error: Its exception.
        created_at: When it was logged, in seconds since 1970.
        size: About what the notice takes up, in bytes.
        number: Its place in the order of notices.
        count: How many records it stands for.
        last_at: When the last was logged.
        due_at_seconds: When it is to be sent, on the monotonic clock.
        is_repeat: Whether a message of the same words was sent before.
        along: For the record of a run: what the session logged before.
        attempts: How often a server was too busy to take it.
    """

    key: Key
    said: dict[str, Any] | bytes
    error: FrozenError | None
    created_at: float
    size: int
    number: int = 0
    count: int = 1
    last_at: float = 0.0
    due_at_seconds: float = 0.0
    is_repeat: bool = False
    along: tuple[Notice, ...] = ()
    attempts: int = 0

    @property
    def total(self) -> int:
        """Records it stands for, those taken along included."""
        return self.count + (sum(notice.count for notice in self.along) if self.along else 0)

    def row(self) -> dict[str, Any]:
        """What the first of them said, without secrets, as a row of ``log.events`` would."""
        line = self.said
        if not isinstance(line, bytes):
            # What is bound where this is called is not what was bound where it was logged.
            record = _record_of(line)
            line = contextvars.Context().run(_encoder.encode, record, becomes_familiar=False)
        row: dict[str, Any] = msgspec.json.decode(line)
        return row


def bound_fields() -> Mapping[str, Any]:
    """What is bound with ``structlog.contextvars`` where this is called."""
    return get_contextvars() if len(active_context()) else _NOTHING


def key_of(record: logging.LogRecord, bound: Mapping[str, Any], exc_info: ExcInfo | None) -> Key:
    """What the record has in common with its equals; cheap enough for each of a storm.

    Args:
        record: The record.
        bound: What was bound when it was logged.
        exc_info: Its exception.
    """
    fields = record.__dict__
    message, args = record.msg, record.args
    execution_id = execution_id_of(record, bound)
    error = _described(exc_info) if exc_info else ""
    if isinstance(message, dict):
        error = error or _error_of(message.get("exc_info") or message.get("exception"))
        message = message.get("event")
    if record.name == ACTIVITY_LOGGER and message == RECORD and "activity_id" in fields:
        status = safe_text(fields.get("status"))
        return Key(record.levelno, record.name, status, "", execution_id, True)
    text = _own_text_of(record) if has_its_own_message(record) else _text_of(message, args)
    text, error = _comparable(text), _comparable(error) if error else ""
    # A named tuple's own constructor takes twice as long.
    return tuple.__new__(Key, (record.levelno, record.name, text, error, execution_id, False))


def execution_id_of(record: logging.LogRecord, bound: Mapping[str, Any]) -> str | None:
    """The session that a record was logged in; ``None`` outside of one."""
    execution_id = record.__dict__.get("execution_id")
    if execution_id is None and isinstance(record.msg, dict):
        # structlog's event dict, on its way to a formatter.
        execution_id = record.msg.get("execution_id")
    if execution_id is None:
        execution_id = bound.get("execution_id")
    return None if execution_id is None else safe_text(execution_id)


def _text_of(message: object, args: Any) -> str:
    text = message if isinstance(message, str) else safe_text(message)
    if args:
        try:
            return str(text % args)
        except Exception:  # noqa: BLE001 - arguments that don't fit are the encoder's to tell
            return text
    return text


def _own_text_of(record: logging.LogRecord) -> str:
    try:
        return safe_text(record.getMessage())
    except Exception:  # noqa: BLE001 - what its method raises is the encoder's to tell
        return safe_text(record.msg)


def _error_of(exc_info: Any) -> str:
    if isinstance(exc_info, str):
        return exc_info[-COMPARED_CHARACTERS:]
    triple = exc_info_triple(exc_info)
    return _described(triple) if triple else ""


def _described(exc_info: ExcInfo) -> str:
    return f"{type(exc_info[1]).__name__}: {safe_text(exc_info[1])}"


def _comparable(text: str) -> str:
    text = text[:COMPARED_CHARACTERS]
    return _VARYING.sub("*", text) if "0x" in text or text.count("-") > 3 else text


def freeze(
    record: logging.LogRecord,
    key: Key,
    bound: Mapping[str, Any],
    exc_info: ExcInfo | None,
) -> Notice:
    """The notice of one record; what the caller changes from now on changes nothing in it.

    Rendering a traceback and encoding a row take longer than all the rest: the sender does them,
    for records that hold nothing which may be another by then. Few hold anything else.

    Args:
        record: The record.
        key: Its key.
        bound: What was bound when it was logged.
        exc_info: Its exception.
    """
    fields = record.__dict__.copy()
    error = None
    if exc_info is not None:
        error = FrozenError.freeze(exc_info)
        fields["exc_info"] = fields["exc_text"] = None
    said: dict[str, Any] | bytes = fields
    is_whole = bound is _NOTHING or _take_bound(fields, bound)
    if has_its_own_message(record):
        is_whole = False  # only its class can read it
    size = _size_if_immutable(fields) if is_whole else None
    if size is None:
        said = _encoder.encode(_record_of(fields, type(record)), becomes_familiar=False)
        size = len(said)
    return Notice(
        key=key,
        said=said,
        error=error,
        created_at=record.created,
        last_at=record.created,
        size=_FIXED_COST_BYTES + size + (error.size if error else 0),
    )


def _take_bound(fields: dict[str, Any], bound: Mapping[str, Any]) -> bool:
    """Add what is bound to a record's attributes; ``False`` where that is the encoder's to do."""
    if "_name" in fields or not NO_FIELDS.isdisjoint(bound):
        return False
    for name, value in bound.items():
        fields.setdefault(name, value)
    if (ids := current_trace_ids()) is not None:
        for name, value in zip(("trace_id", "span_id"), ids, strict=True):
            if fields.get(name) is None:
                fields[name] = value
    return True


def _size_if_immutable(fields: dict[str, Any]) -> int | None:
    """About how many bytes a record's attributes take up; ``None`` if one could yet change.

    Where the call was made is texts and numbers, and short.
    """
    message, args = fields["msg"], fields["args"]
    if message.__class__ is not str or not (args.__class__ is tuple or not args):
        return None
    values = [fields[name] for name in names_of_extras(fields)]
    if args:
        values += args
    if fields["exc_text"] or fields["stack_info"]:
        values += (fields["exc_text"], fields["stack_info"])
    size = _ATTRIBUTES_COST_BYTES + len(message)
    for value in values:
        if value.__class__ is str:
            size += len(value)
        elif value.__class__ not in _IMMUTABLE:
            return None
    return size


def _record_of(
    fields: dict[str, Any], kind: type[logging.LogRecord] = logging.LogRecord
) -> logging.LogRecord:
    # Not by makeLogRecord(), which asks the program's own factory.
    record = object.__new__(kind)
    record.__dict__ = fields
    return record
