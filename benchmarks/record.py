"""What recording a notebook's run costs, in one Spark session: by ``record()`` and the usual way.

The usual way makes a data frame of one row, appends it, counts the table and registers it. Ours is
``session.record(spark=spark)``, which returns when the row is in the table: with ``engine="auto"``,
which commits embedded beside the session, and with ``engine="spark"``, by a Spark job. Each has a
table of its own; they take turns, round by round, and the first rounds warm up and do not count.

``log_activity()`` returns as soon as its row is journalled; what it costs its caller is the time
of many calls, commits going on meanwhile, divided by their number.

Run: ``python benchmarks/record.py [--rounds 20] [--calls 5000]``, with pyspark and delta-spark.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from sparks import spark_session
from stage import ddl, rows_of_a_run

from spectra_logging.session import NotebookSession
from spectra_logging.tables import ACTIVITY_LOG
from spectra_stage.catalog import load_catalog

ENGINES = ("auto", "spark")
WARM_UP_ROUNDS = 3
TABLE = "Tables/log/sourcelog"


def record_as_usual(spark: Any, root: Path, row: tuple[Any, ...]) -> None:
    """As notebooks mostly do it by hand."""
    place = str(root / TABLE)
    frame = spark.createDataFrame([row], ddl(ACTIVITY_LOG))
    frame.write.format("delta").mode("append").save(place)
    spark.read.format("delta").load(place).count()
    spark.sql("CREATE SCHEMA IF NOT EXISTS log")
    spark.sql(f"CREATE TABLE IF NOT EXISTS log.usual USING DELTA LOCATION '{place}'")


@contextlib.contextmanager
def notebook(spark: Any, root: Path, engine: str) -> Iterator[NotebookSession]:
    """A session whose activity log is written by an engine."""
    os.environ.update(SPECTRA_ROOT=str(root), SPECTRA_ENGINE=engine)
    session = NotebookSession("benchmark").load_context(spark=spark)
    session.initialize()
    # The variable counts when the engine opens, which is with the first row.
    record(session, spark)
    yield session
    session.finalise()


def seconds_of(call: Callable[[], object]) -> float:
    began_at = time.perf_counter()
    call()
    return time.perf_counter() - began_at


def record(session: NotebookSession, spark: Any) -> None:
    if not session.record(spark=spark):
        raise SystemExit("the record did not reach its table")


def measure(rounds: int, calls: int) -> dict[str, Any]:
    """Seconds of each round by way, seconds a call of ``log_activity()``, and rows landed."""
    taken: dict[str, list[float]] = {way: [] for way in ("usual", *ENGINES)}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="record-")))
        spark = stack.enter_context(spark_session(folder / "warehouse"))
        os.environ.update(
            SOURCE_SYSTEM="zephyr",
            SOURCE_NAME="Example",
            STAGE="Source",
            NOTEBOOK_NAME="benchmark",
            SPECTRA_JOURNAL_DIRECTORY=str(folder / "journals"),
        )
        rows = rows_of_a_run(load_catalog([]), dt.datetime.now(dt.timezone.utc))
        (by_hand,) = rows["log.activity"]
        row = tuple(by_hand[column.name] for column in ACTIVITY_LOG.columns)
        sessions = {
            engine: stack.enter_context(notebook(spark, folder / engine, engine))
            for engine in ENGINES
        }
        for number in range(WARM_UP_ROUNDS + rounds):
            found = {
                "usual": seconds_of(lambda: record_as_usual(spark, folder / "usual", row)),
                **{
                    engine: seconds_of(lambda: record(sessions[engine], spark))  # noqa: B023
                    for engine in ENGINES
                },
            }
            for way, seconds in found.items() if number >= WARM_UP_ROUNDS else ():
                taken[way].append(seconds)
        activity = {}
        for engine in ENGINES:
            session = sessions[engine]
            began_at = time.perf_counter()
            for number in range(calls):
                session.log_activity(entity_name="release", row_count=number)
            activity[engine] = (time.perf_counter() - began_at) / calls
            record(session, spark)
        expected = 1 + WARM_UP_ROUNDS + rounds + calls + 1
        landed = {engine: DeltaTable(str(folder / engine / TABLE)).count() for engine in ENGINES}
        if set(landed.values()) != {expected}:
            raise SystemExit(f"{expected} rows were logged, and landed are {landed}")
    return {"record": taken, "log_activity": activity, "rows": landed}


def report(found: dict[str, Any]) -> dict[str, Any]:
    """Print the figures for people; returns them."""
    medians = {way: statistics.median(seconds) for way, seconds in found["record"].items()}
    print(f"{'record, ms':<24}{'median':>10}{'slowest':>10}{'usual way over it':>20}")
    for way, seconds in found["record"].items():
        print(
            f"{way:<24}{medians[way] * 1000:>10.1f}{max(seconds) * 1000:>10.1f}"
            f"{medians['usual'] / medians[way]:>20.1f}"
        )
    print(f"{'log_activity, µs a call':<24}")
    for engine, seconds in found["log_activity"].items():
        print(f"{engine:<24}{seconds * 1e6:>10.1f}")
    return {
        "benchmark": "record",
        "python": platform.python_version(),
        "milliseconds": {way: round(seconds * 1000, 1) for way, seconds in medians.items()},
        "usual_over": {engine: round(medians["usual"] / medians[engine], 1) for engine in ENGINES},
        "log_activity_microseconds": {
            engine: round(seconds * 1e6, 1) for engine, seconds in found["log_activity"].items()
        },
        "rows_landed_once": found["rows"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="What recording a notebook's run costs.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=5000)
    options = parser.parse_args()
    logging.getLogger("spectra").addHandler(logging.NullHandler())
    print(json.dumps(report(measure(options.rounds, options.calls))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
