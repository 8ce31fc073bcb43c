"""A row in the making: fields are put where the spec's rules say."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from structlog.contextvars import get_contextvars

from spectra_logging.active import current_trace_ids
from spectra_logging.exc_info import exc_info_triple, traceback_text
from spectra_logging.record.rules import (
    SITE_COLUMNS,
    TEXT_TYPES,
    FieldKind,
    FieldRules,
    empty_of,
)
from spectra_logging.redaction import REDACTED, describe_error, redact_text, redact_value
from spectra_logging.values import DoesNotFitError, free_name, safe_text, to_column, to_jsonable

__all__ = ["RowDraft", "clean"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


class RowDraft:
    """The columns of a row, and what goes into its JSON column.

    Args:
        rules: The rules of the row's spec.
        fields: The record's attributes.
        recorded_at: Microseconds since 1970.

    Attributes:
        row: Column -> value.
        context: Field -> value, for the JSON column.
    """

    def __init__(self, rules: FieldRules, fields: Mapping[str, Any], recorded_at: int) -> None:
        self._rules = rules
        self._fields = fields
        self._recorded_at = recorded_at
        self.row: dict[str, Any] = {}
        self.context: dict[str, Any] = {}
        if "recorded_at" in rules.types:
            self.row["recorded_at"] = recorded_at
        else:
            # There is nothing to tell a number's unit in the JSON column.
            self.context["recorded_at"] = clean(_EPOCH + dt.timedelta(microseconds=recorded_at))

    def fill(self, name: str, value: Any) -> None:
        """Put what the record says itself into its column, or without one into the JSON column.

        A field of the caller's that is called so makes way.
        """
        target = self.row if name in self._rules.types else self.context
        given = target.get(name)
        target[name] = value
        if given is not None:
            self.keep(name, given)

    def place(self, name: str, value: Any) -> None:
        """Put one attribute of the record where it belongs, if it is a field of the caller's."""
        kind = self._rules.kind(name)
        if kind is not FieldKind.NO_FIELD:
            self._place(kind, name, value)

    def place_foreign(self, name: str, value: Any) -> None:
        """Put a field that is no attribute of the record, though it may be called like one."""
        kind = self._rules.kind(name)
        self._place(FieldKind.TO_JSON if kind is FieldKind.NO_FIELD else kind, name, value)

    def _place(self, kind: FieldKind, name: str, value: Any) -> None:
        if kind is FieldKind.SECRET:
            self.keep(name, REDACTED)
        elif not self._has_a_column(kind, name, value):
            cleaned = clean(value)
            # Also a mapping becomes a note, where it can't be looked into.
            is_merged = kind is FieldKind.MERGED and isinstance(value, Mapping)
            fields = cleaned if is_merged and isinstance(cleaned, dict) else {name: cleaned}
            for inner, item in fields.items():
                self.keep(inner, item)

    def keep(self, name: str, value: Any) -> None:
        """Put a value made of JSON's own types into the JSON column.

        Where another value has the name, it gets a number: ``name_2``.
        """
        name = safe_text(name)  # extra= takes any key
        if name not in self.context or self.context[name] != value:
            self.context[free_name(name, self.context)] = value

    def _has_a_column(self, kind: FieldKind, name: str, value: Any) -> bool:
        """Whether a column holds the value now, or already says the same."""
        if kind is FieldKind.TO_COLUMN:
            return value is None or self._fits_column(name, value)
        return kind is FieldKind.ECHO and self._is_echo(name, value)

    def _is_echo(self, name: str, value: Any) -> bool:
        own = self._fields.get(SITE_COLUMNS[name])
        return safe_text(value).lower() == str(own).lower()

    def _fits_column(self, name: str, value: Any) -> bool:
        column_type = self._rules.types[name]
        if column_type == "string" and value.__class__ is str:  # most of an activity's fields
            fitting = clean(value)
        else:
            is_text = column_type in TEXT_TYPES
            try:
                fitting = to_column(column_type, clean(value) if is_text else value)
            except DoesNotFitError:
                return False
        # An event dict and its record may both have the field.
        return bool(self.row.setdefault(name, fitting) == fitting)

    def place_exception(self, exc_info: Any, exc_text: str | None, stack: str | None) -> None:
        """Put a traceback where :meth:`fill` puts it."""
        text = redact_text(_format_exception(exc_info, exc_text, stack))
        if not text:
            return  # Logger.exception() is called where nothing was raised
        given = (self.row if "exception" in self._rules.types else self.context).get("exception")
        # structlog's event dict and its record may both have it.
        if not isinstance(given, str) or text not in given:
            self.fill("exception", text)

    def place_context_variables(self) -> None:
        """Put what is bound with ``structlog.contextvars``; the call's own fields win."""
        for name, value in get_contextvars().items():
            own = name in self._fields and self._rules.kind(name) is not FieldKind.NO_FIELD
            if not own and name not in self.row and name not in self.context:
                self.place_foreign(name, value)

    def place_trace_ids(self) -> None:
        """Put the ids of the active OpenTelemetry span, unless the caller gave others.

        In a trace that the caller names, there is no such span.
        """
        ids = current_trace_ids()
        if ids is not None and self.row.setdefault("trace_id", ids[0]) == ids[0]:
            self.row.setdefault("span_id", ids[1])

    def fill_required(self) -> None:
        """Give each column that is never null a value."""
        for column in self._rules.required:
            if column.name in self.row:
                continue
            if callable(column.default):
                self.row[column.name] = self._made(column.type, column.default)
            elif column.name in self._rules.defaults:
                self.row[column.name] = self._rules.defaults[column.name]
            elif column.type == "timestamp":
                self.row[column.name] = self._recorded_at
            else:
                self.row[column.name] = empty_of(column.type)

    def _made(self, column_type: str, make: Callable[[], Any]) -> Any:
        try:
            return to_column(column_type, make())
        except Exception as error:  # noqa: BLE001 - whatever a foreign function raises
            self.keep("logging_error", describe_error(error))
            return empty_of(column_type)


def clean(value: Any) -> Any:
    """A value made of JSON's own types, and without secrets."""
    if value.__class__ is str and value.isascii():
        return redact_text(value)
    return redact_value(to_jsonable(value))


def _format_exception(exc_info: Any, exc_text: str | None, stack: str | None) -> str:
    triple = exc_info_triple(exc_info)
    if triple is not None:
        exc_text = traceback_text(triple)
    return safe_text("\n".join(text for text in (exc_text, stack) if text))
