"""A ``LogRecord``, from structlog or the stdlib, becomes one row of a table spec.

The row is frozen here, on the caller's thread: what the caller changes afterwards changes nothing.
Columns are filled by name, in this order:

1. what every record has: ``recorded_at``, ``level``, ``logger``, ``event``, ``module``, ``function``,
   ``line``, ``thread``, ``process_id``, ``host``, and ``exception`` with the traceback;
2. the record's extras: ``extra=``, a structlog event dict, structlog's context variables;
3. ``trace_id`` and ``span_id`` of an active OpenTelemetry span;
4. for a column that is never null, its default.

What no column takes, or takes only with a loss, goes into the spec's JSON column under its own name.
"""

from __future__ import annotations

import ast
import contextvars
import functools
import logging
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from structlog.contextvars import get_contextvars
from structlog.processors import StackInfoRenderer

from spectra_logging import redaction
from spectra_logging.errors import ConfigurationError
from spectra_logging.processors import current_trace_ids
from spectra_logging.redaction import is_secret_key, may_hold_secret, redact_text, registry
from spectra_logging.tables import TableSpec
from spectra_logging.values import DoesNotFitError, safe_text, to_column, to_jsonable

__all__ = ["RowEncoder"]

_PROTOTYPE = list(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
_STANDARD_COUNT = len(_PROTOTYPE)
_LAST_STANDARD = _PROTOTYPE[-1]

# Column -> the record's attribute. Equal for every record of one call site on one thread, so this
# share of a row is encoded once and kept.
_SITE_COLUMNS = {
    "level": "levelname",
    "logger": "name",
    "module": "module",
    "function": "funcName",
    "line": "lineno",
    "thread": "threadName",
    "process_id": "process",
}
_site_key = itemgetter(
    "name", "levelname", "lineno", "pathname", "funcName", "threadName", "process"
)
_varying = itemgetter("created", "msg", "args", "exc_info", "exc_text", "stack_info")
_FILLED_BY_RECORD = frozenset({*_SITE_COLUMNS, "recorded_at", "event", "host"})
_UNKNOWN_SITE = {
    "name": "unknown",
    "levelname": "NOTSET",
    "lineno": 0,
    "pathname": "",
    "funcName": "",
    "threadName": "",
    "process": 0,
    "module": "",
}

# What a field's name means for one spec.
_TO_JSON, _TO_COLUMN, _MERGE, _ECHO, _SECRET, _NO_FIELD = range(6)
# Set by formatters and by structlog's bridge to the stdlib; no fields of the caller's.
_NO_FIELDS = frozenset(
    {
        *_PROTOTYPE,
        "message",
        "asctime",
        "taskName",
        "_logger",
        "_name",
        "_record",
        "_from_structlog",
    }
)
_KEPT = 4096
"""Names and call sites remembered; a program that makes them up as it goes must not grow us."""

_EMPTY: dict[str, Any] = {
    "string": "",
    "long": 0,
    "integer": 0,
    "double": 0.0,
    "boolean": False,
    "date": "1970-01-01",
}

_SCALARS = frozenset({str, int, bool, type(None)})
"""What the encoder takes as it is. No float: NaN would become null, and so be lost."""

_encode = msgspec.json.encode
_copy_context = contextvars.copy_context
_render_stack = StackInfoRenderer(additional_ignores=["logging", "spectra_logging"])
_TRACEBACK = "Traceback (most recent call last):\n"


class _Site(NamedTuple):
    """What the records of one call site, on one thread, have in common.

    Attributes:
        field_count: How many attributes they have; -1 where nothing more can be presumed.
        encoded: Their share of the row, to follow the rest of the JSON object.
        message: The message as it stands in the program, where it holds no secret.
        event: That, encoded.
        values_of: Picks the values of their extras, all of which go into the JSON column.
        context_of: Makes of these values what encodes as that column; ``None`` without extras.
        names: The extras' names.
    """

    field_count: int
    encoded: bytes
    message: object
    event: bytes
    values_of: Callable[[dict[str, Any]], tuple[Any, ...]]
    context_of: Callable[..., msgspec.Struct] | None
    names: tuple[str, ...]


def _values_of(names: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    if len(names) == 1:
        (name,) = names
        return lambda fields: (fields[name],)
    return itemgetter(*names) if names else lambda fields: ()


@functools.lru_cache(_KEPT)
def _context_struct(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """A struct with these fields, which encodes in half the time of a dict."""
    fields = {f"field_{number}": name for number, name in enumerate(names)}
    return msgspec.defstruct("Context", [(field, Any) for field in fields], rename=fields)


class RowEncoder:
    """Turns log records into rows of one spec.

    Args:
        spec: The table's spec; it needs a ``json_column``.

    Raises:
        ConfigurationError: The spec has no ``json_column``.
    """

    def __init__(self, spec: TableSpec) -> None:
        if spec.json_column is None:
            raise ConfigurationError(
                f"spec {spec.name!r} has no json_column, so fields without a column would be lost; "
                "declare a nullable string column as its json_column"
            )
        self._spec = spec
        self._json_column = spec.json_column
        self._json_key = _encode(spec.json_column) + b":"
        self._types = {column.name: column.type for column in spec.columns}
        self._kinds: dict[str, int] = dict.fromkeys(_NO_FIELDS, _NO_FIELD)
        self._sites: dict[tuple[Any, ...], _Site] = {}
        self._host = socket.gethostname()
        self._has_trace_ids = "trace_id" in self._types
        self._has_exception = "exception" in self._types
        self._required = [
            column
            for column in spec.columns
            if not column.nullable and column.name not in _FILLED_BY_RECORD
        ]

    def encode(self, record: logging.LogRecord) -> bytes:
        """The row as a JSON object without its closing brace; never raises.

        A record that can't be read becomes a substitute row that names the failure.
        """
        # Most records come from a call site that has been seen, with the same extras and nothing
        # special to them; they get the same bytes in half the time. All others go the long way.
        try:
            fields = record.__dict__
            site = self._sites.get(_site_key(fields))
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
        row: dict[str, Any] = {"recorded_at": int(fields["created"] * 1e6 + 0.5)}
        context: dict[str, Any] = {}
        message = fields["msg"]
        if message.__class__ is not str or "_name" in fields:
            message = self._unwrap(record, row, context)
        if fields["args"]:
            try:
                message = message % fields["args"]
            except Exception as error:  # noqa: BLE001 - whatever the arguments raise
                context["logging_error"] = _describe(error)
                context["args"] = _clean(fields["args"])
        row["event"] = redact_text(message) if may_hold_secret(message) else message

        names = list(fields)
        # Attributes keep their order, and what is not the record's own comes last.
        if names[_STANDARD_COUNT - 1] == _LAST_STANDARD:
            names = names[_STANDARD_COUNT:]
        for name in names:
            self._place(name, fields[name], fields, row, context)
        if len(_copy_context()):
            self._add_context_variables(fields, row, context)
        if fields["exc_info"] or fields["exc_text"] or fields["stack_info"]:
            self._place_exception(
                fields["exc_info"], fields["exc_text"], fields["stack_info"], row, context
            )
        if self._has_trace_ids and "opentelemetry.trace" in sys.modules:
            self._add_trace_ids(row)
        if self._required:
            self._fill_required(row)
        key = _site_key(fields)
        site = self._sites.get(key)
        if site is None or site.names != tuple(names):
            site = self._sites[key] = self._learn_site(fields, tuple(names))
        return self._assemble(row, context, site.encoded)

    def _assemble(self, row: dict[str, Any], context: dict[str, Any], site: bytes) -> bytes:
        try:
            if context:
                row[self._json_column] = _encode(context).decode()
            payload = _encode(row)[:-1] + site
        except (ValueError, OverflowError, TypeError):
            # Lone surrogates and integers beyond 64 bits.
            if context:
                row[self._json_column] = _encode(to_jsonable(context)).decode()
            payload = _encode(to_jsonable(row))[:-1] + site
        pattern = redaction.secret_bytes_pattern()
        if pattern is not None and pattern.search(payload):
            payload = _encode(redaction.redact_value(msgspec.json.decode(payload + b"}")))[:-1]
        return payload

    def _learn_site(self, fields: dict[str, Any], names: tuple[str, ...]) -> _Site:
        """What the next record of this call site will have in common with this one."""
        if len(self._sites) >= _KEPT:
            self._sites.clear()
        familiar = (
            not self._required
            and "_name" not in fields
            and all(self._kinds.get(name) == _TO_JSON for name in names)
        )
        context_of = None
        if familiar and names:
            try:
                context_of = _context_struct(names)
            except ValueError:  # a name that msgspec would have to escape
                familiar = False
        message = fields["msg"]
        same = isinstance(message, str) and message.isascii() and not may_hold_secret(message)
        return _Site(
            field_count=len(fields) if familiar else -1,
            encoded=self._encode_site(fields),
            message=message if same else None,
            event=_encode(message) if same else b"",
            values_of=_values_of(names),
            context_of=context_of,
            names=names,
        )

    def _encode_site(self, fields: dict[str, Any]) -> bytes:
        site = {
            column: fields[attribute]
            for column, attribute in _SITE_COLUMNS.items()
            if column in self._types and fields[attribute] is not None
        }
        if "host" in self._types:
            site["host"] = self._host
        return b"," + _encode(to_jsonable(site))[1:-1] if site else b""

    # -- fields ------------------------------------------------------------------------------

    def _place(
        self,
        name: str,
        value: Any,
        fields: dict[str, Any],
        row: dict[str, Any],
        context: dict[str, Any],
    ) -> None:
        """Put one field where it belongs: its column, or the JSON column."""
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._classify(name)
        if kind == _SECRET:
            context[name] = redaction.REDACTED
        elif kind == _ECHO:
            own = fields[_SITE_COLUMNS[name]]
            if str(value).lower() != own.lower():
                context[name] = _clean(value)
        elif kind == _TO_COLUMN:
            if value is not None and not self._place_in_column(name, value, row):
                context[name] = _clean(value)
        elif kind == _MERGE and isinstance(value, Mapping):
            context.update(_clean(value))
        elif kind != _NO_FIELD:
            context[name] = _clean(value)

    def _place_foreign(
        self,
        name: str,
        value: Any,
        fields: dict[str, Any],
        row: dict[str, Any],
        context: dict[str, Any],
    ) -> None:
        """Place a field that is no attribute of the record, though it may be called like one."""
        if self._kinds.get(name) == _NO_FIELD:
            context[name] = _clean(value)
        else:
            self._place(name, value, fields, row, context)

    def _place_in_column(self, name: str, value: Any, row: dict[str, Any]) -> bool:
        column_type = self._types[name]
        try:
            row[name] = to_column(
                column_type, _clean(value) if column_type.endswith(("string", "string>")) else value
            )
        except DoesNotFitError:
            return False
        return True

    def _classify(self, name: str) -> int:
        if is_secret_key(name):
            kind = _SECRET
        elif name == self._json_column:
            kind = _MERGE
        elif name in ("level", "logger"):
            kind = _ECHO
        elif name in self._types and name not in _FILLED_BY_RECORD:
            kind = _TO_COLUMN
        else:
            kind = _TO_JSON
        if len(self._kinds) < _KEPT:
            self._kinds[name] = kind
        return kind

    def _unwrap(
        self, record: logging.LogRecord, row: dict[str, Any], context: dict[str, Any]
    ) -> str:
        """The message of a record whose ``msg`` is no plain text; its fields are placed."""
        fields = record.__dict__
        message = fields["msg"]
        exc_text = None
        if "_name" in fields and isinstance(message, str) and message.startswith("{"):
            # A QueueHandler has turned the event dict into its repr, and put the traceback behind.
            shown, traceback_begins, rest = message.partition(f"}}\n{_TRACEBACK}")
            try:
                message = ast.literal_eval(shown + "}" if traceback_begins else shown)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return message
            exc_text = _TRACEBACK + rest if traceback_begins else None
        if "_name" in fields and isinstance(message, dict):
            # What structlog's ProcessorFormatter.wrap_for_formatter sends.
            event_dict = _render_stack(None, "", dict(message))
            event = event_dict.pop("event", "")
            exc_info = event_dict.pop("exc_info", None)
            stack = event_dict.pop("stack", None)
            for name, value in event_dict.items():
                self._place_foreign(name, value, fields, row, context)
            if exc_info or exc_text or stack:
                self._place_exception(exc_info, exc_text, stack, row, context)
            return safe_text(event)
        return safe_text(message)

    def _place_exception(
        self,
        exc_info: Any,
        exc_text: str | None,
        stack_info: str | None,
        row: dict[str, Any],
        context: dict[str, Any],
    ) -> None:
        text = redact_text(_format_exception(exc_info, exc_text, stack_info))
        (row if self._has_exception else context)["exception"] = text

    def _add_context_variables(
        self, fields: dict[str, Any], row: dict[str, Any], context: dict[str, Any]
    ) -> None:
        for name, value in get_contextvars().items():
            own = name in fields and name not in _NO_FIELDS
            if not own and name not in row and name not in context:
                self._place_foreign(name, value, fields, row, context)

    def _add_trace_ids(self, row: dict[str, Any]) -> None:
        ids = current_trace_ids()
        if ids is not None:
            row.setdefault("trace_id", ids[0])
            row.setdefault("span_id", ids[1])

    def _fill_required(self, row: dict[str, Any]) -> None:
        for column in self._required:
            if column.name in row:
                continue
            if callable(column.default):
                row[column.name] = column.default()
            elif column.default is not None:
                row[column.name] = column.default
            elif column.type == "timestamp":
                row[column.name] = row["recorded_at"]
            else:
                row[column.name] = _EMPTY.get(column.type, [])

    def _encode_substitute(self, record: logging.LogRecord, error: Exception) -> bytes:
        row: dict[str, Any] = {
            "recorded_at": time.time_ns() // 1000,
            "event": redact_text(safe_text(record.__dict__.get("msg"))),
        }
        context = {"logging_error": _describe(error)}
        self._fill_required(row)
        known = {**_UNKNOWN_SITE, **{k: record.__dict__.get(k) for k in _UNKNOWN_SITE}}
        return self._assemble(row, context, self._encode_site(known))


def _clean(value: Any) -> Any:
    """A value for the JSON column: JSON's own types, and no secrets."""
    return redaction.redact_value(to_jsonable(value))


def _format_exception(exc_info: Any, exc_text: str | None, stack_info: str | None) -> str:
    if exc_info is True:
        exc_info = sys.exc_info()
    elif isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    if isinstance(exc_info, tuple) and exc_info[0] is not None:
        try:
            exc_text = "".join(traceback.format_exception(*exc_info)).rstrip("\n")
        except Exception as error:  # noqa: BLE001 - whatever a foreign exception raises when shown
            exc_text = (
                f"{exc_info[0].__name__} whose traceback can't be had: {type(error).__name__}"
            )
    return safe_text("\n".join(text for text in (exc_text, stack_info) if text))


def _describe(error: Exception) -> str:
    return redact_text(f"{type(error).__name__}: {safe_text(error)}")
