"""Counts that a table holds as JSON are those of another table's rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from spectra_stage.validation.checks.base import Answers, Check, Finding, Plan
from spectra_stage.validation.view import TableView

__all__ = ["CountsBy"]


@dataclass(frozen=True, kw_only=True)
class CountsBy(Check):
    """A JSON object in the newest row counts another table's rows by one of its columns.

    Rows there in which that column is null may be any of those counted. What is no JSON object is
    for ``valid_json`` to tell; here it is compared with nothing.

    Args:
        column: The column with the JSON object.
        newest_by: The column whose greatest value marks the newest row.
        table: The other table's dotted name.
        by: That table's column whose values are counted.
    """

    kind: ClassVar[str] = "counts_by"
    column: str
    newest_by: str
    table: str
    by: str

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
        return f"{self.column} counts the rows of {self.table} by {self.by}"

    def plan(self, view: TableView) -> Plan:
        """Ask for the object, and for the counts."""
        other = view.other(self.table)
        by = other.quoted(self.by, "text")
        pair = "named_struct('name', spectra_name, 'count', spectra_count)"
        counts = f"SELECT {by} AS spectra_name, count(*) AS spectra_count FROM {other.sql_name}"
        return Plan(
            scalars={
                "counted": view.newest(self.column, self.newest_by, "text"),
                "counts": f"(SELECT {view.dialect.array_of(pair)} FROM ({counts} GROUP BY {by}))",
            }
        )

    def judge(self, view: TableView, answers: Answers) -> Finding:  # noqa: ARG002
        """Compare them name by name."""
        counted = _object(answers.scalars["counted"])
        if counted is None:
            return Finding(holds=True, words="there is no JSON object to compare")
        # An engine may give no array for no rows.
        there = {pair["name"]: pair["count"] for pair in answers.scalars["counts"] or ()}
        unknown = there.pop(None, 0)
        differing = [
            name for name in {*counted, *there} if counted.get(name, 0) != there.get(name, 0)
        ]
        lacking = [_lacking(counted.get(name, 0), there.get(name, 0)) for name in differing]
        holds = all(rows is not None for rows in lacking) and sum(filter(None, lacking)) <= unknown
        return Finding(
            holds=holds,
            words="the counts agree"
            if holds
            else f"{len(differing)} of {len({*counted, *there})} counts disagree",
            figures={"counts": len(counted), "counts_there": len(there)},
        )


def _lacking(counted: Any, there: int) -> int | None:
    """How many rows are missing from a count; ``None`` when that can't be what is wrong."""
    if isinstance(counted, bool) or not isinstance(counted, int) or counted < there:
        return None
    return counted - there


def _object(text: Any) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        return None
    return value if isinstance(value, dict) else None
