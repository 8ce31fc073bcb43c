"""The checks that a table's declaration stands for."""

from __future__ import annotations

from collections.abc import Sequence

from spectra_logging.tables import Column, TableSpec
from spectra_stage.validation.checks import (
    AllowedValues,
    Check,
    NotNull,
    Pattern,
    Range,
    TableSchema,
    Unique,
    ValidJson,
)

__all__ = ["checks_of", "checks_of_columns"]


def checks_of(spec: TableSpec) -> tuple[Check, ...]:
    """The checks that a spec stands for: its columns, nulls, keys, and what is valid in each."""
    checks = checks_of_columns(spec.columns)
    if spec.keys:
        checks.append(Unique(column=spec.keys[0] if len(spec.keys) == 1 else spec.keys))
    return tuple(checks)


def checks_of_columns(columns: Sequence[Column], *, more_columns: bool = False) -> list[Check]:
    """The checks that columns stand for.

    Args:
        columns: The columns.
        more_columns: Whether the table may have others too.
    """
    checks: list[Check] = []
    if columns:
        checks.append(TableSchema(declared=tuple(columns), more_columns=more_columns))
    for column in columns:
        checks += _checks_of_column(column)
    return checks


def _checks_of_column(column: Column) -> list[Check]:
    checks: list[Check] = []
    if not column.nullable:
        checks.append(NotNull(column=column.name))
    if column.minimum is not None or column.maximum is not None:
        checks.append(Range(column=column.name, minimum=column.minimum, maximum=column.maximum))
    if column.allowed_values:
        checks.append(AllowedValues(column=column.name, values=column.allowed_values))
    if column.pattern is not None:
        checks.append(Pattern(column=column.name, pattern=column.pattern))
    if column.json is not None:
        checks.append(ValidJson(column=column.name, value=column.json))
    return checks
