"""Reading tables back, for tests: with another reader than the one that wrote."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable

__all__ = ["column", "read_rows", "row_count"]


def read_rows(table: str | Path, order_by: str = "recorded_at, event") -> list[dict[str, Any]]:
    """All rows, by DuckDB from the files that delta-rs names; timestamps in UTC."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    files = DeltaTable(str(table)).file_uris()
    if not files:
        return []
    result = connection.execute(
        f"SELECT * FROM read_parquet(?, union_by_name=true) ORDER BY {order_by}", [files]
    )
    names = [entry[0] for entry in result.description]
    return [dict(zip(names, map(_in_utc, row), strict=True)) for row in result.fetchall()]


def _in_utc(value: Any) -> Any:
    """A timestamp of Spark's with its zone, which Parquet's INT96 has no room for."""
    naive = isinstance(value, dt.datetime) and value.tzinfo is None
    return value.replace(tzinfo=dt.timezone.utc) if naive else value


def column(table: str | Path, name: str = "event") -> list[Any]:
    """One column of all rows, in order of logging."""
    return [row[name] for row in read_rows(table)]


def row_count(table: str | Path) -> int:
    """How many rows the table has; 0 when there is none."""
    return DeltaTable(str(table)).count() if DeltaTable.is_deltatable(str(table)) else 0
