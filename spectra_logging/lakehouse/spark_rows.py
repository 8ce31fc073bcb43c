"""The rows of a Spark data frame as plain Python values."""

from __future__ import annotations

import datetime as dt
from typing import Any

from spectra_logging.lakehouse.base import QueryResult
from spectra_logging.lakehouse.calendar import date_of, moment_of

__all__ = ["result_of"]

# Of those without a zone, which are UTC, as the time zone of our sessions is.
_COUNTED = {
    "timestamp": ("unix_micros({})", moment_of),
    "timestamp_ntz": ("unix_micros(CAST({} AS TIMESTAMP))", moment_of),
    "date": ("unix_date({})", date_of),
}


def result_of(frame: Any) -> QueryResult:
    """Run a data frame's plan and give its rows; timestamps are aware datetimes in UTC."""
    names = tuple(frame.columns)
    kinds = [field.dataType for field in frame.schema.fields]
    counted = [_COUNTED.get(kind.typeName()) for kind in kinds]
    if any(counted):
        # Python's Spark gives timestamps without a zone, in that of the machine, and no year that
        # Python has not. The columns get names of ours, as a result may have two of one name, and
        # dots in names, which expressions would take apart.
        columns = [f"c{index}" for index in range(len(names))]
        frame = frame.toDF(*columns).selectExpr(
            *(
                count[0].format(column) if count else column
                for column, count in zip(columns, counted, strict=True)
            )
        )
    rows = tuple(
        tuple(
            count[1](value) if count else _plain(value, kind)
            for value, kind, count in zip(row, kinds, counted, strict=True)
        )
        for row in frame.collect()
    )
    return QueryResult(columns=names, rows=rows)


def _plain(value: Any, kind: Any) -> Any:
    name = kind.typeName()
    if value is None:
        return None
    if name == "timestamp":
        return value.astimezone(dt.timezone.utc)
    if name == "struct":
        fields = zip(kind.fields, value, strict=True)
        return {field.name: _plain(item, field.dataType) for field, item in fields}
    if name == "map":
        return {key: _plain(item, kind.valueType) for key, item in value.items()}
    if name == "array":
        return [_plain(item, kind.elementType) for item in value]
    return bytes(value) if isinstance(value, bytearray) else value
