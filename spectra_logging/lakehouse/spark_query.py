"""One statement of SQL over tables, each by a name of the statement's own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from spectra_logging.errors import LakehouseError
from spectra_logging.lakehouse.base import QueryResult
from spectra_logging.lakehouse.spark_errors import translated
from spectra_logging.lakehouse.spark_log import LogReaders
from spectra_logging.lakehouse.spark_rows import result_of
from spectra_logging.lakehouse.spark_session import SparkSessions
from spectra_logging.lakehouse.spark_tables import drop_view, read_table
from spectra_logging.lakehouse.spark_types import quoted

__all__ = ["run_query"]

SMALL_TABLE_BYTES = 16 << 20


def run_query(
    sessions: SparkSessions,
    logs: LogReaders,
    sql: str,
    tables: Mapping[str, str],
    versions: Mapping[str, int],
) -> QueryResult:
    """Run a statement in a session of our own that no other statement has meanwhile.

    Args:
        sessions: Where it runs.
        logs: What tells how large a table is.
        sql: The statement.
        tables: The tables' places, by the names that the statement has for them.
        versions: The versions to read, by these names; the newest by default.
    """
    with sessions.querying() as session, ExitStack() as stack:
        for name, table in tables.items():
            with translated(table):
                frame = read_table(session, table, versions.get(name))
                if _is_small(logs, table):
                    # Then nothing is shuffled, and the query is one job in place of several.
                    frame = frame.coalesce(1)
                frame.createOrReplaceTempView(name if name.isidentifier() else quoted(name))
            # A later statement would find it in place of a table in the catalog.
            stack.callback(drop_view, session, name)
        with translated(", ".join(tables.values()) or "the query", reading_rows=True):
            return result_of(session.sql(sql))


def _is_small(logs: LogReaders, table: str) -> bool:
    """Whether a table is known to be read in one task as soon as in several."""
    try:
        embedded = logs.embedded(table)
        return embedded is not None and embedded.size_bytes(table) <= SMALL_TABLE_BYTES
    except LakehouseError:
        return False
