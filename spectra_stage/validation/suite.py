"""Suites: which checks each table is to pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spectra_logging.errors import ConfigurationError
from spectra_logging.paths import table_below
from spectra_logging.redaction import redact_text
from spectra_stage.validation.checks import Check, TableExists

__all__ = ["Suite", "TableSuite", "distinct_names", "place_of"]


@dataclass(frozen=True, kw_only=True)
class TableSuite:
    """The checks of one table.

    Args:
        table: The table's dotted name, ``sales.orders``.
        checks: The checks, in the order in which they are reported. That the table exists comes
            first in any case.
        path: Its path or URI; by default ``Tables/sales/orders``.

    Raises:
        ConfigurationError: The name is empty, or something among the checks is none.
    """

    table: str
    checks: Sequence[Check] = ()
    path: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.table, str) or not self.table.strip():
            raise ConfigurationError(f"table={self.table!r} may be a table's dotted name")
        checks = tuple(self.checks)
        for check in checks:
            if not isinstance(check, Check):
                raise ConfigurationError(
                    f"checks of {self.table}: {check!r} is no check of spectra_stage.validation"
                )
        exists = any(isinstance(check, TableExists) for check in checks)
        object.__setattr__(self, "checks", (*(() if exists else (TableExists(),)), *checks))


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The checks of some tables.

    Args:
        name: The suite's name.
        tables: The tables, in order.

    Raises:
        ConfigurationError: There is no table, or one is there twice.
    """

    name: str
    tables: Sequence[TableSuite]

    def __post_init__(self) -> None:
        tables = tuple(self.tables)
        names = [table.table for table in tables]
        if not names:
            # It would pass, whatever its tables hold.
            raise ConfigurationError(f"suite {self.name} has no tables: one at least is needed")
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigurationError(f"suite {self.name} has twice: {', '.join(doubled)}")
        object.__setattr__(self, "tables", tables)

    def only(self, *tables: str) -> Suite:
        """The suite of some of its tables.

        Args:
            tables: Their dotted names.

        Raises:
            ConfigurationError: None is named, or one that the suite does not have.
        """
        names = [table.table for table in self.tables]
        if not tables or any(name not in names for name in tables):
            raise ConfigurationError(
                f"suite {self.name}: only({', '.join(map(repr, tables))}) must name one or more "
                f"of {', '.join(names)}"
            )
        kept = [table for table in self.tables if table.table in tables]
        return Suite(name=self.name, tables=kept)


def distinct_names(checks: Sequence[Check]) -> list[str]:
    """What a table's checks are called: in words, numbered where several say the same."""
    names: dict[str, None] = {}
    # How far each has been counted: thousands may say the same.
    numbers: dict[str, int] = {}
    for check in checks:
        name = words = redact_text(check.name or check.words)
        number = numbers.get(words, 1)
        while name in names:
            number += 1
            name = f"{words} ({number})"
        numbers[words] = number
        names[name] = None
    return list(names)


def place_of(
    table: str,
    path: str | None,
    *,
    root: str | Path | None = None,
    places: Mapping[str, str] | None = None,
) -> str:
    """Where a table is.

    Args:
        table: Its dotted name.
        path: Its path or URI, where the suite has one.
        root: The folder or URI that relative paths are below; by default as
            :func:`~spectra_logging.paths.resolve_table` has it.
        places: Paths or URIs by dotted names, which come before all else.
    """
    path = (places or {}).get(table) or path or f"Tables/{table.replace('.', '/')}"
    return table_below(root, path)
