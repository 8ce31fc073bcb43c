"""``RowEncoder``: a log record in, one line of JSON out."""

from __future__ import annotations

import contextvars
import logging
import sys
import time
from operator import itemgetter
from typing import Any

import msgspec

from spectra_logging.record.draft import RowDraft, clean, describe
from spectra_logging.record.event_dict import event_dict_of
from spectra_logging.record.rules import KEPT, STANDARD_ATTRIBUTES, FieldRules
from spectra_logging.record.site import Site, encode_site, learn_site, site_key
from spectra_logging.redaction import may_hold_secret, redact_text, redact_value, registry
from spectra_logging.tables import TableSpec
from spectra_logging.values import safe_text, to_jsonable

__all__ = ["RowEncoder"]

_STANDARD_COUNT = len(STANDARD_ATTRIBUTES)
_LAST_STANDARD = STANDARD_ATTRIBUTES[-1]
_UNKNOWN = {
    "name": "unknown",
    "levelname": "NOTSET",
    "module": None,
    "funcName": None,
    "lineno": None,
    "threadName": None,
    "process": 0,
}
"""The attributes of a call site, for a record that lacks them."""

_SCALARS = frozenset({str, int, bool, type(None)})
"""What can be encoded as it is. No float: NaN would become null, and so be lost."""

_varying = itemgetter("created", "msg", "args", "exc_info", "exc_text", "stack_info")
_encode = msgspec.json.encode
_copy_context = contextvars.copy_context


