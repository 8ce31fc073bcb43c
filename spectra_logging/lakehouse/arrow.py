"""Columns ↔ Arrow, and rows → Arrow, with arro3: no pyarrow, no Python object a row."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from arro3.core import (
    Array,
    ChunkedArray,
    DataType,
    Field,
    RecordBatch,
    RecordBatchReader,
    Schema,
    Table,
    list_flatten,
    struct_field,
)
from arro3.io import read_json

from spectra_logging.errors import ConfigurationError, RowsRejectedError
from spectra_logging.lakehouse.base import ArrowStream
from spectra_logging.tables import Column, TableSpec
from spectra_logging.values import DoesNotFitError, to_column

__all__ = [
    "arrow_schema",
    "as_stored",
    "as_table",
    "conform",
    "in_order",
    "python_values",
    "read_rows",
    "reader_of",
    "schema_for",
    "stream_rows",
    "table_of",
    "typed",
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

_LISTS = ((DataType.is_list, DataType.list), (DataType.is_large_list, DataType.large_list))


def arrow_schema(columns: Sequence[Column]) -> Schema:
    """The Arrow schema of a spec's columns; timestamps are microseconds in UTC."""
    return Schema([Field(c.name, _arrow_type(c.type), nullable=c.nullable) for c in columns])


def _arrow_type(column_type: str) -> DataType:
    if column_type == "timestamp":
        return UTC_MICROSECONDS
    if column_type.startswith("array<"):
        return DataType.list(Field("element", _arrow_type(column_type[6:-1]), nullable=True))
    return _SCALARS[column_type]()


def schema_for(data: Table, columns: Sequence[Column]) -> Schema:
    """What data is to be conformed to before it is written to a table by name.

    Of types that no spec has, which others' tables may, a column is as the data has it; one that
    the data lacks is left to the writer.
    """
    fields = []
    for column in columns:
        try:
            fields.append(Field(column.name, _arrow_type(column.type), nullable=column.nullable))
        except KeyError:
            if column.name in data.column_names:
                fields.append(data.schema.field(column.name))
    return Schema(fields)


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


