"""Columns ↔ Arrow, and rows → Arrow, with arro3: no pyarrow, no Python object a row."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from arro3.core import (
    ChunkedArray,
    DataType,
    Field,
    RecordBatch,
    RecordBatchReader,
    Schema,
    Table,
)
from arro3.io import read_json

from spectra_logging.errors import RowsRejectedError
from spectra_logging.lakehouse.calendar import date_of, moment_of
from spectra_logging.tables import Column

__all__ = [
    "UTC_MICROSECONDS",
    "arrow_schema",
    "in_order",
    "python_values",
    "read_rows",
    "reader_of",
    "stream_rows",
]

UTC_MICROSECONDS = DataType.timestamp("us", tz="UTC")
BATCH_ROWS = 2048
# 0.8 is the last for Python 3.10.
_SINCE_0_9 = tuple(map(int, version("arro3-io").split(".")[:2])) >= (0, 9)
REASON_CHARACTERS = 300
"""arro3's errors quote the whole value, which may be megabytes."""

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
    return Schema([Field(c.name, _arrow_type(c.type), nullable=c.nullable) for c in columns])


def _arrow_type(column_type: str) -> DataType:
    if column_type == "timestamp":
        return UTC_MICROSECONDS
    if column_type.startswith("array<"):
        return DataType.list(Field("element", _arrow_type(column_type[6:-1]), nullable=True))
    return _SCALARS[column_type]()


def read_rows(rows: bytes, schema: Schema) -> Table:
    """Newline-delimited JSON as an Arrow table.

    Raises:
        RowsRejectedError: Some row does not fit the schema.
    """
    reader = stream_rows(rows, schema)
    try:
        return reader.read_all()
    except Exception as error:
        reason = str(error).removeprefix("C Data interface error: Json error: ")
        raise RowsRejectedError(_shortened(reason)) from error


def stream_rows(rows: bytes, schema: Schema) -> RecordBatchReader:
    """Newline-delimited JSON as a stream of Arrow batches, parsed as they are taken.

    Taking from it raises whatever the taker makes of a row that does not fit the schema.

    Raises:
        RowsRejectedError: The rows hold what JSON does not allow.
    """
    # arro3 ends the whole process, not just the call, when an error's text holds a NUL. So NULs
    # that could come to stand in one are looked for first: raw ones, which JSON does not allow,
    # and escaped ones, for which the same rows with another control character are read first.
    if b"\0" in rows:
        raise RowsRejectedError("a row holds a raw NUL byte, which JSON does not allow")
    # From the end, which takes half the time of ``in`` or of a regular expression: CPython looks
    # for the rare backslash then, not for the last of many zeros.
    if rows.rfind(b"\\u0000") >= 0:
        read_rows(rows.replace(b"\\u0000", b"\\u0001"), schema)
    return read_json(_source(rows), schema, batch_size=BATCH_ROWS)


def _shortened(reason: str) -> str:
    return reason if len(reason) <= REASON_CHARACTERS else f"{reason[:REASON_CHARACTERS]}…"


def python_values(column: ChunkedArray) -> list[Any]:
    """A column as plain Python values; timestamps are aware datetimes in UTC, maps dictionaries."""
    # By way of numbers: arro3 refuses years that Python has not, and makes nulls of some.
    if DataType.is_timestamp(column.type):
        column = column.cast(DataType.timestamp("us", tz=column.type.tz))
        return list(map(moment_of, column.cast(DataType.int64()).to_pylist()))
    if DataType.is_date(column.type):
        column = column.cast(DataType.date32()).cast(DataType.int32())
        return list(map(date_of, column.to_pylist()))
    values = list(column.to_pylist())
    return list(map(_with_maps, values)) if DataType.is_nested(column.type) else values


def _with_maps(value: Any) -> Any:
    """A nested value whose maps are dictionaries: arro3 makes pairs of them, and of nothing else.

    A map by structures or lists stays as it is, for those are no keys of a dictionary.
    """
    if isinstance(value, dict):
        return {name: _with_maps(item) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    if value and isinstance(value[0], tuple) and not isinstance(value[0][0], (dict, list)):
        return {key: _with_maps(item) for key, item in value}
    return [_with_maps(item) for item in value]


def in_order(schema: Schema, names: Sequence[str]) -> Schema:
    """A schema's fields in the order of these names, which may be more."""
    known = set(schema.names)
    return Schema([schema.field(name) for name in names if name in known])


def reader_of(schema: Schema, batches: Iterator[RecordBatch]) -> RecordBatchReader:
    """Batches as a stream: made as they are taken, or all at once by arro3 0.8."""
    # What each takes, the other's stubs may not know.
    taken: Any = batches if _SINCE_0_9 else list(batches)
    return RecordBatchReader.from_batches(schema, taken)


def _source(rows: bytes) -> Any:
    # Through a file object it takes half as long again, but arro3 0.8 reads nothing else, and its
    # stubs know of nothing else.
    return rows if _SINCE_0_9 else io.BytesIO(rows)
