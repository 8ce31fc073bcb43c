"""A condition of one's own, in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import RowCheck, refused
from spectra_stage.validation.sql_names import names_in, resolved
from spectra_stage.validation.view import TableView

__all__ = ["Condition"]


@dataclass(frozen=True, kw_only=True)
class Condition(RowCheck):
    """An SQL condition is true of each row; where it is null, the row breaks nothing.

    Columns may be written in any case, plain or in double quotes, texts in single quotes, whatever
    the engine.

    Args:
        condition: The condition.
    """

    kind: ClassVar[str] = "condition"
    condition: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.condition, str) or not self.condition.strip():
            raise refused(self, "condition", "an SQL condition")

    @property
    def words(self) -> str:
        """What it says, in words."""
        return " ".join(self.condition.split())

    def breaks(self, view: TableView) -> str:
        """Rows of which it is false."""
        return f"NOT (\n{resolved(self.condition, view).sql}\n)"

    @property
    def named(self) -> frozenset[str]:
        """What the condition names, columns among it."""
        return names_in(self.condition)

    def columns_in(self, view: TableView) -> tuple[str, ...]:
        """The columns that it names."""
        return resolved(self.condition, view).columns
