"""Columns ↔ Arrow, and rows → Arrow, with arro3: no pyarrow, no Python object a row."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from arro3.core import DataType, Field, Schema, Table
from arro3.io import read_json

from spectra_logging.errors import RowsRejectedError
from spectra_logging.tables import Column
from spectra_logging.values import DoesNotFitError, to_column

__all__ = ["arrow_schema", "read_rows", "table_of"]

_SCALARS = {
    "string": DataType.utf8,
    "long": DataType.int64,
    "integer": DataType.int32,
    "double": DataType.float64,
    "boolean": DataType.bool,
    "date": DataType.date32,
}


def arrow_schema(columns: Sequence[Column]) -> Schema:
    """The Arrow schema of a spec's columns; timestamps are microseconds in UTC."""
    return Schema(
        [Field(c.name, _arrow_type(c.type), nullable=c.nullable) for c in columns]
    )


def _arrow_type(column_type: str) -> DataType:
    if column_type == "timestamp":
        return DataType.timestamp("us", tz="UTC")
    if column_type.startswith("array<"):
        return DataType.list(Field("element", _arrow_type(column_type[6:-1]), nullable=True))
    return _SCALARS[column_type]()


def read_rows(rows: bytes, schema: Schema) -> Table:
    """Newline-delimited JSON as an Arrow table.

    Raises:
        RowsRejectedError: Some row does not fit the schema.
    """
    try:
        return read_json(io.BytesIO(rows), schema).read_all()
    except Exception as error:  # noqa: BLE001 - arro3 raises plain Exception
        raise RowsRejectedError(f"rows can't be read as the table's columns: {error}") from error


def table_of(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> Table:
    """Rows as mappings, as an Arrow table.

    Raises:
        RowsRejectedError: A value does not fit its column, or a mapping names no column.
    """
    types = {column.name: column.type for column in columns}
    lines = []
    for number, row in enumerate(rows):
        unknown = sorted(set(row) - set(types))
        if unknown:
            raise RowsRejectedError(f"row {number} has fields that are no columns: {unknown}")
        try:
            line = {k: to_column(types[k], v) for k, v in row.items() if v is not None}
        except DoesNotFitError as error:
            raise RowsRejectedError(f"row {number}: {error}") from error
        lines.append(msgspec.json.encode(line))
    schema = arrow_schema(columns)
    if not lines:
        return Table.from_batches([], schema=schema)
    return read_rows(b"\n".join(lines), schema)
