"""A table has as many rows as another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import Answers, Check, Finding, Plan
from spectra_stage.validation.view import TableView

__all__ = ["SameCount"]


@dataclass(frozen=True, kw_only=True)
class SameCount(Check):
    """The table has as many rows as another.

    Args:
        table: The other's dotted name.
    """

    kind: ClassVar[str] = "same_count"
    table: str

    @property
    def words(self) -> str:
        """What it says, in words."""
        return f"there are as many rows as in {self.table}"

    def plan(self, view: TableView) -> Plan:
        """Count the other's."""
        return Plan(scalars={"other": f"(SELECT count(*) FROM {view.other(self.table).sql_name})"})

    def judge(self, view: TableView, answers: Answers) -> Finding:  # noqa: ARG002
        """Compare the two."""
        there = int(answers.scalars["other"])
        return Finding(
            holds=there == answers.rows,
            words=f"there are {answers.rows}, and {there} in {self.table}",
            figures={"rows": answers.rows, "rows_there": there},
        )
