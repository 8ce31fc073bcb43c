"""One column, or several together, are unique."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import CountingCheck, refused
from spectra_stage.validation.view import TableView

__all__ = ["Unique"]


@dataclass(frozen=True, kw_only=True)
class Unique(CountingCheck):
    """The columns together are unique; what breaks it are rows beyond the first of each value.

    Rows in which one of them is null are not compared, as in SQL. NaN equals NaN.

    Args:
        column: The column, or several as a list.
    """

    kind: ClassVar[str] = "unique"
    column: str | Sequence[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.columns or len(set(self.columns)) < len(self.columns):
            raise refused(self, "column", "a column, or a list of different ones")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns."""
        return (self.column,) if isinstance(self.column, str) else tuple(self.column)

    @property
    def words(self) -> str:
        """What it says, in words."""
        if len(self.columns) == 1:
            return f"{self.columns[0]} is unique"
        return f"{', '.join(self.columns)} are unique together"

    @property
    def complaint(self) -> str:
        """What rows that break it do."""
        return "repeat another"

    def violations(self, view: TableView) -> str:
        """One column is counted in the one scan, several are grouped by a scan of their own."""
        if len(self.columns) == 1:
            name = view.comparable(self.columns[0])
            return f"count({name}) - count(DISTINCT {name})"
        return (
            "(SELECT coalesce(sum(spectra_n - 1), 0) FROM "
            f"(SELECT count(*) AS spectra_n {self._grouped(view)}) AS repeated)"
        )

    def samples(self, view: TableView, limit: int) -> str | None:
        """The values that occur more than once."""
        return f"SELECT {self._names(view)} {self._grouped(view)} LIMIT {limit}"

    def breaks(self, view: TableView) -> str:
        """All rows of a value that occurs more than once: which of them is right, nobody knows."""
        return f"{self._known(view)} AND count(*) OVER (PARTITION BY {self._names(view)}) > 1"

    def _grouped(self, view: TableView) -> str:
        # Nulls are left out behind the grouping: a WHERE before it makes DataFusion 55 take a
        # column whose file says that minimum and maximum are one for constant, NaNs and all.
        known = "".join(f" AND count({view.quoted(name)}) > 1" for name in self.columns)
        return f"FROM t GROUP BY {self._names(view)} HAVING count(*) > 1{known}"

    def _known(self, view: TableView) -> str:
        return " AND ".join(f"{view.quoted(name)} IS NOT NULL" for name in self.columns)

    def _names(self, view: TableView) -> str:
        return ", ".join(map(view.comparable, self.columns))
