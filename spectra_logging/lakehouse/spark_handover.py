"""Arrow data → Spark data frames, without a Python object a row.

Where the session's server reads this process's files, the data goes as a Parquet file. Else it goes
as Arrow, inside the plan; and a classic session of a cluster, which takes no Arrow before Spark 4,
gets it as one text of JSON that its executors take apart.
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

from spectra_logging.lakehouse.spark_session import Session, is_connect
from spectra_logging.lakehouse.spark_types import text_literal

__all__ = ["handed_over", "shares_files"]


def shares_files(session: Session) -> bool:
    """Whether what this process writes to its temporary folder can be read in the session.

    A cluster's executors are taken not to, even where its driver does.
    """
    try:
        master = session.conf.get("spark.master")
    except Exception:  # noqa: BLE001 - a server that is no Spark has no such setting
        master = "local"
    if not master.startswith("local"):
        return False
    if not is_connect(session):
        return True
    token = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="spectra-") as folder:
        Path(folder, "probe.txt").write_text(token)
        try:
            found = session.read.text(f"{folder}/probe.txt").collect()
        except Exception:  # noqa: BLE001 - it sees no such file
            return False
    return [row[0] for row in found] == [token]


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
    elif is_connect(session):
        import pyarrow as pa  # Spark Connect's client comes with it

        yield session.createDataFrame(pa.table(data))
    else:
        with _as_text(session, users, data, schema) as frame:
            yield frame


@contextmanager
def _as_text(session: Session, users: Session, data: Table, schema: str) -> Iterator[Any]:
    lines = io.BytesIO()
    write_ndjson(data, lines)
    array = "[" + lines.getvalue().decode().rstrip("\n").replace("\n", ",") + "]"
    view = f"spectra_{uuid.uuid4().hex}"
    # In the user's session, since a session that makes a data frame becomes this thread's active
    # one; and as a table, since as a literal of the statement it would stand in the Spark UI.
    users.createDataFrame([(array,)], "rows STRING").createGlobalTempView(view)
    item = text_literal(f"ARRAY<STRUCT<{schema}>>")
    try:
        table = session.table(f"global_temp.{view}")
        yield table.selectExpr(f"inline(from_json(rows, {item}, map('mode', 'FAILFAST')))")
    finally:
        users.catalog.dropGlobalTempView(view)
