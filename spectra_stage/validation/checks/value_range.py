"""A column's values lie within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR
from typing import ClassVar

from spectra_stage.validation.checks.base import RowCheck, refused
from spectra_stage.validation.literals import Value, is_infinite, literal
from spectra_stage.validation.view import TableView

__all__ = ["Range"]


@dataclass(frozen=True, kw_only=True)
class Range(RowCheck):
    """The column's values lie within bounds, which are valid themselves.

    Null is not compared. NaN lies within no bounds. Bounds of timestamps are in UTC where they
    name no zone; those of decimals are compared as decimals.

    Args:
        column: A column of numbers, texts, dates or timestamps.
        minimum: The least valid value.
        maximum: The greatest.
    """

    kind: ClassVar[str] = "range"
    column: str
    minimum: Value | None = None
    maximum: Value | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minimum is None and self.maximum is None:
            raise refused(self, "minimum", "a value, when there is no maximum")
        for option in ("minimum", "maximum"):
            if is_infinite(getattr(self, option)):
                raise refused(self, option, "a finite value, or left out where there is no bound")
        if self._is_empty():
            raise refused(self, "minimum", f"at most the maximum, which is {self.maximum!r}")

    def _is_empty(self) -> bool:
        """Whether no value lies between the two; of texts, the column tells what they are."""
        minimum, maximum = self.minimum, self.maximum
        if minimum is None or maximum is None or {type(minimum), type(maximum)} & {str, bool}:
            return False
        try:
            return minimum > maximum  # type: ignore[operator] # what can't be compared raises
        except TypeError:
            return False

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def words(self) -> str:
        """What it says, in words."""
        bounds = []
        if self.minimum is not None:
            bounds.append(f"at least {self.minimum}")
        if self.maximum is not None:
            bounds.append(f"at most {self.maximum}")
        return f"{self.column} is {' and '.join(bounds)}"

    @property
    def complaint(self) -> str:
        """What rows that break it do."""
        return "lie outside"

    def breaks(self, view: TableView) -> str:
        """Rows below the one, above the other, or NaN."""
        column = view.column(self.column, "number", "text", "date", "timestamp")
        name = view.dialect.quote(column.name)
        # Numbers are rounded to the next that the column can hold, which changes nothing: to
        # compare with finer ones, DataFusion 55 makes the column's as fine, and some don't fit.
        outside = []
        if self.minimum is not None:
            minimum = literal(self.minimum, column, view.dialect, rounding=ROUND_CEILING)
            outside.append(f"{name} < {minimum}")
        if self.maximum is not None:
            maximum = literal(self.maximum, column, view.dialect, rounding=ROUND_FLOOR)
            outside.append(f"{name} > {maximum}")
        if column.type in {"float", "double"}:
            # Both engines hold NaN for greater than any number.
            outside.append(f"isnan({name})")
        return " OR ".join(outside)
