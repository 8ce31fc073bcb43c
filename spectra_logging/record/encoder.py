"""``RowEncoder``: a log record in, one line of a journal out."""

from __future__ import annotations

import logging
import time
from typing import Any

import msgspec
from structlog.contextvars import get_contextvars

from spectra_logging.active import active_context, current_trace_ids
from spectra_logging.journal.framing import frame
from spectra_logging.record.draft import RowDraft, clean
from spectra_logging.record.event_dict import event_dict_of
from spectra_logging.record.rules import (
    KEPT,
    TEXT_TYPES,
    FieldRules,
    empty_of,
    names_of_extras,
)
from spectra_logging.record.site import (
    NOTHING_RAISED,
    UNKNOWN,
    UNKNOWN_SITE,
    Site,
    encode_site,
    learn_site,
    misfits_of_site,
    site_key,
)
from spectra_logging.redaction import (
    describe_error,
    is_suspect,
    may_hold_secret,
    redact_text,
    redact_value,
    registry,
)
from spectra_logging.tables import TableSpec
from spectra_logging.values import safe_text, to_jsonable

__all__ = ["RowEncoder", "has_its_own_message"]

_SCALARS = frozenset({int, bool, type(None)})
"""What can be encoded as it is, beside text and floats: NaN would become null, and so be lost."""

_YEARS_1_TO_9999 = range(-62_135_596_800_000_000, 253_402_300_800_000_000)
"""In microseconds since 1970; Python reads no others."""

_encode = msgspec.json.encode


