"""The types in which a Delta table holds what data frames of others have."""

from __future__ import annotations

from collections.abc import Callable

from arro3.core import DataType, Field, Schema, Table

from spectra_logging.errors import RowsRejectedError
from spectra_logging.lakehouse.arrow import UTC_MICROSECONDS
from spectra_logging.values import DoesNotFitError

__all__ = ["as_stored", "fields_of", "type_name", "typed"]

_LISTS = (
    (DataType.is_list, DataType.list),
    (DataType.is_large_list, DataType.large_list),
    # Without a length, which Delta does not know: a reader that goes by the table's columns would
    # not know the file's.
    (DataType.is_fixed_size_list, DataType.list),
)

_STORED_AS = (
    (DataType.is_timestamp, UTC_MICROSECONDS),
    # The next that has room for all of them; as Spark reads them from Parquet
    # (ParquetToSparkSchemaConverter). delta-rs takes the signed one of as many bits.
    (DataType.is_uint8, DataType.int16()),
    (DataType.is_uint16, DataType.int32()),
    (DataType.is_uint32, DataType.int64()),
    (DataType.is_uint64, DataType.decimal128(20, 0)),
    (DataType.is_float16, DataType.float32()),
    (DataType.is_date64, DataType.date32()),
    (DataType.is_fixed_size_binary, DataType.binary()),
)

_NOT_STORED = (
    DataType.is_duration,
    DataType.is_time,
    DataType.is_interval,
    DataType.is_decimal256,
    DataType.is_union,
)

_OF_THE_TYPE = (b"ARROW:extension:", b"_PL_")
"""How metadata begin that say more of a field's type: Arrow's own, and polars's."""


def as_stored(data: Table) -> Table:
    """The same data in types that Delta has, also within lists and structs.

    Every timestamp is in microseconds of UTC. Timestamps without a zone are taken as UTC, so that
    tables need no reader that knows zoneless ones. Numbers without a sign become wider ones with.
    Categories become the values that they stand for: some can't be written.

    Raises:
        RowsRejectedError: Delta has no type for a column.
    """
    return _with_types(data, _stored)


def typed(data: Table) -> Table:
    """The same data with texts where nulls alone have no type, also within lists and structs.

    Delta knows no such type, and a column of it takes no value later.
    """
    return _with_types(data, lambda given: DataType.utf8() if DataType.is_null(given) else given)


def fields_of(schema: Schema) -> list[Field]:
    """The fields of a schema, in order."""
    return [schema.field(name) for name in schema.names]


def type_name(given: DataType) -> str:
    """A type in Arrow's words, for a person."""
    return str(given).strip().removeprefix("arro3.core.DataType<").removesuffix(">")


def _with_types(data: Table, type_of: Callable[[DataType], DataType]) -> Table:
    for index, field in enumerate(fields_of(data.schema)):
        try:
            wanted = _with_type(field, type_of)
        except DoesNotFitError as error:
            raise RowsRejectedError(f"column {field.name} {error}") from error
        if wanted.type != field.type:
            data = data.set_column(index, wanted, data.column(field.name).cast(wanted.type))
    return data


def _with_type(field: Field, type_of: Callable[[DataType], DataType]) -> Field:
    """A field with another type for each that is nested in its own, or for that itself."""
    given = field.type
    if DataType.is_struct(given):
        wanted = DataType.struct([_with_type(each, type_of) for each in given.fields])
    elif (make := _list_of(given)) and given.value_field is not None:
        wanted = make(_with_type(given.value_field, type_of))
    else:
        wanted = type_of(given)
    if wanted == given:
        return field
    metadata = {k: v for k, v in field.metadata.items() if not k.startswith(_OF_THE_TYPE)}
    return field.with_type(wanted).with_metadata(metadata)


def _list_of(given: DataType) -> Callable[[Field], DataType] | None:
    return next((make for is_list, make in _LISTS if is_list(given)), None)


def _stored(given: DataType) -> DataType:
    if DataType.is_dictionary(given) and given.value_type is not None:
        return _stored(given.value_type)
    for is_type, stored in _STORED_AS:
        if is_type(given):
            return stored
    if any(is_type(given) for is_type in _NOT_STORED):
        raise DoesNotFitError(f"is {type_name(given)}, which Delta has no type for: cast it before")
    return given
