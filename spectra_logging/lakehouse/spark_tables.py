"""Tables as Spark names and reads them: by path, by URI, or by a name in a catalog."""

from __future__ import annotations

from typing import Any

from spectra_logging.lakehouse.spark_session import Session
from spectra_logging.lakehouse.spark_types import quoted
from spectra_logging.paths import is_catalog_name

__all__ = ["read_table", "sql_name", "write_frame"]


def sql_name(table: str) -> str:
    """A table as SQL names it."""
    if is_catalog_name(table):
        return ".".join(quoted(part) for part in table.split("."))
    return f"delta.{quoted(table)}"


def read_table(session: Session, table: str, version: int | None = None) -> Any:
    """A table's data frame, at its newest version or at another."""
    reader = session.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    if is_catalog_name(table):
        return reader.table(sql_name(table))
    return reader.load(table)


def write_frame(writer: Any, table: str) -> None:
    """Have a data frame's writer write to a table."""
    if is_catalog_name(table):
        writer.saveAsTable(sql_name(table))
    else:
        writer.save(table)
