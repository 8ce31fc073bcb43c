"""What keeps a table from fitting its spec, whichever engine tells its columns."""

from __future__ import annotations

from collections.abc import Sequence

from spectra_logging.errors import SchemaConflictError
from spectra_logging.tables import Column, TableSpec

__all__ = ["missing_columns"]


def missing_columns(table: str, present: Sequence[Column], spec: TableSpec) -> tuple[Column, ...]:
    """The spec's columns that a table lacks.

    Args:
        table: The table's place, for the error.
        present: The table's columns.
        spec: What it is to fit.

    Raises:
        SchemaConflictError: The table's columns contradict the spec.
    """
    if differences := _conflicts(present, spec):
        raise SchemaConflictError(table, differences)
    names = {column.name for column in present}
    return tuple(column for column in spec.columns if column.name not in names)


def _conflicts(present: Sequence[Column], spec: TableSpec) -> Sequence[str]:
    """What keeps rows of a spec out of a table, one sentence each.

    A column that may be null there and never here is none: rows of the spec fit it, and columns
    added to a table that has rows can't be otherwise.
    """
    differences = []
    declared = {column.name: column for column in spec.columns}
    # Delta's column names differ by more than case.
    spellings = {name.lower(): name for name in declared}
    for there in present:
        column = declared.get(there.name)
        if column is None:
            if spelling := spellings.get(there.name.lower()):
                differences.append(f"column {spelling} is spelt {there.name} there")
            elif not there.nullable:
                differences.append(
                    f"column {there.name} is never null there, and rows have none here"
                )
        elif there.type != column.type:
            differences.append(f"column {there.name} is {there.type} there, not {column.type}")
        elif column.nullable and not there.nullable:
            differences.append(f"column {there.name} is never null there, and may be null here")
    return differences
