"""A column shows no more of a secret than its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import RowCheck, refused
from spectra_stage.validation.view import TableView

__all__ = ["Masked"]


@dataclass(frozen=True, kw_only=True)
class Masked(RowCheck):
    """The column holds secrets as ``***`` and their last characters. Null is not compared.

    No sample of the column is ever shown, whatever check fails.

    Args:
        column: A column of texts.
        shown: How many characters may be shown at most.
    """

    kind: ClassVar[str] = "masked"
    column: str
    shown: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.shown, int) or not 0 <= self.shown <= 8:
            raise refused(self, "shown", "a number of characters from 0 to 8")

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def words(self) -> str:
        """What it says, in words."""
        return f"{self.column} is masked but for {self.shown} characters at most"

    @property
    def complaint(self) -> str:
        """What rows that break it do."""
        return "are not masked so"

    def breaks(self, view: TableView) -> str:
        """Rows with anything else."""
        column = view.quoted(self.column, "text")
        pattern = rf"\A\*\*\*[\s\S]{{0,{self.shown}}}\z"
        return f"NOT {view.dialect.matches(column, pattern)}"

    def samples(self, view: TableView, limit: int) -> str | None:  # noqa: ARG002
        """None: what is not masked may be the secret."""
        return None
