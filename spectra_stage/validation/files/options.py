"""Checks ↔ their options as a file has them."""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from decimal import Decimal
from typing import Any, Literal

from spectra_logging.errors import ConfigurationError
from spectra_logging.tables import Column
from spectra_stage.validation.checks import KINDS, Check
from spectra_stage.validation.files.document import Place, Problems

__all__ = ["check_of", "column_of", "options_of"]

_IN_WORDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Decimal: "a decimal",
    dt.date: "a date",
    dt.datetime: "a timestamp",
}


def check_of(kind: str, place: Place, problems: Problems) -> Check | None:
    """A check of that kind, with the options at a place; ``None`` where there is a problem.

    What is no mapping is the one option that the kind requires, where it requires one.
    """
    if kind not in KINDS:
        problems.add(place, f"there is no check {kind!r}; there are {', '.join(sorted(KINDS))}")
        return None
    check = KINDS[kind]
    if not isinstance(place.value, dict):
        required = [f.name for f in fields(check) if _is_required(f)]
        if len(required) != 1:
            problems.add(place, f"{kind} takes a mapping of {_takes(check)}")
            return None
        place = Place({required[0]: place}, place.line, place.column)
    options = _options(check, place, kind, problems)
    if options is None:
        return None
    try:
        return check(**options)
    except ConfigurationError as error:
        problems.add(place, str(error))
        return None


def column_of(name: str, place: Place, problems: Problems) -> Column | None:
    """A column with what a file declares of it; ``None`` where there is a problem."""
    if isinstance(place.value, str):
        place = Place({"type": place}, place.line, place.column)
    named = Place(
        {"name": Place(name, place.line, place.column), **place.value}
        if isinstance(place.value, dict)
        else place.value,
        place.line,
        place.column,
    )
    options = _options(Column, named, f"column {name}", problems)
    return None if options is None else Column(**options)


def options_of(check: Check) -> dict[str, Any]:
    """A check's options as a file has them: those that are not as they are by default."""
    options = {}
    for field in fields(check):
        value = getattr(check, field.name)
        if _is_required(field) or value != field.default:
            options[field.name] = _plain(value)
    return options


def _options(of: type[Any], place: Place, what: str, problems: Problems) -> dict[str, Any] | None:
    before = len(problems.found)
    known = {field.name: field for field in fields(of) if field.name != "default"}
    if not problems.mapping(place, what, known):
        return None
    options: dict[str, Any] = {}
    hints = _hints(of)
    for name, field in known.items():
        if name not in place.value:
            if _is_required(field):
                problems.add(place, f"{what} lacks {name}; it takes {_takes(of)}")
            continue
        options[name] = _value(place.value[name], hints[name], f"{what}: {name}", problems)
    return options if len(problems.found) == before else None


def _value(place: Place, hint: Any, what: str, problems: Problems) -> Any:
    if _of_columns(hint) and isinstance(place.value, dict):
        return [column_of(name, item, problems) for name, item in place.value.items()]
    value = place.plain()
    if not _fits(value, hint):
        problems.add(place, f"{what} is {value!r}; it may be {_words(hint)}")
    return tuple(value) if isinstance(value, list) else value


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of a type."""
    origin = typing.get_origin(hint)
    if origin in {typing.Union, types.UnionType}:
        return any(_fits(value, part) for part in typing.get_args(hint))
    if origin is Literal:
        return value in typing.get_args(hint)
    if origin in {Sequence, tuple}:
        item = typing.get_args(hint)[0]
        return isinstance(value, list) and all(_fits(part, item) for part in value)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin in {typing.Union, types.UnionType}:
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        return " or ".join(dict.fromkeys(map(_words, parts)))
    if origin is Literal:
        return " or ".join(map(str, typing.get_args(hint)))
    if _of_columns(hint):
        return "a mapping of columns by name"
    if origin in {Sequence, tuple}:
        return f"a list, each item {_words(typing.get_args(hint)[0])}"
    return _IN_WORDS.get(hint, str(hint))


def _of_columns(hint: Any) -> bool:
    return typing.get_args(hint)[:1] == (Column,)


def _hints(of: type[Any]) -> Mapping[str, Any]:
    return typing.get_type_hints(of)


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _takes(of: type[Any]) -> str:
    required = [field.name for field in fields(of) if _is_required(field)]
    others = [field.name for field in fields(of) if not _is_required(field)]
    return ", ".join([*required, *others])


def _plain(value: Any) -> Any:
    if isinstance(value, Column):
        return _declared(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(item, Column) for item in value):
            return {item.name: _declared(item) for item in value}
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


def _declared(column: Column) -> dict[str, Any]:
    return {
        field.name: _plain(getattr(column, field.name))
        for field in fields(column)
        if field.name not in {"name", "default", "comment"}
        and (_is_required(field) or getattr(column, field.name) != field.default)
    }
