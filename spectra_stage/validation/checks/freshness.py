"""A table's newest row is not too old."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from math import inf
from typing import ClassVar

from spectra_stage.validation.checks.base import Answers, Check, Finding, Plan, refused
from spectra_stage.validation.view import TableView

__all__ = ["Freshness"]


@dataclass(frozen=True, kw_only=True)
class Freshness(Check):
    """The newest value of a column is no older than that when the validation begins.

    A date counts from its midnight in UTC. A table without any value is not fresh.

    Args:
        column: A column of timestamps or dates.
        maximum_age_hours: Hours.
    """

    kind: ClassVar[str] = "freshness"
    column: str
    maximum_age_hours: float

    def __post_init__(self) -> None:
        super().__post_init__()
        hours = self.maximum_age_hours
        if isinstance(hours, bool) or not isinstance(hours, (int, float)) or not 0 < hours < inf:
            raise refused(self, "maximum_age_hours", "a number of hours above 0")

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def words(self) -> str:
        """What it says, in words."""
        return f"the newest {self.column} is at most {self.maximum_age_hours:g} hours old"

    def plan(self, view: TableView) -> Plan:
        """Ask for the newest."""
        return Plan(scalars={"newest": f"max({view.quoted(self.column, 'timestamp', 'date')})"})

    def judge(self, view: TableView, answers: Answers) -> Finding:
        """Compare its age."""
        newest = answers.scalars["newest"]
        if newest is None:
            return Finding(holds=False, words=f"there is no {self.column}")
        if isinstance(newest, str):
            # Of a year after 9999, or before the first.
            return Finding(
                holds=newest.startswith("+"),
                words=f"the newest is of {newest}",
                figures={"newest": newest},
            )
        if not isinstance(newest, dt.datetime):
            newest = dt.datetime.combine(newest, dt.time())
        if newest.tzinfo is None:
            newest = newest.replace(tzinfo=dt.timezone.utc)
        age_hours = (view.now - newest).total_seconds() / 3600
        return Finding(
            holds=age_hours <= self.maximum_age_hours,
            words=f"the newest is of {newest:%Y-%m-%d %H:%M:%S} UTC, {age_hours:.1f} hours old",
            figures={"newest": newest.isoformat(), "age_hours": round(age_hours, 3)},
        )