class RowEncoder:
    """Turns log records into rows of one spec.

    Args:
        spec: The table's spec; it needs a ``json_column``.

    Raises:
        ConfigurationError: The spec has no ``json_column``.
    """

    def __init__(self, spec: TableSpec) -> None:
        self._rules = FieldRules(spec)
        self._json_key = _encode(self._rules.json_column) + b":"
        self._has_trace_ids = "trace_id" in self._rules.types
        self._sites: dict[tuple[Any, ...], Site] = {}

    def encode(self, record: logging.LogRecord) -> bytes:  # noqa: C901, PLR0912 - the hot path
        """The row as a JSON object without its closing brace; never raises.

        A record that can't be read becomes a substitute row that names the failure.
        """
        # Most records come from a call site that has been seen, with the same extras and nothing
        # special to them; they get the same bytes in half the time. All others go the long way.
        try:
            fields = record.__dict__
            site = self._sites.get(site_key(fields))
            if site is None or len(fields) != site[0]:
                return self._encode_any(record)
            created, message, args, exc_info, exc_text, stack_info = _varying(fields)
            if (
                exc_info
                or exc_text
                or stack_info
                or len(_copy_context())
                or (self._has_trace_ids and "opentelemetry.trace" in sys.modules)
            ):
                return self._encode_any(record)
            _, encoded_site, same_message, same_event, values_of, context_of, _ = site
            registered = registry._registered  # noqa: SLF001 - a call less for each record
            harmless = registered.verdicts
            if message is same_message and not args:
                event = same_event
            else:
                if message.__class__ is not str:
                    return self._encode_any(record)
                if args:
                    message = message % args
                if harmless.get(message) is not False and may_hold_secret(message):
                    return self._encode_any(record)
                event = _encode(message)
            if context_of is None:
                payload = b'{"recorded_at":%d,"event":%b%b' % (
                    created * 1e6 + 0.5,
                    event,
                    encoded_site,
                )
            else:
                values = values_of(fields)
                for value in values:
                    if value.__class__ is str:
                        if harmless.get(value) is not False and may_hold_secret(value):
                            return self._encode_any(record)
                    elif value.__class__ not in _SCALARS:
                        return self._encode_any(record)
                payload = b'{"recorded_at":%d,"event":%b,%b%b%b' % (
                    created * 1e6 + 0.5,
                    event,
                    self._json_key,
                    _encode(_encode(context_of(*values)).decode()),
                    encoded_site,
                )
            pattern = registered.bytes_pattern
            if pattern is None or not pattern.search(payload):
                return payload
        except Exception:  # noqa: BLE001, S110 - the long way finds out what it is and says so
            pass
        return self._encode_any(record)

    def _encode_any(self, record: logging.LogRecord) -> bytes:
        try:
            return self._encode_record(record)
        except Exception as error:  # noqa: BLE001 - a log call must not raise
            return self._encode_substitute(record, error)

    def _encode_record(self, record: logging.LogRecord) -> bytes:
        fields = record.__dict__
        draft = RowDraft(self._rules, fields, int(fields["created"] * 1e6 + 0.5))
        message = self._message(fields, draft)
        draft.row["event"] = redact_text(message) if may_hold_secret(message) else message

        names = list(fields)
        if names[_STANDARD_COUNT - 1] == _LAST_STANDARD:
            names = names[_STANDARD_COUNT:]
        for name in names:
            draft.place(name, fields[name])
        if len(_copy_context()):
            draft.place_context_variables()
        if fields["exc_info"] or fields["exc_text"] or fields["stack_info"]:
            draft.place_exception(fields["exc_info"], fields["exc_text"], fields["stack_info"])
        if self._has_trace_ids and "opentelemetry.trace" in sys.modules:
            draft.place_trace_ids()
        draft.fill_required()
        return self._assemble(draft, self._site(fields, tuple(names)).encoded)

    def _message(self, fields: dict[str, Any], draft: RowDraft) -> str:
        """The message with its arguments filled in; fields that come with it are placed."""
        message: str
        if (event_dict := event_dict_of(fields)) is not None:
            message = safe_text(event_dict.event)
            for name, value in event_dict.fields.items():
                draft.place_foreign(name, value)
            if event_dict.exc_info or event_dict.exc_text or event_dict.stack:
                draft.place_exception(*event_dict[2:])
        else:
            message = fields["msg"] if type(fields["msg"]) is str else safe_text(fields["msg"])
        if fields["args"]:
            try:
                message = message % fields["args"]
            except Exception as error:  # noqa: BLE001 - whatever the arguments raise
                draft.context["logging_error"] = describe(error)
                draft.context["args"] = clean(fields["args"])
        return message

    def _site(self, fields: dict[str, Any], names: tuple[str, ...]) -> Site:
        key = site_key(fields)
        site = self._sites.get(key)
        if site is None or site.names != names:
            if len(self._sites) >= KEPT:
                self._sites.clear()
            site = self._sites[key] = learn_site(self._rules, fields, names)
        return site

    def _assemble(self, draft: RowDraft, encoded_site: bytes) -> bytes:
        row, context = draft.row, draft.context
        try:
            if context:
                row[self._rules.json_column] = _encode(context).decode()
            payload = _encode(row)[:-1] + encoded_site
        except (ValueError, OverflowError, TypeError):
            # Lone surrogates and integers beyond 64 bits.
            if context:
                row[self._rules.json_column] = _encode(to_jsonable(context)).decode()
            payload = _encode(to_jsonable(row))[:-1] + encoded_site
        pattern = registry.secret_bytes_pattern()
        if pattern is not None and pattern.search(payload):
            payload = _encode(redact_value(msgspec.json.decode(payload + b"}")))[:-1]
        return payload

    def _encode_substitute(self, record: logging.LogRecord, error: Exception) -> bytes:
        """A row for a record that can't be read, which says so."""
        fields = {name: record.__dict__.get(name, value) for name, value in _UNKNOWN.items()}
        draft = RowDraft(self._rules, fields, time.time_ns() // 1000)
        draft.row["event"] = redact_text(safe_text(record.__dict__.get("msg")))
        draft.context["logging_error"] = describe(error)
        draft.fill_required()
        return self._assemble(draft, encode_site(self._rules, fields))
