"""Specs ↔ Delta schemas, and what keeps one from fitting the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deltalake import Field, Schema
from deltalake.schema import ArrayType, PrimitiveType

from spectra_logging.errors import SchemaConflictError
from spectra_logging.tables import Column, TableSpec

__all__ = ["delta_field", "missing_columns", "type_name"]


def delta_field(column: Column, *, nullable: bool) -> Field:
    """A column as a field of a Delta schema."""
    item = column.type.removeprefix("array<").removesuffix(">")
    primitive = PrimitiveType(item)
    return Field(
        column.name,
        primitive if item == column.type else ArrayType(primitive, contains_null=True),
        nullable=nullable,
        metadata={"comment": column.comment} if column.comment else {},
    )


def type_name(delta_type: Any) -> str:
    """A Delta type as a column names it, ``long`` or ``array<string>``."""
    if isinstance(delta_type, ArrayType):
        return f"array<{type_name(delta_type.element_type)}>"
    return str(delta_type.type)


def missing_columns(table: str, schema: Schema, spec: TableSpec) -> list[Column]:
    """The spec's columns that a table lacks.

    Raises:
        SchemaConflictError: The table's columns contradict the spec.
    """
    if differences := _conflicts(schema, spec):
        raise SchemaConflictError(table, differences)
    present = {field.name for field in schema.fields}
    return [column for column in spec.columns if column.name not in present]


def _conflicts(schema: Schema, spec: TableSpec) -> Sequence[str]:
    """What keeps rows of a spec out of a table, one sentence each.

    A column that may be null there and never here is none: rows of the spec fit it, and columns
    added to a table that has rows can't be otherwise.
    """
    differences = []
    declared = {column.name: column for column in spec.columns}
    # Delta's column names differ by more than case.
    spellings = {name.lower(): name for name in declared}
    for field in schema.fields:
        column = declared.get(field.name)
        there = type_name(field.type)
        if column is None:
            if spelling := spellings.get(field.name.lower()):
                differences.append(f"column {spelling} is spelt {field.name} there")
            elif not field.nullable:
                differences.append(
                    f"column {field.name} is never null there, and rows have none here"
                )
        elif there != column.type:
            differences.append(f"column {field.name} is {there} there, not {column.type}")
        elif column.nullable and not field.nullable:
            differences.append(f"column {field.name} is never null there, and may be null here")
    return differences
