"""Columns ↔ Spark's types, by name: no import of PySpark."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from arro3.core import DataType, Field, Schema

from spectra_logging.errors import RowsRejectedError
from spectra_logging.lakehouse.stored import type_name
from spectra_logging.tables import Column

__all__ = ["column_ddl", "columns_of", "ddl_of", "quoted", "text_literal"]

_DDL = {"long": "BIGINT", "integer": "INT"}

_ARROW_DDL: tuple[tuple[Callable[[DataType], bool], str], ...] = (
    (DataType.is_boolean, "BOOLEAN"),
    (DataType.is_int8, "TINYINT"),
    (DataType.is_int16, "SMALLINT"),
    (DataType.is_int32, "INT"),
    (DataType.is_int64, "BIGINT"),
    (DataType.is_float32, "FLOAT"),
    (DataType.is_float64, "DOUBLE"),
    (DataType.is_date32, "DATE"),
    # By that name, since a reader parses its schema with the settings of the thread's active
    # session, by which TIMESTAMP may be a type without a zone.
    (DataType.is_timestamp, "TIMESTAMP_LTZ"),
    (DataType.is_string, "STRING"),
    (DataType.is_large_string, "STRING"),
    (DataType.is_string_view, "STRING"),
    (DataType.is_binary, "BINARY"),
    (DataType.is_large_binary, "BINARY"),
    (DataType.is_binary_view, "BINARY"),
    (DataType.is_null, "STRING"),
)


def quoted(name: str) -> str:
    """A name as an identifier in SQL."""
    return "`" + name.replace("`", "``") + "`"


def text_literal(text: str) -> str:
    """A text as a literal in SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _type_ddl(column_type: str) -> str:
    """A column's type as SQL names it."""
    if column_type.startswith("array<"):
        return f"ARRAY<{_type_ddl(column_type[6:-1])}>"
    return _DDL.get(column_type, column_type.upper())


def ddl_of(schema: Schema) -> str:
    """The schema to read Arrow data as; Delta sees to what must not be null.

    Raises:
        RowsRejectedError: A column has a type that Spark has none for.
    """
    fields = (schema.field(name) for name in schema.names)
    return ", ".join(f"{quoted(field.name)} {_arrow_ddl(field)}" for field in fields)


def _arrow_ddl(field: Field) -> str:
    for is_type, ddl in _ARROW_DDL:
        if is_type(field.type):
            return ddl
    if DataType.is_decimal128(field.type):
        # arro3 tells the digits in the type's text alone.
        precision, scale = re.findall(r"-?\d+", str(field.type).partition("(")[2])
        return f"DECIMAL({precision}, {scale})"
    if DataType.is_list(field.type) or DataType.is_large_list(field.type):
        assert field.type.value_field is not None
        return f"ARRAY<{_arrow_ddl(field.type.value_field)}>"
    if DataType.is_struct(field.type):
        fields = (f"{quoted(f.name)}: {_arrow_ddl(f)}" for f in field.type.fields)
        return f"STRUCT<{', '.join(fields)}>"
    raise RowsRejectedError(
        f"column {field.name} is {type_name(field.type)}, which is not handed to Spark"
    )


def column_ddl(column: Column, *, nullable: bool) -> str:
    """A column as ``CREATE TABLE`` and ``ADD COLUMNS`` take it."""
    parts = [quoted(column.name), _type_ddl(column.type)]
    if not nullable:
        parts.append("NOT NULL")
    if column.comment:
        parts.append(f"COMMENT {text_literal(column.comment)}")
    return " ".join(parts)


def columns_of(schema: Any) -> tuple[Column, ...]:
    """The columns of a ``StructType``, in order, with their comments."""
    return tuple(
        Column(
            name=field.name,
            type=_type_name(field.dataType.jsonValue()),
            nullable=field.nullable,
            comment=str((field.metadata or {}).get("comment", "")),
        )
        for field in schema.fields
    )


def _type_name(json_type: Any) -> str:
    """A type as a column names it: ``long``, ``array<string>``, ``struct<a:long>``."""
    if isinstance(json_type, str):
        return json_type
    if json_type["type"] == "array":
        return f"array<{_type_name(json_type['elementType'])}>"
    if json_type["type"] == "map":
        return f"map<{_type_name(json_type['keyType'])},{_type_name(json_type['valueType'])}>"
    fields = (f"{field['name']}:{_type_name(field['type'])}" for field in json_type["fields"])
    return f"struct<{','.join(fields)}>"
