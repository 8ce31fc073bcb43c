"""What the records of one call site have in common is worked out once."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from spectra_logging.record.rules import KEPT, SITE_COLUMNS, FieldKind, FieldRules
from spectra_logging.redaction import may_hold_secret
from spectra_logging.values import to_jsonable

__all__ = ["Site", "encode_site", "learn_site", "site_key"]

site_key = itemgetter(
    "name", "levelname", "lineno", "pathname", "funcName", "threadName", "process"
)
"""What tells a call site, on one thread, from others, given a record's attributes."""

_host = socket.gethostname()


class Site(NamedTuple):
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
    values_of: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    context_of: Callable[..., msgspec.Struct] | None
    names: tuple[str, ...]


def learn_site(rules: FieldRules, fields: Mapping[str, Any], names: tuple[str, ...]) -> Site:
    """What the next record of a call site will have in common with this one.

    Args:
        rules: The rules of the rows' spec.
        fields: The record's attributes.
        names: Those of them that are not a record's own.
    """
    familiar = (
        not rules.required
        and "_name" not in fields
        and all(rules.kind(name) is FieldKind.TO_JSON for name in names)
    )
    context_of = None
    if familiar and names:
        try:
            context_of = _context_struct(names)
        except ValueError:  # a name that msgspec would have to escape
            familiar = False
    message = fields["msg"]
    same = isinstance(message, str) and message.isascii() and not may_hold_secret(message)
    return Site(
        field_count=len(fields) if familiar else -1,
        encoded=encode_site(rules, fields),
        message=message if same else None,
        event=msgspec.json.encode(message) if same else b"",
        values_of=_values_of(names),
        context_of=context_of,
        names=names,
    )


def encode_site(rules: FieldRules, fields: Mapping[str, Any]) -> bytes:
    """The columns that a call site fills, as the end of a JSON object without its brace."""
    site = {
        column: fields[attribute]
        for column, attribute in SITE_COLUMNS.items()
        if column in rules.types and fields[attribute] is not None
    }
    if "host" in rules.types:
        site["host"] = _host
    return b"," + msgspec.json.encode(to_jsonable(site))[1:-1] if site else b""


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
