"""Tables as Spark names and reads them: by path, by URI, or by a name in a catalog."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from spectra_logging.errors import LakehouseError
from spectra_logging.lakehouse.spark_found import Session
from spectra_logging.lakehouse.spark_types import column_ddl, quoted, text_literal
from spectra_logging.paths import catalog_words, is_catalog_name
from spectra_logging.tables import TableSpec

__all__ = [
    "creation_sql",
    "drop_view",
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
        return ".".join(map(quoted, catalog_words(table)))
    return f"delta.{quoted(table)}"


def creation_sql(table: str, spec: TableSpec) -> str:
    """The statement that makes a table with a spec's columns, properties and comments."""
    columns = ", ".join(column_ddl(c, nullable=c.nullable) for c in spec.columns)
    statement = f"CREATE TABLE {sql_name(table)} ({columns}) USING DELTA"
    if spec.comment:
        statement += f" COMMENT {text_literal(spec.comment)}"
    if spec.properties:
        properties = (
            f"{text_literal(key)} = {text_literal(value)}" for key, value in spec.properties.items()
        )
        statement += f" TBLPROPERTIES ({', '.join(properties)})"
    return statement


def read_table(session: Session, table: str, version: int | None = None) -> Any:
    """A table's data frame, at its newest version or at another."""
    reader = session.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    if is_catalog_name(table):
        return reader.table(sql_name(table))
    return reader.load(table)


def write_frame(
    frame: Any,
    table: str,
    mode: str,
    options: Mapping[str, str],
    *,
    new_columns: bool,
    where: str | None = None,
) -> None:
    """Write a data frame to a table.

    Args:
        frame: The data frame.
        table: The table's place or name.
        mode: ``append`` or ``overwrite``.
        options: Delta's options for the write.
        new_columns: Whether overwriting replaces the table's columns as well.
        where: The condition of the rows that overwriting replaces; by default all.
    """
    # An overwrite replaces all that it is to, also where the session's own replace its partitions.
    options = {**options, "partitionOverwriteMode": "static"}
    if not is_catalog_name(table):
        writer = frame.write.format("delta").mode(mode).options(**options)
        if where is not None:
            writer = writer.option("replaceWhere", where)
        (writer.option("overwriteSchema", "true") if new_columns else writer).save(table)
        return
    # Never by its place, which nobody may write to where Unity Catalog manages the table. And not
    # saveAsTable: on a thread that has not started the session, Spark 3.5 takes an existing table
    # to have no columns there.
    by_name = frame.writeTo(sql_name(table)).options(**options)
    if not frame.sparkSession.catalog.tableExists(sql_name(table)):
        by_name.using("delta").create()
    elif mode == "append":
        by_name.append()
    else:
        from pyspark.sql import functions

        if new_columns:
            by_name = by_name.option("overwriteSchema", "true")
        by_name.overwrite(functions.expr(where or "true"))


def drop_view(session: Session, name: str) -> None:
    """Drop a temporary view; with a session that is gone its views are too."""
    with suppress(Exception):
        session.catalog.dropTempView(name)


def is_spark_frame(data: object) -> bool:
    """Whether this is a data frame of Spark's, classic or Connect."""
    return hasattr(data, "sparkSession") and hasattr(data, "write")


def location_of(session: Session, identifier: str) -> str:
    """Where a table in a catalog is, as a URI, by its name as SQL has it."""
    detail = session.sql(f"DESCRIBE DETAIL {identifier}").select("location").collect()
    return str(detail[0][0])


def register_table(session: Session, table: str, name: str) -> None:
    """Give a table a name in the session's catalog, whose schema is made if it is missing.

    Raises:
        LakehouseError: The name is another table's.
    """
    words = catalog_words(name) if is_catalog_name(name) else name.split(".")
    *schema, _ = parts = list(map(quoted, words))
    identifier = ".".join(parts)
    if session.catalog.tableExists(identifier):
        there = location_of(session, identifier)
        if _in_one_spelling(there) != _in_one_spelling(table):
            raise LakehouseError(f"the name {name} is the table's at {there}, not that at {table}")
        return
    creation = f"CREATE TABLE IF NOT EXISTS {identifier} USING DELTA LOCATION {text_literal(table)}"
    try:
        session.sql(creation).collect()
    except Exception as error:
        # Not made ahead: who may not make schemas may not say IF NOT EXISTS of one either.
        if not re.search("SCHEMA_NOT_FOUND|Database not found", str(error)):  # the latter is Sail's
            raise
        session.sql(f"CREATE SCHEMA IF NOT EXISTS {'.'.join(schema)}").collect()
        session.sql(creation).collect()


def _in_one_spelling(place: str) -> str:
    """A place's address as ``dbfs:/…``, however many slashes it begins with; a path as it is."""
    return re.sub(r"^([\w+.-]+:)/+", r"\1/", place).removeprefix("file:").rstrip("/")
