"""What was promised, and is not looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import Answers, Check, Finding, Plan, refused
from spectra_stage.validation.view import TableView

__all__ = ["Unchecked"]


@dataclass(frozen=True, kw_only=True)
class Unchecked(Check):
    """A promise that no check says; it is skipped, so that nobody takes it for kept.

    Contracts have such: SQL, rules for other engines, texts for people.

    Args:
        statement: What was promised.
    """

    kind: ClassVar[str] = "unchecked"
    statement: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.statement, str) or not self.statement.strip():
            raise refused(self, "statement", "what was promised, in words")

    @property
    def words(self) -> str:
        """What it says, in words."""
        return " ".join(self.statement.split())

    def plan(self, view: TableView) -> Plan:  # noqa: ARG002 - no table tells
        """Nothing."""
        return Plan()

    def judge(self, view: TableView, answers: Answers) -> Finding:  # noqa: ARG002
        """It was not looked at."""
        return Finding(holds=None, words=f"no check says {self.words}")
