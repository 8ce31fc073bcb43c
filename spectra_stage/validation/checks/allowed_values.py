"""A column holds no value but some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import RowCheck, refused
from spectra_stage.validation.literals import Value, is_infinite, literal
from spectra_stage.validation.view import ImpossibleError, TableView

__all__ = ["AllowedValues"]


@dataclass(frozen=True, kw_only=True)
class AllowedValues(RowCheck):
    """The column holds none but these values; of a column of arrays, each element is one.

    Null is not compared.

    Args:
        column: A column of texts, numbers, booleans, dates or timestamps, or arrays of texts.
        values: The values.
    """

    kind: ClassVar[str] = "allowed_values"
    column: str
    values: Sequence[Value]

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.values, str) or not self.values:
            raise refused(self, "values", "a list of values, at least one")
        if any(map(is_infinite, self.values)):
            raise refused(self, "values", "finite values")
        if len({isinstance(value, bool) for value in self.values}) > 1:
            # YAML's NO, for Norway, and ON.
            raise refused(self, "values", "true and false alone, or others; in quotes no is a text")

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def words(self) -> str:
        """What it says, in words."""
        *others, last = map(str, self.values)
        told = f"{', '.join(others)} or {last}" if others else last
        return f"{self.column} is {told}"

    @property
    def complaint(self) -> str:
        """What rows that break it do."""
        return "hold another value"

    def breaks(self, view: TableView) -> str:
        """Rows with a value that is none of them."""
        column = view.column(self.column)
        name = view.dialect.quote(column.name)
        if column.type == "array<string>":
            if not all(isinstance(value, str) for value in self.values):
                raise ImpossibleError(f"column {self.column} holds texts, and some values are none")
            allowed = view.dialect.texts([str(value) for value in self.values])
            return f"cardinality(array_except({name}, {allowed})) > 0"
        listed = ", ".join(literal(value, column, view.dialect) for value in self.values)
        # Of four values and more DataFusion 55 makes a set, in which -0.0 is another than 0.0.
        return f"{view.comparable(self.column)} NOT IN ({listed})"