class RowEncoder:
    """Turns log records into rows of one spec.

    Args:
        spec: The table's spec; it needs a ``json_column``.

    Raises:
        ConfigurationError: The spec has no ``json_column``, or a column can't hold what a record
            fills in, or its default.
    """

    def __init__(self, spec: TableSpec) -> None:
        self._rules = FieldRules(spec)
        self._has_trace_ids = "trace_id" in self._rules.types
        self._sites: dict[tuple[Any, ...], Site] = {}

    def encode(self, record: logging.LogRecord, *, becomes_familiar: bool = True) -> bytes:
        """The row as a finished line of a journal; never raises.

        A record that can't be read becomes a substitute row that names the failure.

        Args:
            record: The record.
            becomes_familiar: Whether :meth:`encode_familiar` may take the next of its call site.
        """
        try:
            return frame(self._encode_record(record, becomes_familiar))
        except Exception as error:  # noqa: BLE001 - a log call must not raise
            return frame(self._encode_substitute(record, error))

    def encode_familiar(self, record: logging.LogRecord) -> bytes | None:  # noqa: C901, PLR0912
        """The same row as :meth:`encode` gives, in half the time, for most records.

        Those come from a call site that has been seen, with the same extras and nothing special
        to them. This is where a log call spends its time: each bytecode counts, hence one function.

        Returns:
            The finished line; ``None`` for a record that is not familiar.
        """
        try:
            fields = record.__dict__
            site = self._sites.get(site_key(fields), UNKNOWN_SITE)
            registered = registry._registered  # noqa: SLF001 - a call less for each record
            if len(fields) != site.field_count or registered is not site.harmless_under:
                return None
            message, args = record.msg, record.args
            harmless = registered.verdicts
            if message is site.message and not args:
                start, event = site.start_with_message, b""
            else:
                if message.__class__ is not str:
                    return None
                if args:
                    message = message % args
                if is_suspect(message, registered) and may_hold_secret(message):
                    return None
                start, event = site.start, b',"event":' + _encode(message)
            context = b""
            if site.context_of is not None:
                values = site.values_of(fields)
                for value in values:
                    if value.__class__ is str:
                        if harmless.get(value) is not False and may_hold_secret(value):
                            return None
                    elif value.__class__ is float:
                        if value - value:  # NaN, as which it is true, and of infinities too
                            return None
                    elif value.__class__ not in _SCALARS:
                        return None
                context = _encode(_encode(site.context_of(*values)).decode())
            # As an int, since %d takes twice as long for a float.
            rest = site.template % (int(record.created * 1e6 + 0.5), event, context)
            if len(active_context()):
                if not get_contextvars().keys() <= site.names_set:
                    return None
                if self._has_trace_ids and (ids := current_trace_ids()) is not None:
                    rest += f',"trace_id":"{ids[0]}","span_id":"{ids[1]}"'.encode()
            pattern = registered.bytes_pattern
            if pattern is None or not pattern.search(rest):
                return frame(rest, start)
        except Exception:  # noqa: BLE001, S110 - the long way finds out what it is and says so
            pass
        return None

    def _encode_record(self, record: logging.LogRecord, becomes_familiar: bool) -> bytes:
        fields = record.__dict__
        moment = _moment_of(fields["created"])
        draft = RowDraft(self._rules, fields, time.time_ns() // 1000 if moment is None else moment)
        if moment is None:
            draft.keep("created", clean(fields["created"]))
        misfits = misfits_of_site(self._rules, fields)
        for name in misfits:
            draft.keep(name, clean(fields[name]))
        # A process tells by its number that it is a forked child, which must not append as its
        # parent does.
        tells_process = fields["process"] is not None
        if moment is None or misfits or not tells_process or has_its_own_message(record):
            becomes_familiar = False
        message = self._message(record, draft)
        draft.fill("event", redact_text(message) if may_hold_secret(message) else message)

        names = names_of_extras(fields)
        for name in names:
            draft.place(name, fields[name])
        if len(active_context()):
            draft.place_context_variables()
        if fields["exc_info"] or fields["exc_text"] or fields["stack_info"]:
            draft.place_exception(fields["exc_info"], fields["exc_text"], fields["stack_info"])
        if self._has_trace_ids:
            draft.place_trace_ids()
        draft.fill_required()
        return self._assemble(draft, self._columns(fields, tuple(names), becomes_familiar))

    def _message(self, record: logging.LogRecord, draft: RowDraft) -> str:
        """The message with its arguments filled in; fields that come with it are placed."""
        fields = record.__dict__
        message: str
        if (event_dict := event_dict_of(fields)) is not None:
            message = safe_text(event_dict.event)
            for name, value in event_dict.fields.items():
                draft.place_foreign(name, value)
            if event_dict.exc_info or event_dict.exc_text or event_dict.stack:
                draft.place_exception(*event_dict[2:])
        else:
            message = fields["msg"] if type(fields["msg"]) is str else safe_text(fields["msg"])
        try:
            if event_dict is None and has_its_own_message(record):
                message = safe_text(record.getMessage())
            elif fields["args"]:
                message = message % fields["args"]
        except Exception as error:  # noqa: BLE001 - whatever the arguments raise
            draft.keep("logging_error", describe_error(error))
            draft.keep("args", clean(fields["args"]))
        return message

    def _columns(
        self, fields: dict[str, Any], names: tuple[str, ...], becomes_familiar: bool
    ) -> bytes:
        """What the record's call site fills in."""
        if not becomes_familiar:
            return encode_site(self._rules, fields)
        key = site_key({**fields, **NOTHING_RAISED})
        site = self._sites.get(key)
        known = site is not None and (site.names, site.module) == (names, fields.get("module"))
        if site is None or not known or site.harmless_under is not registry.current():
            if len(self._sites) >= KEPT:
                self._sites.clear()
            site = self._sites[key] = learn_site(self._rules, fields, names)
        return site.columns

    def _assemble(self, draft: RowDraft, site_columns: bytes) -> bytes:
        row, context = draft.row, draft.context
        try:
            if context:
                row[self._rules.json_column] = _encode(context).decode()
            payload = _encode(row)[:-1] + site_columns
        except (ValueError, OverflowError, TypeError):
            # Lone surrogates and integers beyond 64 bits.
            if context:
                row[self._rules.json_column] = _encode(to_jsonable(context)).decode()
            payload = _encode(to_jsonable(row))[:-1] + site_columns
        pattern = registry.secret_bytes_pattern()
        if pattern is not None and pattern.search(payload):
            row = msgspec.json.decode(payload + b"}")
            payload = _encode(
                {name: self._without_secrets(name, value) for name, value in row.items()}
            )[:-1]
        return payload

    def _without_secrets(self, column: str, value: Any) -> Any:
        redacted = redact_value(value)
        if redacted is value or self._rules.types.get(column) in TEXT_TYPES:
            return redacted
        # A number that is a secret: what hides it would not fit the column.
        return empty_of(self._rules.types[column]) if column in self._rules.never_null else None

    def _encode_substitute(self, record: logging.LogRecord, error: Exception) -> bytes:
        """A row for a record that can't be read, which says so."""
        fields = {name: record.__dict__.get(name, value) for name, value in UNKNOWN.items()}
        draft = RowDraft(self._rules, fields, time.time_ns() // 1000)
        draft.fill("event", redact_text(safe_text(record.__dict__.get("msg"))))
        draft.keep("logging_error", describe_error(error))
        draft.fill_required()
        return self._assemble(draft, encode_site(self._rules, fields))


def has_its_own_message(record: logging.LogRecord) -> bool:
    """Whether its class fills in arguments in another way, such as that of ``str.format``."""
    return type(record).getMessage is not logging.LogRecord.getMessage


def _moment_of(created: Any) -> int | None:
    """Microseconds since 1970; ``None`` for what is no moment, or in no year that can be read."""
    try:
        moment = int(created * 1e6 + 0.5)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment in _YEARS_1_TO_9999 else None
