"""The rows of a Spark data frame as plain Python values."""

from __future__ import annotations

import datetime as dt
from typing import Any

from spectra_logging.lakehouse.base import QueryResult

__all__ = ["result_of"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
# Of those without a zone, which are UTC, as the time zone of our sessions is.
_MICROSECONDS = {
    "timestamp": "unix_micros({})",
    "timestamp_ntz": "unix_micros(CAST({} AS TIMESTAMP))",
}


def result_of(frame: Any) -> QueryResult:
    """Run a data frame's plan and give its rows; timestamps are aware datetimes in UTC."""
    names = tuple(frame.columns)
    kinds = [field.dataType for field in frame.schema.fields]
    micros = [_MICROSECONDS.get(kind.typeName()) for kind in kinds]
    if any(micros):
        # Python's Spark gives timestamps without a zone, in that of the machine. The columns get
        # names of ours, as a result may have two of one name, and dots in names, which expressions
        # would take apart.
        columns = [f"c{index}" for index in range(len(names))]
        frame = frame.toDF(*columns).selectExpr(
            *(
                template.format(column) if template else column
                for column, template in zip(columns, micros, strict=True)
            )
        )
    rows = tuple(
        tuple(
            _moment(value) if template else _plain(value, kind)
            for value, kind, template in zip(row, kinds, micros, strict=True)
        )
        for row in frame.collect()
    )
    return QueryResult(columns=names, rows=rows)


def _moment(microseconds: int | None) -> dt.datetime | None:
    return None if microseconds is None else _EPOCH + dt.timedelta(microseconds=microseconds)


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
