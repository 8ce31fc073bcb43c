"""What a column refers to is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import CountingCheck, refused
from spectra_stage.validation.view import ImpossibleError, TableView, family

__all__ = ["ForeignKey"]

# Not t: DataFusion takes t.a for the field of a column, where the table has one of that name.
_OWN = "spectra_own"


@dataclass(frozen=True, kw_only=True)
class ForeignKey(CountingCheck):
    """Each value of the column is one of another table's. Rows with a null refer to nothing.

    Args:
        column: The column, or several as a list.
        table: The other table's dotted name.
        references: Its columns; by default those of the same names.
    """

    kind: ClassVar[str] = "foreign_key"
    column: str | Sequence[str]
    table: str
    references: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.columns:
            raise refused(self, "column", "a column, or a list of them")
        if len(self._references) != len(self.columns):
            raise refused(self, "references", "as many columns as refer to them")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that refer."""
        return _as_names(self.column)

    @property
    def _references(self) -> tuple[str, ...]:
        return self.columns if self.references is None else _as_names(self.references)

    @property
    def words(self) -> str:
        """What it says, in words."""
        there = "" if self.references is None else f" ({', '.join(self._references)})"
        return f"{', '.join(self.columns)} refers to {self.table}{there}"

    @property
    def complaint(self) -> str:
        """What rows that break it do."""
        return "refer to nothing"

    def violations(self, view: TableView) -> str:
        """Counted by one anti-join."""
        return f"(SELECT count(*) FROM {self._orphans(view)})"

    def samples(self, view: TableView, limit: int) -> str | None:
        """The values that are not there."""
        columns = ", ".join(f"{_OWN}.{view.quoted(name)}" for name in self.columns)
        return f"SELECT DISTINCT {columns} FROM {self._orphans(view)} LIMIT {limit}"

    def breaks(self, view: TableView) -> str:
        """Rows whose value is not there."""
        return f"{self._known(view)} AND {self._joined(view)}.spectra_there IS NULL"

    def join(self, view: TableView) -> str | None:
        """The values that are there, each once."""
        other, joined = self._other(view), self._joined(view)
        # Under names of our own: other checks name the columns of t without saying that they are.
        keys = [f"spectra_key_{number}" for number in range(len(self.columns))]
        values = zip(self._values_there(view, other), keys, strict=True)
        names = ", ".join(f"{value} AS {key}" for value, key in values)
        there = f"SELECT DISTINCT {names}, TRUE AS spectra_there FROM {other.sql_name}"
        equal = self._equal(view, [f"{joined}.{key}" for key in keys])
        return f"LEFT JOIN ({there}) AS {joined} ON {equal}"

    def _orphans(self, view: TableView) -> str:
        other = self._other(view)
        equal = self._equal(view, self._values_there(view, other, other.sql_name), _OWN)
        absent = f"NOT EXISTS (SELECT 1 FROM {other.sql_name} WHERE {equal})"
        # Not as a plain condition: see RowCheck.samples.
        known = f"CASE WHEN {self._known(view)} THEN 1 END IS NOT NULL"
        return f"t AS {_OWN} WHERE {known} AND {absent}"

    def _known(self, view: TableView) -> str:
        return " AND ".join(f"{view.quoted(name)} IS NOT NULL" for name in self.columns)

    def _joined(self, view: TableView) -> str:
        return view.dialect.quote("spectra " + self.words)

    def _other(self, view: TableView) -> TableView:
        other = view.other(self.table)
        for here, there in zip(self.columns, self._references, strict=True):
            kinds = family(view.column(here).type), family(other.column(there).type)
            if kinds[0] != kinds[1]:
                raise ImpossibleError(f"{here} is {kinds[0]} and {self.table}.{there} {kinds[1]}")
        return other

    def _values_there(
        self, view: TableView, other: TableView, sql_name: str | None = None
    ) -> list[str]:
        return [
            other.comparable(there, sql_name, beside=view.column(here).type)
            for here, there in zip(self.columns, self._references, strict=True)
        ]

    def _equal(self, view: TableView, others: Iterable[str], sql_name: str | None = None) -> str:
        other = self._other(view)
        types = [other.column(name).type for name in self._references]
        return " AND ".join(
            f"{there} = {view.comparable(here, sql_name, beside=kind)}"
            for here, there, kind in zip(self.columns, others, types, strict=True)
        )


def _as_names(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
