"""What the records of one call site have in common is worked out once."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

import msgspec

from spectra_logging.journal.framing import NO_START, LineStart
from spectra_logging.record.rules import KEPT, SITE_COLUMNS, FieldKind, FieldRules, empty_of
from spectra_logging.redaction import may_hold_secret, registry
from spectra_logging.redaction.registry import Registered
from spectra_logging.values import DoesNotFitError, to_column

__all__ = [
    "NOTHING_RAISED",
    "UNKNOWN",
    "UNKNOWN_SITE",
    "Site",
    "encode_site",
    "learn_site",
    "misfits_of_site",
    "site_key",
]

site_key = itemgetter(
    *("name", "levelno", "levelname", "lineno", "pathname", "funcName"),
    *("thread", "threadName", "process"),
    *("exc_info", "exc_text", "stack_info"),
)
"""What tells a call site, on one thread, from others, given a record's attributes.

With the last three it also tells a record that holds a traceback from those that don't."""

NOTHING_RAISED = {"exc_info": None, "exc_text": None, "stack_info": None}

UNKNOWN = {
    "name": "unknown",
    "levelname": "NOTSET",
    "module": None,
    "funcName": None,
    "lineno": None,
    "threadName": None,
    "process": 0,
}
"""The attributes of a call site, for a record that lacks them."""

_NUMBERS = ("line", "process_id")
"""The columns that not every value fits."""

_INT31 = range(1 << 31)
"""Numbers that both types of these hold."""

_host = socket.gethostname()


_NO_MESSAGE = object()


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What the records of one call site, on one thread, have in common.

    Attributes:
        columns: Their share of the row, to follow the rest of the JSON object.
        module: The module, which is among them.
        names: The extras' names.
        names_set: The same as a set.
        field_count: How many attributes they have; -1 where nothing more can be presumed.
        harmless_under: The registered secrets, none of which is in what the site fills in.
        start: The line's start: their share of the row.
        start_with_message: The same and the message as it stands in the program.
        message: That message; no message at all where it may hold a secret.
        template: The rest of the line, to be filled with time, event and JSON column.
        values_of: Picks the values of the extras, all of which go into the JSON column.
        context_of: Makes of these values what encodes as that column; ``None`` without extras.
    """

    columns: bytes = b""
    module: object = None
    names: tuple[str, ...] = ()
    names_set: frozenset[str] = frozenset()
    field_count: int = -1
    harmless_under: Registered | None = None
    start: LineStart = NO_START
    start_with_message: LineStart = NO_START
    message: object = _NO_MESSAGE
    template: bytes = b""
    values_of: Callable[[Mapping[str, Any]], tuple[Any, ...]] = lambda _: ()
    context_of: Callable[..., msgspec.Struct] | None = None


UNKNOWN_SITE = Site()
"""Of which nothing can be presumed."""


def learn_site(rules: FieldRules, fields: Mapping[str, Any], names: tuple[str, ...]) -> Site:
    """What the next record of a call site will have in common with this one.

    Args:
        rules: The rules of the rows' spec.
        fields: The record's attributes.
        names: Those of them that are not a record's own.
    """
    registered = registry.current()
    columns = encode_site(rules, fields)
    module = fields.get("module")
    unfamiliar = Site(columns=columns, module=module, names=names, harmless_under=registered)
    if not _is_plain(rules, fields, names) or _holds_secret(columns, registered):
        return unfamiliar
    context_of = None
    if names:
        try:
            context_of = _context_struct(names)
        except ValueError:  # a name that msgspec would have to escape
            return unfamiliar
    start = b"{" + columns[1:] + b"," if columns else b"{"
    message = fields["msg"]
    constant = isinstance(message, str) and message.isascii() and not may_hold_secret(message)
    return Site(
        columns=columns,
        module=module,
        names=names,
        names_set=frozenset(names),
        field_count=len(fields),
        harmless_under=registered,
        start=LineStart(start),
        start_with_message=LineStart(start + b'"event":%b,' % msgspec.json.encode(message))
        if constant
        else NO_START,
        message=message if constant else _NO_MESSAGE,
        template=b'"recorded_at":%d%b' + (_json_key(rules) if names else b"") + b"%b",
        values_of=_values_of(names),
        context_of=context_of,
    )


def _json_key(rules: FieldRules) -> bytes:
    return b",%b:" % msgspec.json.encode(rules.json_column).replace(b"%", b"%%")


def _is_plain(rules: FieldRules, fields: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    """Whether a record's share beside the site's is time, message and JSON column alone."""
    return (
        rules.has_own
        and not rules.required
        and "_name" not in fields
        and _is_module_of_path(fields.get("module"), fields["pathname"])
        and all(isinstance(name, str) for name in names)
        and all(rules.kind(name) is FieldKind.TO_JSON for name in names)
    )


def _is_module_of_path(module: object, path: object) -> bool:
    """Whether records of that path have that module: what is made elsewhere may name any.

    To ask for the module of each record would cost every call.
    """
    if not (module and isinstance(path, str)):
        return False
    return module == os.path.splitext(os.path.basename(path))[0]


def _holds_secret(encoded: bytes, registered: Registered) -> bool:
    pattern = registered.bytes_pattern
    return pattern is not None and pattern.search(encoded) is not None


def encode_site(rules: FieldRules, fields: Mapping[str, Any]) -> bytes:
    """The columns that a call site fills, each with a comma before it.

    A record that was made elsewhere may lack any of the attributes, or have it of any class.
    """
    site = {}
    for column, attribute in SITE_COLUMNS.items():
        column_type = rules.types.get(column)
        if column_type is None:
            continue
        value = _fitting(column_type, fields[attribute])
        if value is None and column in rules.never_null:
            value = UNKNOWN[attribute] or empty_of(column_type)
        if value is not None:
            site[column] = value
    if "host" in rules.types:
        site["host"] = _host
    return b"," + msgspec.json.encode(site)[1:-1] if site else b""


def misfits_of_site(rules: FieldRules, fields: Mapping[str, Any]) -> list[str]:
    """The attributes of a call site whose columns can't hold them."""
    return [
        attribute
        for column in _NUMBERS
        if (column_type := rules.types.get(column)) is not None
        and fields[attribute := SITE_COLUMNS[column]] is not None
        and _fitting(column_type, fields[attribute]) is None
    ]


def _fitting(column_type: str, value: object) -> Any:
    """What a column can hold of a value."""
    # All that logging itself makes; to ask for each would double what an error's record costs.
    if value.__class__ is str:
        if column_type == "string" and value.isascii():
            return value
    elif value is None or (value.__class__ is int and column_type != "string" and value in _INT31):
        return value
    try:
        return to_column(column_type, value)
    except DoesNotFitError:
        return None


def _values_of(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) == 1:
        (name,) = names
        return lambda fields: (fields[name],)
    return itemgetter(*names) if names else lambda _: ()


@functools.lru_cache(KEPT)
def _context_struct(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """A struct with these fields, which encodes in half the time of a dict."""
    fields = {f"field_{number}": name for number, name in enumerate(names)}
    return msgspec.defstruct("Context", [(field, Any) for field in fields], rename=fields)
