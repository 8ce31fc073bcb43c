"""A number in one table counts the rows of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import Answers, Check, Finding, Plan
from spectra_stage.validation.view import TableView

__all__ = ["CountsRows"]


@dataclass(frozen=True, kw_only=True)
class CountsRows(Check):
    """A column's value in the newest row is the number of another table's rows.

    A null there is compared with nothing, and a table without rows has no value that could differ.

    Args:
        column: The column, of numbers.
        newest_by: The column whose greatest value marks the newest row.
        table: The other table's dotted name.
        where: That table's column of booleans which is true of the rows that count; by default
            all do.
    """

    kind: ClassVar[str] = "counts_rows"
    column: str
    newest_by: str
    table: str
    where: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def named(self) -> frozenset[str]:
        """The column, and the one that tells the newest row."""
        return frozenset((self.column.lower(), self.newest_by.lower()))

    @property
    def words(self) -> str:
        """What it says, in words."""
        which = f" that are {self.where}" if self.where else ""
        return f"{self.column} counts the rows of {self.table}{which}"

    def plan(self, view: TableView) -> Plan:
        """Ask for the number, and for the count."""
        other = view.other(self.table)
        counted = "*"
        if self.where is not None:
            counted = f"CASE WHEN {other.quoted(self.where, 'boolean')} THEN 1 END"
        return Plan(
            scalars={
                "here": view.newest(self.column, self.newest_by, "number"),
                "there": f"(SELECT count({counted}) FROM {other.sql_name})",
            }
        )

    def judge(self, view: TableView, answers: Answers) -> Finding:  # noqa: ARG002
        """Compare them."""
        here, there = answers.scalars["here"], int(answers.scalars["there"])
        if here is None:
            return Finding(holds=True, words="there is no number to compare")
        return Finding(
            holds=here == there,
            words=f"it says {here}, and {self.table} has {there}",
            figures={"counted": here, "rows_there": there},
        )