def table_of(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> Table:
    """Rows as mappings, as an Arrow table.

    Raises:
        RowsRejectedError: A value does not fit its column, or a mapping names no column.
    """
    types = {column.name: column.type for column in columns}
    lines = []
    for number, row in enumerate(rows):
        if unknown := sorted(set(row) - set(types)):
            raise RowsRejectedError(f"row {number} has fields that are no columns: {unknown}")
        line = {}
        for name, value in row.items():
            try:
                line[name] = None if value is None else to_column(types[name], value)
            except DoesNotFitError as error:
                raise RowsRejectedError(f"row {number}, column {name}: {error}") from error
        lines.append(msgspec.json.encode(line))
    return read_rows(b"\n".join(lines), arrow_schema(columns))


def as_table(
    table: str, data: ArrowStream | Sequence[Mapping[str, Any]], spec: TableSpec | None
) -> Table:
    """What is to be written, as an Arrow table in the spec's columns if there is one.

    Raises:
        ConfigurationError: The data are mappings, and no spec tells their types.
        RowsRejectedError: The data does not fit the spec.
    """
    if isinstance(data, Sequence):
        if spec is None:
            raise ConfigurationError(
                f"rows for {table} came as mappings, whose types only a spec can tell: pass spec="
            )
        return table_of(data, spec.columns)
    rows = as_stored(_imported(data))
    return conform(rows, arrow_schema(spec.columns)) if spec else rows


def _imported(data: ArrowStream) -> Table:
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(data, polars.DataFrame):
        # It exports its columns of nulls alone with a buffer, which arro3 refuses.
        data = data.cast({polars.Null: polars.String})
    return Table.from_arrow(data)


def as_stored(data: Table) -> Table:
    """The same data with every timestamp in microseconds of UTC, also within lists and structs.

    Timestamps without a zone are taken as UTC, so that tables need no reader that knows zoneless
    ones. Categories become the values that they stand for: some can't be written.
    """
    return _with_types(data, _stored)


def typed(data: Table) -> Table:
    """The same data with texts where nulls alone have no type, also within lists and structs.

    As Spark's engine has them: Delta knows no such type, and a column of it takes no value later.
    """
    return _with_types(data, lambda given: DataType.utf8() if DataType.is_null(given) else given)


def _with_types(data: Table, type_of: Callable[[DataType], DataType]) -> Table:
    for index, field in enumerate(_fields(data.schema)):
        wanted = _nested_type(field.type, type_of)
        if wanted != field.type:
            data = data.set_column(
                index, field.with_type(wanted), data.column(field.name).cast(wanted)
            )
    return data


def _stored(given: DataType) -> DataType:
    if DataType.is_timestamp(given):
        return UTC_MICROSECONDS
    if DataType.is_dictionary(given):
        assert given.value_type is not None
        return _stored(given.value_type)
    return given


def _nested_type(given: DataType, type_of: Callable[[DataType], DataType]) -> DataType:
    """A type with another for each that is nested in it, or for itself."""
    if DataType.is_struct(given):
        return DataType.struct([_nested_field(field, type_of) for field in given.fields])
    for is_list, make in _LISTS:
        if is_list(given):
            assert given.value_field is not None
            return make(_nested_field(given.value_field, type_of))
    return type_of(given)


def _nested_field(given: Field, type_of: Callable[[DataType], DataType]) -> Field:
    return given.with_type(_nested_type(given.type, type_of))


def python_values(column: ChunkedArray) -> list[Any]:
    """A column as plain Python values; timestamps are aware datetimes in UTC, maps dictionaries."""
    if DataType.is_timestamp(column.type):
        column = column.cast(UTC_MICROSECONDS)
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


def conform(data: Table, schema: Schema) -> Table:
    """Data in a schema's columns, order and types; columns that the data lacks are null.

    Raises:
        RowsRejectedError: The data has a column that the schema lacks, a value that its column
            can't hold, or a null where there may be none.
    """
    if unknown := sorted(set(data.column_names) - set(schema.names)):
        raise RowsRejectedError(f"the data has columns that the table lacks: {unknown}")
    columns = []
    for field in _fields(schema):
        if field.name in data.column_names:
            columns.append(_cast(data.column(field.name), field))
        else:
            columns.append(_nulls(data.num_rows, field))
        if not field.nullable and columns[-1].null_count:
            raise RowsRejectedError(f"column {field.name} is null in some row and must not be")
    return Table.from_arrays(columns, schema=schema)


def _cast(values: ChunkedArray, field: Field) -> ChunkedArray:
    # Nested types are equal whatever the names within, and a table takes its own alone.
    if values.type == field.type and not DataType.is_nested(field.type):
        return values
    if DataType.is_null(values.type) or 0 < len(values) == values.null_count:
        return _nulls(len(values), field)
    refusal = f"column {field.name} is {values.type} and does not fit {field.type}"
    try:
        fits = all(_fits(chunk, field.type) for chunk in values.chunks)
        cast = values.cast(field.type)
    except Exception as error:
        raise RowsRejectedError(refusal) from error
    if not fits:
        raise RowsRejectedError(refusal)
    return cast


def _fits(values: Array, wanted: DataType) -> bool:
    """Whether a cast loses nothing, also within structures and lists."""
    given = values.type
    if DataType.is_null(given):
        return True
    if DataType.is_struct(given) and DataType.is_struct(wanted):
        # A cast goes by their places where the names differ.
        types = {field.name: field.type for field in wanted.fields}
        return {field.name for field in given.fields} == types.keys() and all(
            _fits(struct_field(values, index), types[field.name])
            for index, field in enumerate(given.fields)
        )
    if given.value_type is not None and wanted.value_type is not None:
        return _fits(list_flatten(values), wanted.value_type)
    cast = values.cast(wanted)
    # Arrow makes null of what it can't cast, and cuts off fractions and times of day.
    may_cut = (DataType.is_floating(given) and DataType.is_integer(wanted)) or (
        DataType.is_timestamp(given) and DataType.is_date(wanted)
    )
    cut = may_cut and not ChunkedArray([cast.cast(given)]).equals(ChunkedArray([values]))
    return not cut and cast.null_count == values.null_count


def in_order(schema: Schema, names: Sequence[str]) -> Schema:
    """A schema's fields in the order of these names, which may be more."""
    known = set(schema.names)
    return Schema([schema.field(name) for name in names if name in known])


def reader_of(schema: Schema, batches: Iterator[RecordBatch]) -> RecordBatchReader:
    """Batches as a stream: made as they are taken, or all at once by arro3 0.8."""
    return RecordBatchReader.from_batches(schema, batches if _SINCE_0_9 else list(batches))


def _source(rows: bytes) -> bytes | io.BytesIO:
    # Through a file object it takes half as long again, but arro3 0.8 reads nothing else.
    return rows if _SINCE_0_9 else io.BytesIO(rows)


def _fields(schema: Schema) -> list[Field]:
    return [schema.field(name) for name in schema.names]


def _nulls(count: int, field: Field) -> ChunkedArray:
    # arro3 makes arrays of few types; its JSON reader knows them all.
    nulls = read_json(_source(b"{}\n" * count), Schema([field.with_nullable(nullable=True)]))
    return nulls.read_all().column(field.name)
