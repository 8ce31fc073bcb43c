"""Columns ↔ delta-rs's schemas."""

from __future__ import annotations

import re
from typing import Any

from deltalake import Field, Schema
from deltalake.schema import ArrayType, MapType, PrimitiveType, StructType

from spectra_logging.tables import Column

__all__ = [
    "arrays_without_nulls",
    "columns_of",
    "delta_field",
    "has_invariants",
    "has_variants",
]

_VARIANT = re.compile(r'"(?:type|elementType|valueType)":"variant"')


def delta_field(column: Column, *, nullable: bool) -> Field:
    """A column of a spec as a field of a Delta schema."""
    item = column.type.removeprefix("array<").removesuffix(">")
    primitive = PrimitiveType(item)
    return Field(
        column.name,
        primitive if item == column.type else ArrayType(primitive, contains_null=True),
        nullable=nullable,
        metadata={"comment": column.comment} if column.comment else {},
    )


def columns_of(schema: Schema) -> tuple[Column, ...]:
    """A table's columns, in order, with their comments."""
    return tuple(
        Column(
            name=field.name,
            type=_type_name(field.type),
            nullable=field.nullable,
            comment=str(field.metadata.get("comment", "")),
        )
        for field in schema.fields
    )


def arrays_without_nulls(schema: Schema) -> tuple[str, ...]:
    """The columns that are arrays whose elements must not be null, as others declare some."""
    return tuple(
        field.name
        for field in schema.fields
        if isinstance(field.type, ArrayType) and not field.type.contains_null
    )


def has_invariants(schema: Schema) -> bool:
    """Whether a column has an invariant: a constraint, as Delta had them first."""
    return "delta.invariants" in schema.to_json()


def has_variants(schema: Schema) -> bool:
    """Whether a column is of type ``variant``, or holds such values."""
    return _VARIANT.search(schema.to_json()) is not None


def _type_name(delta_type: Any) -> str:
    """A Delta type as a column names it: ``long``, ``array<string>``, ``struct<a:long>``."""
    if isinstance(delta_type, ArrayType):
        return f"array<{_type_name(delta_type.element_type)}>"
    if isinstance(delta_type, MapType):
        return f"map<{_type_name(delta_type.key_type)},{_type_name(delta_type.value_type)}>"
    if isinstance(delta_type, StructType):
        fields = (f"{field.name}:{_type_name(field.type)}" for field in delta_type.fields)
        return f"struct<{','.join(fields)}>"
    return str(delta_type.type)
