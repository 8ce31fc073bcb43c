"""Data that somebody hands over, as Arrow, and in the columns of the table that is to take it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from arro3.core import (
    Array,
    ChunkedArray,
    DataType,
    Field,
    Schema,
    Table,
    list_flatten,
    struct_field,
)

from spectra_logging.errors import ConfigurationError, RowsRejectedError
from spectra_logging.lakehouse.arrow import arrow_schema, read_rows
from spectra_logging.lakehouse.base import ArrowStream
from spectra_logging.lakehouse.stored import as_stored, fields_of, type_name
from spectra_logging.tables import Column, TableSpec
from spectra_logging.values import DoesNotFitError, to_column

__all__ = ["as_table", "conform", "schema_for"]


def schema_for(data: Table, columns: Sequence[Column]) -> Schema:
    """What data is to be conformed to before it is written to a table by name.

    Of types that no spec has, which others' tables may, a column is as the data has it; one that
    the data lacks is left to the writer.
    """
    fields = []
    for column in columns:
        try:
            fields.append(arrow_schema([column]).field(column.name))
        except KeyError:
            if column.name in data.column_names:
                fields.append(data.schema.field(column.name))
    return Schema(fields)


def _table_of(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column]) -> Table:
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
        return _table_of(data, spec.columns)
    rows = as_stored(_imported(data))
    return conform(rows, arrow_schema(spec.columns)) if spec else rows


def _imported(data: ArrowStream) -> Table:
    polars, pandas = sys.modules.get("polars"), sys.modules.get("pandas")
    try:
        if polars is not None and isinstance(data, polars.DataFrame):
            data = _of_polars(data, polars)
        elif pandas is not None and isinstance(data, pandas.DataFrame):
            data = _of_pandas(data)
        return Table.from_arrow(data)
    except RowsRejectedError:
        raise
    except Exception as error:
        raise RowsRejectedError(f"the data can't be read as Arrow: {error}") from error


def _of_pandas(frame: Any) -> Any:
    """A frame of pandas's with its index as columns, as far as that is named, and without the rest.

    pandas exports an index where its numbers don't happen to be evenly spaced, as rows that were
    filtered may have it, and else leaves it out.
    """
    named = [level for level, name in enumerate(frame.index.names) if name is not None]
    return (frame.reset_index(level=named) if named else frame).reset_index(drop=True)


def _of_polars(frame: Any, polars: Any) -> Any:
    """A frame of polars's as it can be imported.

    Raises:
        RowsRejectedError: It holds objects of Python's, of which it exports the addresses.
    """
    if objects := [name for name, kind in frame.schema.items() if kind == polars.Object]:
        raise RowsRejectedError(f"columns of Python's objects can't be written: {objects}")
    # What is nulls alone comes with a buffer, which arro3 refuses; so do lists that are all empty.
    return frame.cast({name: _without_null(kind, polars) for name, kind in frame.schema.items()})


def _without_null(kind: Any, polars: Any) -> Any:
    """A type of polars's with texts for nulls, also within lists and structs."""
    if isinstance(kind, polars.Struct):
        fields = {field.name: _without_null(field.dtype, polars) for field in kind.fields}
        return polars.Struct(fields)
    if isinstance(kind, polars.List):
        return polars.List(_without_null(kind.inner, polars))
    if isinstance(kind, polars.Array):
        return polars.Array(_without_null(kind.inner, polars), kind.size)
    return polars.String() if kind == polars.Null else kind


def conform(data: Table, schema: Schema) -> Table:
    """Data in a schema's columns, order and types; columns that the data lacks are null.

    Raises:
        RowsRejectedError: The data has a column that the schema lacks, a value that its column
            can't hold, or a null where there may be none.
    """
    if unknown := sorted(set(data.column_names) - set(schema.names)):
        raise RowsRejectedError(f"the data has columns that the table lacks: {unknown}")
    columns = []
    for field in fields_of(schema):
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
    refusal = (
        f"column {field.name} is {type_name(values.type)} and does not fit {type_name(field.type)}"
    )
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


def _nulls(count: int, field: Field) -> ChunkedArray:
    # arro3 makes arrays of few types; its JSON reader knows them all.
    nullable = Schema([field.with_nullable(nullable=True)])
    return read_rows(b"{}\n" * count, nullable).column(field.name)
