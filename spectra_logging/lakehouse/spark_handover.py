"""Arrow data → Spark data frames, without a Python object a row.

Where the session's server reads this process's files, the data goes as a Parquet file. Else it goes
as Arrow, inside the plan; and a classic session of a cluster, and a client of Spark Connect before
Spark 4, which takes no Arrow, get it as one text of JSON that executors take apart.
"""

from __future__ import annotations

import io
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from arro3.core import Table
from arro3.io import write_ndjson, write_parquet

from spectra_logging.lakehouse.spark_found import Session, is_connect
from spectra_logging.lakehouse.spark_types import text_literal

__all__ = ["handed_over", "shares_files"]


def shares_files(session: Session) -> bool:
    """Whether what this process writes to its temporary folder can be read in the session.

    A cluster's executors are taken not to, even where its driver does. And a session on this
    machine may look for paths in another store, as all of Databricks' do.
    """
    try:
        master = session.conf.get("spark.master")
    except Exception:  # noqa: BLE001 - a server that is no Spark has no such setting
        master = "local"
    if not master.startswith("local"):
        return False
    token = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="spectra-") as folder:
        Path(folder, "probe.txt").write_text(token)
        try:
            probe = session.read.text(f"{folder}/probe.txt")
            # A classic session has looked by now whether there is such a file.
            return not is_connect(session) or [row[0] for row in probe.collect()] == [token]
        except Exception:  # noqa: BLE001 - it sees no such file
            return False


@contextmanager
def handed_over(
    session: Session, users: Session, data: Table, *, schema: str, by_file: bool
) -> Iterator[Any]:
    """Arrow data as a data frame of a session, for as long as the context lasts.

    Args:
        session: The session that is to have it.
        users: The user's session, beside which that one is.
        data: The data.
        schema: Its columns, as SQL declares them.
        by_file: Whether the session reads this process's files.
    """
    if by_file:
        with tempfile.TemporaryDirectory(prefix="spectra-") as folder:
            place = f"{folder}/rows.parquet"
            write_parquet(data, place)
            yield session.read.schema(schema).parquet(place)
    elif is_connect(session) and _takes_arrow():
        import pyarrow as pa  # Spark Connect's client comes with it

        yield session.createDataFrame(pa.table(data))
    elif is_connect(session):
        yield _taken_apart(session.createDataFrame(_as_text(data), "rows STRING"), schema)
    else:
        view = f"spectra_{uuid.uuid4().hex}"
        # In the user's session, since a session that makes a data frame becomes this thread's
        # active one; and as a table, since as a literal of the statement it would stand in the
        # Spark UI.
        users.createDataFrame(_as_text(data), "rows STRING").createGlobalTempView(view)
        try:
            yield _taken_apart(session.table(f"global_temp.{view}"), schema)
        finally:
            users.catalog.dropGlobalTempView(view)


def _takes_arrow() -> bool:
    import pyspark

    return int(pyspark.__version__.partition(".")[0]) >= 4


def _as_text(data: Table) -> list[tuple[str]]:
    lines = io.BytesIO()
    write_ndjson(data, lines)
    return [("[" + lines.getvalue().decode().rstrip("\n").replace("\n", ",") + "]",)]


def _taken_apart(text: Any, schema: str) -> Any:
    item = text_literal(f"ARRAY<STRUCT<{schema}>>")
    return text.selectExpr(f"inline(from_json(rows, {item}, map('mode', 'FAILFAST')))")
