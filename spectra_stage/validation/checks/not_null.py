"""A column never holds null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import RowCheck
from spectra_stage.validation.view import TableView

__all__ = ["NotNull"]


@dataclass(frozen=True, kw_only=True)
class NotNull(RowCheck):
    """The column is never null. NaN is a number, and none.

    Args:
        column: The column.
    """

    kind: ClassVar[str] = "not_null"
    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def words(self) -> str:
        """What it says, in words."""
        return f"{self.column} is never null"

    @property
    def complaint(self) -> str:
        """What rows that break it do."""
        return "hold null"

    def breaks(self, view: TableView) -> str:
        """Rows that hold null."""
        return f"{view.quoted(self.column)} IS NULL"

    def samples(self, view: TableView, limit: int) -> str | None:  # noqa: ARG002
        """None: they are all null."""
        return None
