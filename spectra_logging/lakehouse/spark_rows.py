"""The rows of a Spark data frame as plain Python values."""

from __future__ import annotations

import datetime as dt
from typing import Any

from spectra_logging.lakehouse.base import QueryResult

__all__ = ["result_of"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


def result_of(frame: Any) -> QueryResult:
    """Run a data frame's plan and give its rows; timestamps are aware datetimes in UTC."""
    names = tuple(frame.columns)
    moments = [field.dataType.typeName() == "timestamp" for field in frame.schema.fields]
    if any(moments):
        # Python's Spark gives timestamps without a zone, in that of the machine. The columns get
        # names of ours, as a result may have two of one name, and dots in names, which expressions
        # would take apart.
        frame = frame.toDF(*(f"c{index}" for index in range(len(names)))).selectExpr(
            *(f"unix_micros(c{index})" if m else f"c{index}" for index, m in enumerate(moments))
        )
    rows = tuple(
        tuple(
            _moment(value) if moment else _plain(value)
            for value, moment in zip(row, moments, strict=True)
        )
        for row in frame.collect()
    )
    return QueryResult(columns=names, rows=rows)


def _moment(microseconds: int | None) -> dt.datetime | None:
    return None if microseconds is None else _EPOCH + dt.timedelta(microseconds=microseconds)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.timezone.utc)
    if hasattr(value, "asDict"):
        return {name: _plain(item) for name, item in value.asDict().items()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return bytes(value) if isinstance(value, bytearray) else value
