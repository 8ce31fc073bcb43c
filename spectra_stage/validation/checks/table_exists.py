"""The table is there and can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import Answers, Check, Finding, Plan
from spectra_stage.validation.view import TableView

__all__ = ["TableExists"]


@dataclass(frozen=True, kw_only=True)
class TableExists(Check):
    """There is a Delta table that can be read. Every suite has it, for every table."""

    kind: ClassVar[str] = "table_exists"

    @property
    def words(self) -> str:
        """What it says, in words."""
        return "the table exists"

    def plan(self, view: TableView) -> Plan:  # noqa: ARG002 - a table with a view is there
        """Nothing: that the table could be opened is the answer."""
        return Plan()

    def judge(self, view: TableView, answers: Answers) -> Finding:  # noqa: ARG002
        """It was opened, so it holds."""
        return Finding(holds=True, words="it can be read", figures={"state": "readable"})
