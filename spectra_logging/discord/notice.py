"""A notice: one or many equal records, frozen on the caller's thread in microseconds."""

from __future__ import annotations

import contextvars
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from structlog.contextvars import get_contextvars

from spectra_logging.activity import ACTIVITY_LOGGER, FAILED, RECORD
from spectra_logging.exc_info import ExcInfo, exc_info_triple
from spectra_logging.frozen_error import FrozenError
from spectra_logging.record import RowEncoder
from spectra_logging.record.rules import NO_FIELDS
from spectra_logging.tables import EVENT_LOG, TableSpec
from spectra_logging.values import safe_text

__all__ = ["NOTICE", "Key", "Notice", "bound_fields", "execution_id_of", "freeze", "key_of"]

NOTICE = TableSpec(
    name="discord.notice",
    json_column="context",
    columns=tuple(column for column in EVENT_LOG.columns if column.name != "execution_id"),
)
"""``log.events`` with the session among the other fields: its records stay familiar to the encoder
so, which takes a third of the time for them."""

COMPARED_CHARACTERS = 500
_FIXED_COST_BYTES = 500
# What differs from one telling of the same to the next: addresses of objects, and UUIDs.
_VARYING = re.compile(r"0x[0-9a-fA-F]{6,16}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_copy_context = contextvars.copy_context
_NOTHING: Mapping[str, Any] = MappingProxyType({})


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
        row: The first of them as a row of :data:`NOTICE`: a line of JSON, as a journal has it.
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
    row: bytes
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


def bound_fields() -> Mapping[str, Any]:
    """What is bound with ``structlog.contextvars`` where this is called."""
    return get_contextvars() if len(_copy_context()) else _NOTHING


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
    return Key(
        record.levelno,
        record.name,
        _comparable(_text_of(message, args)),
        _comparable(error) if error else "",
        execution_id,
        False,
    )


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


def _error_of(exc_info: Any) -> str:
    if isinstance(exc_info, str):
        return exc_info[-COMPARED_CHARACTERS:]
    triple = exc_info_triple(exc_info)
    return _described(triple) if triple else ""


def _described(exc_info: ExcInfo) -> str:
    return f"{exc_info[0].__name__}: {safe_text(exc_info[1])}"


def _comparable(text: str) -> str:
    text = text[:COMPARED_CHARACTERS]
    return _VARYING.sub("*", text) if "0x" in text or text.count("-") > 3 else text


def freeze(
    record: logging.LogRecord,
    key: Key,
    encoder: RowEncoder,
    bound: Mapping[str, Any],
    exc_info: ExcInfo | None,
) -> Notice:
    """The notice of one record; what the caller changes from now on changes nothing in it.

    Args:
        record: The record.
        key: Its key.
        encoder: What makes rows of :data:`NOTICE`.
        bound: What was bound when it was logged.
        exc_info: Its exception.
    """
    error = None
    if "_name" in record.__dict__:
        bound = _NOTHING  # structlog's event dict has it already
    if exc_info is not None or bound:
        # The encoder is fast with what is nothing special. Rendering the traceback takes ten times
        # as long as all the rest: the sender does it. What is bound goes as extras.
        fields = record.__dict__.copy()
        if exc_info is not None:
            error = FrozenError.freeze(exc_info)
            fields["exc_info"] = fields["exc_text"] = None
        if bound and NO_FIELDS.isdisjoint(bound):
            for name, value in bound.items():
                fields.setdefault(name, value)
        record = object.__new__(logging.LogRecord)
        record.__dict__ = fields
    row = encoder.encode_familiar(record) or encoder.encode(record)
    size = len(row) + _FIXED_COST_BYTES + (error.size if error else 0)
    return Notice(
        key=key,
        row=row,
        error=error,
        created_at=record.created,
        last_at=record.created,
        size=size,
    )
