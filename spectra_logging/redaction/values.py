"""Scrubbing structures: mappings, sequences, and the text in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from typing import Any, cast

from spectra_logging.redaction import registry
from spectra_logging.redaction.keys import is_secret_key
from spectra_logging.redaction.registry import REDACTED
from spectra_logging.redaction.text import may_hold_secret, redact_text
from spectra_logging.values import free_name, safe_text

__all__ = ["redact_value"]

DEEPEST = 64
"""Levels of nesting that are looked through; what lies deeper is cut off."""

_PLAIN = frozenset((bool, type(None), datetime, date))
# Plain classes before the abstract ones, which take a microsecond to ask.
_CONTAINERS = (dict, list, tuple, set, frozenset, Mapping, AbstractSet)

CYCLE = "<cycle>"
TOO_DEEP = "<nested too deeply>"


def redact_value(value: object) -> object:
    """The value with every secret in it replaced by ``***``.

    Looks through mappings, lists, tuples and sets. A value under a secret key is replaced
    whatever it is, except ``None``, booleans and empty values, which only say whether there is a
    secret. Text and bytes go through :func:`~spectra_logging.redaction.redact_text`. Any other
    object is replaced by its scrubbed text if its ``str`` or ``repr`` shows a secret, and by a
    note if it has none to show or can't be looked through. Never raises.

    Returns:
        The same object when there is nothing to hide; else a copy, in which a structure inside
        itself reads ``<cycle>`` and one below 64 levels ``<nested too deeply>``.
    """
    return _redacted(value, ())


def _redacted(value: object, path: tuple[int, ...]) -> object:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, (int, float)):
        return REDACTED if abs(value) in registry.current().numbers else value
    if isinstance(value, (bytes, bytearray)):
        return _redacted_bytes(value)
    if not isinstance(value, _CONTAINERS):
        return _redacted_object(value)
    if id(value) in path:
        return CYCLE
    if len(path) == DEEPEST:
        return TOO_DEEP
    path = (*path, id(value))
    try:
        if isinstance(value, (dict, Mapping)):
            return _redacted_mapping(value, path)
        return _redacted_items(value, path)
    except Exception as error:  # noqa: BLE001 - whatever a foreign container raises
        return f"<{type(value).__name__} that can't be looked through: {type(error).__name__}>"


def _redacted_items(value: Collection[object], path: tuple[int, ...]) -> object:
    # Of a copy, as another thread may change it meanwhile.
    before = tuple(value)
    items = [_redacted(item, path) for item in before]
    if all(new is old for new, old in zip(items, before, strict=True)) and len(value) == len(items):
        return value
    if isinstance(value, list):
        return items
    if isinstance(value, AbstractSet):
        return frozenset(items)
    # A namedtuple's constructor takes its fields one by one.
    make = getattr(type(value), "_make", tuple)
    return cast("object", make(items))


def _redacted_mapping(value: Mapping[Any, Any], path: tuple[int, ...]) -> object:
    copy: dict[object, object] = {}
    changed = False
    items = tuple(value.items())
    for key, item in items:
        name = key.decode("latin-1") if isinstance(key, bytes) else key
        new_key = key
        if not isinstance(name, str) or may_hold_secret(name):
            new_key = _redacted(key, path)
        if isinstance(name, str) and is_secret_key(name) and _shows_something(item):
            new_item: object = REDACTED
        else:
            new_item = _redacted(item, path)
        changed = changed or new_item is not item or new_key is not key
        if new_key in copy:
            # Nothing but their secrets told them apart.
            new_key = free_name(safe_text(new_key), copy)
        copy[new_key] = new_item
    # What was added meanwhile has not been looked at.
    return copy if changed or len(value) != len(items) else value


def _shows_something(item: object) -> bool:
    if isinstance(item, (str, bytes, bytearray)):
        return item not in ("", b"", REDACTED)
    # Others are not compared: numpy's arrays have no truth to tell.
    return item is not None and not isinstance(item, bool)


def _redacted_bytes(value: bytes | bytearray) -> object:
    text = value.decode("utf-8", "surrogateescape")
    redacted = redact_text(text)
    return value if redacted is text else redacted.encode("utf-8", "surrogateescape")


def _redacted_object(value: object) -> object:
    try:
        texts = (str(value), repr(value))
    except Exception as error:  # noqa: BLE001 - whatever a foreign __repr__ raises
        return f"<{type(value).__name__} whose text can't be had: {type(error).__name__}>"
    for text in texts:
        redacted = redact_text(text)
        if redacted is not text:
            return redacted
    return value
