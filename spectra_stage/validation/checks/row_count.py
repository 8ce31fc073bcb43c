"""How many rows a table has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import (
    Answers,
    Check,
    Finding,
    Plan,
    is_count,
    refused,
)
from spectra_stage.validation.view import TableView

__all__ = ["RowCount"]


@dataclass(frozen=True, kw_only=True)
class RowCount(Check):
    """The table has that many rows.

    Args:
        exactly: How many.
        minimum: How many at least.
        maximum: How many at most.
    """

    kind: ClassVar[str] = "row_count"
    exactly: int | None = None
    minimum: int | None = None
    maximum: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("exactly", "minimum", "maximum"):
            value = getattr(self, option)
            if value is not None and not is_count(value):
                raise refused(self, option, "a number of rows")
        bounded = self.minimum is not None or self.maximum is not None
        if (self.exactly is None) != bounded:
            raise refused(self, "exactly", "a number of rows, or left out for a minimum or maximum")
        if self.minimum is None or self.maximum is None:
            return
        if self.minimum > self.maximum:
            raise refused(self, "minimum", f"at most the maximum, which is {self.maximum}")

    @property
    def words(self) -> str:
        """What it says, in words."""
        return f"there are {self._expected} rows"

    @property
    def _expected(self) -> str:
        if self.exactly is not None:
            return f"{self.exactly}"
        bounds = []
        if self.minimum is not None:
            bounds.append(f"at least {self.minimum}")
        if self.maximum is not None:
            bounds.append(f"at most {self.maximum}")
        return " and ".join(bounds)

    def plan(self, view: TableView) -> Plan:  # noqa: ARG002
        """Nothing: rows are counted anyway."""
        return Plan()

    def judge(self, view: TableView, answers: Answers) -> Finding:  # noqa: ARG002
        """Compare the count."""
        rows = answers.rows
        holds = (
            (self.exactly is None or rows == self.exactly)
            and (self.minimum is None or rows >= self.minimum)
            and (self.maximum is None or rows <= self.maximum)
        )
        words = f"there are {rows}" if holds else f"there are {rows}, not {self._expected}"
        return Finding(holds=holds, words=words, figures={"rows": rows})
