"""What a field's name means for the rows of one spec."""

from __future__ import annotations

import enum
import logging
from typing import Any

from spectra_logging.errors import ConfigurationError
from spectra_logging.journal.framing import CHECKSUM_KEY
from spectra_logging.redaction import is_secret_key
from spectra_logging.tables import Column, TableSpec
from spectra_logging.values import DoesNotFitError, safe_text, to_column

__all__ = [
    "KEPT",
    "NO_FIELDS",
    "SITE_COLUMNS",
    "TEXT_TYPES",
    "FieldKind",
    "FieldRules",
    "empty_of",
    "names_of_extras",
]

KEPT = 4096
"""Names and call sites remembered; a program that makes them up as it goes must not grow us."""

STANDARD_ATTRIBUTES = tuple(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
"""A record's own attributes, in the order they are set; whatever else it has comes after them."""

SITE_COLUMNS = {
    "level": "levelname",
    "logger": "name",
    "module": "module",
    "function": "funcName",
    "line": "lineno",
    "thread": "threadName",
    "process_id": "process",
}
"""Column -> the record's attribute, for what the records of one call site have in common."""

_FILLED_BY_RECORD = frozenset({*SITE_COLUMNS, "recorded_at", "event", "host"})
_TYPES_OF_FILLED = {
    **dict.fromkeys((*_FILLED_BY_RECORD, "exception", "trace_id", "span_id"), ("string",)),
    **dict.fromkeys(("line", "process_id"), ("integer", "long")),
    "recorded_at": ("timestamp",),
}
"""Column -> the types it may have, for what a record fills itself."""

# Set by formatters and by structlog's bridge to the stdlib.
_SET_BY_OTHERS = (
    "message",
    "asctime",
    "taskName",
    "_logger",
    "_name",
    "_record",
    "_from_structlog",
)

TEXT_TYPES = ("string", "array<string>")
"""The types of columns that hold what hides a secret."""

_EMPTY: dict[str, Any] = {
    "string": "",
    "long": 0,
    "integer": 0,
    "double": 0.0,
    "boolean": False,
    "timestamp": 0,
    "date": "1970-01-01",
}

_STANDARD_COUNT = len(STANDARD_ATTRIBUTES)
_LAST_STANDARD = STANDARD_ATTRIBUTES[-1]

NO_FIELDS = frozenset((*STANDARD_ATTRIBUTES, *_SET_BY_OTHERS))
"""A record's attributes that are no fields of the caller's."""


def names_of_extras(fields: dict[str, Any]) -> list[str]:
    """The names of a record's attributes without its own; all, where these don't come first."""
    if len(fields) == _STANDARD_COUNT and next(reversed(fields)) == _LAST_STANDARD:
        return []
    names = list(fields)
    if len(names) < _STANDARD_COUNT or names[_STANDARD_COUNT - 1] != _LAST_STANDARD:
        return names
    return names[_STANDARD_COUNT:]


def empty_of(column_type: str) -> Any:
    """What a column that is never null holds where there is nothing to hold."""
    return _EMPTY.get(column_type, [])


class FieldKind(enum.Enum):
    """Where a field of that name goes."""

    TO_JSON = enum.auto()
    """Into the JSON column, under its name."""
    TO_COLUMN = enum.auto()
    """Into its column, if it fits."""
    MERGED = enum.auto()
    """It is called as the JSON column itself: a mapping becomes part of it."""
    ECHO = enum.auto()
    """structlog's copy of the record's own level or logger; kept only where it differs."""
    SECRET = enum.auto()
    """Nowhere: what is written is that it was there."""
    NO_FIELD = enum.auto()
    """An attribute of the record, and no field of the caller's."""


class FieldRules:
    """The rules of one spec.

    Args:
        spec: The table's spec; it needs a ``json_column``.

    Attributes:
        json_column: Name of the JSON column.
        types: Column -> type.
        kinds: Field -> kind, as far as it has been asked for.
        never_null: Columns that are never null.
        required: Those of them that no record fills by itself.
        defaults: The default of each of these that is a value, as a row holds it.
        has_own: Whether there are columns for the message and for the time.

    Raises:
        ConfigurationError: The spec has no ``json_column``, or a column can't hold what a record
            fills in, or its default.
    """

    def __init__(self, spec: TableSpec) -> None:
        if spec.json_column is None:
            raise ConfigurationError(
                f"spec {spec.name!r} has no json_column, so fields without a column would be lost; "
                "declare a nullable string column as its json_column"
            )
        _check_types(spec)
        self.json_column = spec.json_column
        self.types = {column.name: column.type for column in spec.columns}
        self.kinds = dict.fromkeys(NO_FIELDS, FieldKind.NO_FIELD)
        self.never_null = {column.name for column in spec.columns if not column.nullable}
        self.required: list[Column] = [
            column
            for column in spec.columns
            if not column.nullable and column.name not in _FILLED_BY_RECORD
        ]
        self.defaults = {
            column.name: _default_of(spec, column)
            for column in self.required
            if column.default is not None and not callable(column.default)
        }
        self.has_own = "event" in self.types and "recorded_at" in self.types

    def kind(self, name: str) -> FieldKind:
        """Where a field of that name goes."""
        kind = self.kinds.get(name)
        if kind is None:
            kind = self._classify(name)
            if len(self.kinds) < KEPT:
                self.kinds[name] = kind
        return kind

    def _classify(self, name: str) -> FieldKind:
        if not isinstance(name, str):  # extra= takes any key
            return FieldKind.SECRET if is_secret_key(safe_text(name)) else FieldKind.TO_JSON
        if is_secret_key(name):
            return FieldKind.SECRET
        if name == self.json_column:
            return FieldKind.MERGED
        if name in ("level", "logger"):
            return FieldKind.ECHO
        if name in self.types and name not in _FILLED_BY_RECORD:
            return FieldKind.TO_COLUMN
        return FieldKind.TO_JSON


def _check_types(spec: TableSpec) -> None:
    if spec.json_column in _TYPES_OF_FILLED:
        raise ConfigurationError(
            f"spec {spec.name!r}: json_column {spec.json_column!r} is a column that log records "
            "fill themselves; it may have any other name"
        )
    for column in spec.columns:
        if column.name == CHECKSUM_KEY:
            raise ConfigurationError(
                f"spec {spec.name!r}: the journal of log records calls a line's checksum "
                f"{column.name!r}; the column may have any other name"
            )
        may_be = _TYPES_OF_FILLED.get(column.name, (column.type,))
        if column.type not in may_be:
            raise ConfigurationError(
                f"spec {spec.name!r}: log records fill the column {column.name!r} themselves, so "
                f"its type {column.type!r} may only be {' or '.join(may_be)}"
            )


def _default_of(spec: TableSpec, column: Column) -> Any:
    try:
        return to_column(column.type, column.default)
    except DoesNotFitError as error:
        raise ConfigurationError(
            f"spec {spec.name!r}: column {column.name!r} has the default {column.default!r}, which "
            f"may only be what fits its type {column.type!r}"
        ) from error
