"""Tables as Spark names and reads them: by path, by URI, or by a name in a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectra_logging.errors import LakehouseError
from spectra_logging.lakehouse.spark_session import Session
from spectra_logging.lakehouse.spark_types import quoted, text_literal
from spectra_logging.paths import is_catalog_name

__all__ = [
    "is_spark_frame",
    "location_of",
    "read_table",
    "register_table",
    "sql_name",
    "write_frame",
]


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


def write_frame(
    frame: Any, table: str, mode: str, options: Mapping[str, str], *, new_columns: bool
) -> None:
    """Write a data frame to a table.

    Args:
        frame: The data frame.
        table: The table's place or name.
        mode: ``append`` or ``overwrite``.
        options: Delta's options for the write.
        new_columns: Whether overwriting replaces the table's columns as well.
    """
    named = is_catalog_name(table)
    exists = not named or frame.sparkSession.catalog.tableExists(sql_name(table))
    if not named or (new_columns and exists):
        # By its place: replacing it by name fails with Delta 3.2 on later releases of Spark 3.5.
        place = location_of(frame.sparkSession, table) if named else table
        writer = frame.write.format("delta").mode(mode).options(**options)
        (writer.option("overwriteSchema", "true") if new_columns else writer).save(place)
        return
    # Not saveAsTable: on a thread that has not started the session, Spark 3.5 takes an existing
    # table to have no columns there.
    by_name = frame.writeTo(sql_name(table)).options(**options)
    if not exists:
        by_name.using("delta").create()
    elif mode == "append":
        by_name.append()
    else:
        from pyspark.sql import functions

        by_name.overwrite(functions.expr("true"))


def is_spark_frame(data: object) -> bool:
    """Whether this is a data frame of Spark's, classic or Connect."""
    return hasattr(data, "sparkSession") and hasattr(data, "write")


def location_of(session: Session, table: str) -> str:
    """Where a table in a catalog is, as a URI."""
    detail = session.sql(f"DESCRIBE DETAIL {sql_name(table)}").select("location").collect()
    return str(detail[0][0])


def register_table(session: Session, table: str, name: str) -> None:
    """Give a table a name in the session's catalog, whose schema is made if it is missing.

    Raises:
        LakehouseError: The name is another table's.
    """
    *schema, _ = parts = [quoted(part) for part in name.split(".")]
    if schema:
        session.sql(f"CREATE SCHEMA IF NOT EXISTS {'.'.join(schema)}").collect()
    identifier = ".".join(parts)
    if not session.catalog.tableExists(identifier):
        session.sql(
            f"CREATE TABLE IF NOT EXISTS {identifier} USING DELTA LOCATION {text_literal(table)}"
        ).collect()
    elif (there := location_of(session, name)) and _without_scheme(there) != _without_scheme(table):
        raise LakehouseError(f"the name {name} is the table's at {there}, not that at {table}")


def _without_scheme(place: str) -> str:
    for prefix in ("file://", "file:"):
        place = place.removeprefix(prefix)
    return place.rstrip("/")
