"""A table's columns are as declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from spectra_logging.tables import Column
from spectra_stage.validation.checks.base import Answers, Check, Finding, Plan, refused
from spectra_stage.validation.nested_types import type_differences
from spectra_stage.validation.view import TableView

__all__ = ["TableSchema"]


@dataclass(frozen=True, kw_only=True)
class TableSchema(Check):
    """The table's columns are the declared ones, by name, type and nullability.

    Nested types are compared field by field. A column that is declared as never null and may be
    null in the table is no difference, since columns that were added to a table with rows can't be
    otherwise: ``not_null`` looks at the rows. The order of columns means nothing.

    Args:
        declared: The columns.
        more_columns: Whether the table may have more than is declared: other columns too, and
            columns that are never null where they may be.
    """

    kind: ClassVar[str] = "table_schema"
    declared: Sequence[Column]
    more_columns: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.declared:
            raise refused(self, "declared", "a list of columns, at least one")

    @property
    def words(self) -> str:
        """What it says, in words."""
        return "the columns are as declared"

    def plan(self, view: TableView) -> Plan:  # noqa: ARG002
        """Nothing: the table's log tells its columns."""
        return Plan()

    def judge(self, view: TableView, answers: Answers) -> Finding:  # noqa: ARG002
        """List every difference."""
        differences = self.differences(view.columns)
        told = [words for of_column in differences.values() for words in of_column]
        return Finding(
            holds=not told,
            words="; ".join(told) or f"all {len(self.declared)} are",
            figures={"columns": len(view.columns), "differences": len(told)},
        )

    def differences(self, present: Sequence[Column]) -> dict[str, list[str]]:
        """What differs, in words, by the column's name in lower case."""
        there = {column.name: column for column in present}
        spellings = {column.name.lower(): column.name for column in present}
        declared = {column.name for column in self.declared}
        found: dict[str, list[str]] = {}
        spelt_otherwise = set()
        for column in self.declared:
            spelling = column.name if column.name in there else spellings.get(column.name.lower())
            if spelling is None:
                words = [f"column {column.name} is missing"]
            else:
                words = type_differences(column.name, column.type, there[spelling].type)
                if column.nullable and not there[spelling].nullable and not self.more_columns:
                    words.append(
                        f"column {column.name} is never null there, and may be null by declaration"
                    )
            if spelling is not None and spelling != column.name and spelling not in declared:
                spelt_otherwise.add(spelling)
                words = [f"column {column.name} is spelt {spelling}", *words]
            if words:
                found[column.name.lower()] = words
        if not self.more_columns:
            for name in there.keys() - declared - spelt_otherwise:
                found.setdefault(name.lower(), []).append(f"column {name} is not declared")
        return dict(sorted(found.items()))
