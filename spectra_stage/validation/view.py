"""A table as the checks see it: its columns by any spelling, and the SQL that its engine speaks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from spectra_logging.lakehouse.dialect import Dialect
from spectra_logging.tables import Column

__all__ = ["ImpossibleError", "TableView", "family"]

_FLOATS = ("float", "double")
_NUMBERS = ("byte", "short", "integer", "long", *_FLOATS)


class ImpossibleError(Exception):
    """A check can't be asked of a table.

    Attributes:
        column: The column that is to blame, as the suite spells it.
        table: The other table that is to blame.
    """

    def __init__(self, reason: str, *, column: str | None = None, table: str | None = None) -> None:
        self.column = column
        self.table = table
        super().__init__(reason)


def family(column_type: str) -> str:
    """What a type is of: number, text, date, timestamp, boolean, or its own name."""
    if column_type in _NUMBERS or column_type.startswith("decimal"):
        return "number"
    if column_type.startswith("timestamp"):
        return "timestamp"
    if column_type in {"string", "varchar", "char"}:
        return "text"
    return column_type.partition("<")[0]


@dataclass(frozen=True, kw_only=True)
class TableView:
    """A table at the version that is looked at.

    Args:
        table: Its dotted name.
        columns: Its columns.
        dialect: The engine's SQL.
        now: When the look began, in UTC.
        opens: Opens another table by its dotted name.
        sql_name: What statements call it.
    """

    table: str
    columns: Sequence[Column]
    dialect: Dialect
    now: dt.datetime
    opens: Callable[[str], TableView]
    sql_name: str = "t"
    _by_name: dict[str, Column] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name.update({column.name.lower(): column for column in self.columns})

    def column(self, name: str, *families: str) -> Column:
        """The column of that name in any case: Delta has no two that differ by case alone.

        Args:
            name: The name.
            families: What its type may be of; anything when none is given.

        Raises:
            ImpossibleError: There is none, or it is of another type.
        """
        column = self._by_name.get(name.lower())
        if column is None:
            raise self._impossible(name, f"there is no column {self._told(name)}")
        if families and family(column.type) not in families:
            raise self._impossible(
                name,
                f"column {self._told(name)} is of type {column.type}; this takes "
                f"{' or '.join(families)}",
            )
        return column

    def other(self, table: str) -> TableView:
        """Another table, to be named in the same statement.

        Raises:
            ImpossibleError: There is none, or it can't be read.
        """
        return replace(self.opens(table), dialect=self.dialect)

    def has(self, name: str) -> bool:
        """Whether there is a column of that name, in any case."""
        return name.lower() in self._by_name

    def quoted(self, name: str, *families: str) -> str:
        """The column as SQL writes it: see :meth:`column`."""
        return self.dialect.quote(self.column(name, *families).name)

    def comparable(
        self, name: str, sql_name: str | None = None, *, beside: str | None = None
    ) -> str:
        """The column as SQL that has one zero and one NaN, to be compared: see :meth:`column`.

        Args:
            name: The name.
            sql_name: What the statement calls the table, where it has several.
            beside: The type of the column that it is compared with, if with one.
        """
        column = self.column(name)
        sql = self.dialect.quote(column.name)
        if sql_name is not None:
            sql = f"{sql_name}.{sql}"
        if column.type not in _FLOATS:
            # As Spark 4 has it. DataFusion would make decimals of the floats, and fail at NaN, and
            # of whole numbers floats of 32 bits, as Spark 3 does, of which many are one.
            return f"CAST({sql} AS DOUBLE)" if beside in _FLOATS else sql
        # DataFusion 55 tells 0.0 from -0.0 where it counts distinct values and in windows, and NaN
        # from NaN with a sign, which 0/0 gives on most machines, everywhere.
        return f"nanvl({sql} + 0, CAST('NaN' AS {column.type.upper()}))"

    def newest(self, name: str, newest_by: str, *families: str) -> str:
        """An aggregate: a column's value in the row whose ``newest_by`` is the greatest."""
        return self.dialect.at_greatest(self.quoted(name, *families), self.quoted(newest_by))

    def _told(self, name: str) -> str:
        return name if self.sql_name == "t" else f"{self.table}.{name}"

    def _impossible(self, name: str, reason: str) -> ImpossibleError:
        if self.sql_name == "t":
            return ImpossibleError(reason)
        return ImpossibleError(reason, table=self.table, column=name)
