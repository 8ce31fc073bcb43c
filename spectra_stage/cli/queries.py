"""How to ask a log table, in each place that reads Delta Lake."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from spectra_logging.shell import shell_word

__all__ = ["Query", "command", "queries"]

COLUMNS = "recorded_at, event, status, entity_name, row_count, error_message"


@dataclass(frozen=True)
class Query:
    """A text to paste, and where.

    Args:
        title: Where it is pasted.
        text: The text.
    """

    title: str
    text: str


def command() -> str:
    """What to type for ``spectra``; a shell lacks its name where no environment is activated."""
    return (
        "spectra" if shutil.which("spectra") else f"{shell_word(sys.executable)} -m spectra_stage"
    )


def queries(table: Path) -> list[Query]:
    """Queries of an activity log that work as pasted.

    Args:
        table: The table's absolute path; Fabric's name is made of its last two parts.
    """
    sql = f"SELECT {COLUMNS} FROM log ORDER BY recorded_at"  # noqa: S608 - a text to show
    name = ".".join(table.parts[-2:])
    return [
        Query("With this command", f"{command()} log show {shell_word(str(table))} --json"),
        Query("With deltalake, in Python", DELTALAKE.format(table=str(table), sql=sql)),
        Query("With DuckDB, in Python", DUCKDB.format(table=str(table), sql=sql)),
        Query("With a Spark session", SPARK.format(table=str(table), sql=sql)),
        Query(
            "In Fabric, at the lakehouse's SQL endpoint",
            sql.replace("FROM log", f"FROM {name}"),
        ),
    ]


DELTALAKE = """\
from deltalake import DeltaTable, QueryBuilder
log = DeltaTable({table!r})
rows = QueryBuilder().register("log", log).execute("{sql}").read_all()
print(*rows.to_struct_array().to_pylist(), sep="\\n")"""

DUCKDB = """\
import duckdb
from deltalake import DeltaTable, QueryBuilder
table = DeltaTable({table!r})
log = QueryBuilder().register("log", table).execute("SELECT * FROM log").read_all()
print(duckdb.sql("{sql}"))"""

SPARK = """\
spark.read.format("delta").load({table!r}).createOrReplaceTempView("log")
spark.sql("{sql}").show(truncate=False)"""
