"""Code that Spark runs in its own Python processes logs into the same table."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spectra_logging.drain import drain_journals
from spectra_logging.executors import worker_logger, worker_logging
from spectra_logging.values import DoesNotFitError, to_column, to_jsonable
from tests.conftest import ENGINES
from tests.handlers import attach
from tests.sparks import kind_of_spark, why_not
from tests.tables import column, read_rows, row_count

pytestmark = pytest.mark.skipif(
    "spark" not in ENGINES, reason="Spark is tried by tox -e spark35, spark41, connect and sail"
)
classic = pytest.mark.skipif(
    kind_of_spark() != "classic", reason="Spark Connect and Sail have no workers of this process's"
)


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(tmp_path / "events")


@pytest.fixture
def options(journals: Path) -> dict[str, Any]:
    """A worker has the environment that Spark was started with, not the test's."""
    return {"journal_directory": str(journals), "flush_interval_seconds": 3600.0}


@classic
def test_each_partition_is_in_the_table_when_its_task_ends(
    spark: Any, table: str, options: dict[str, Any]
) -> None:
    """foreachPartition, from four tasks of two processes, with the tasks' numbers."""

    def log_each(rows: Iterator[Any]) -> None:
        with worker_logging(table, execution_id="run-1", **options) as log:
            for row in rows:
                log.info("row %s", row.id)

    spark.range(0, 20, 1, 4).foreachPartition(log_each)
    rows = read_rows(table)
    assert sorted(row["event"] for row in rows) == sorted(f"row {n}" for n in range(20))
    assert {row["execution_id"] for row in rows} == {"run-1"}
    assert os.getpid() not in {row["process_id"] for row in rows}
    partitions = [fields(row)["spark_partition_id"] for row in rows]
    assert sorted(set(partitions)) == [0, 1, 2, 3]


@classic
def test_what_a_udf_logs_is_committed_by_the_driver_too(
    spark: Any, table: str, options: dict[str, Any], logger: logging.Logger
) -> None:
    """In local mode both share a journal, and one commit takes the records of all."""
    from pyspark.sql.functions import udf

    @udf("long")
    def doubled(number):  # type: ignore[no-untyped-def] # Spark would guess by the hints
        worker_logger(table, **options).info("doubling %s", number)
        return 2 * number

    found = spark.range(0, 10, 1, 2).select(doubled("id").alias("n")).collect()
    assert sorted(row.n for row in found) == list(range(0, 20, 2))
    handler = attach(logger, table)
    logger.info("from the driver")
    assert handler.flush(timeout_seconds=60), handler.stats()
    expected = ["from the driver", *(f"doubling {number}" for number in range(10))]
    assert sorted(column(table)) == sorted(expected)


@classic
def test_what_a_killed_worker_logged_is_not_lost(
    spark: Any, table: str, options: dict[str, Any]
) -> None:
    """Spark ends workers by a signal; what they had logged lands with the next drain."""

    def log_and_die(rows: Iterator[Any]) -> None:
        log = worker_logger(table, **options)
        for row in rows:
            log.info("row %s", row.id)
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(Exception, match=r"Python worker exited unexpectedly|SIGKILL|crashed"):
        spark.range(0, 5, 1, 1).foreachPartition(log_and_die)
    assert row_count(table) == 0
    assert drain_journals(table).rows == 5
    assert sorted(column(table)) == [f"row {number}" for number in range(5)]


@pytest.mark.skipif(
    kind_of_spark() == "sail", reason="Sail runs functions in its own process, not in workers"
)
def test_map_in_pandas_logs_as_it_goes(spark: Any, table: str, options: dict[str, Any]) -> None:
    """A generator's block ends with its partition; on Spark Connect too."""
    pytest.importorskip("pandas", reason="Spark is tried by tox -e connect with pandas")
    pytest.importorskip("pyarrow", reason="Spark is tried by tox -e connect with pyarrow")

    def clean(frames: Iterator[Any]) -> Iterator[Any]:
        from spectra_logging.executors import worker_logging

        with worker_logging(table, **options) as log:
            for frame in frames:
                log.info("cleaned", extra={"rows": len(frame)})
                yield frame

    assert spark.range(0, 20, 1, 2).mapInPandas(clean, "id long").count() == 20
    assert sum(fields(row)["rows"] for row in read_rows(table)) == 20


def test_what_pandas_and_numpy_compute_is_logged_as_numbers_and_times() -> None:
    """Such as the sums and bounds that a partition's function has at hand."""
    pandas = pytest.importorskip("pandas", reason="Spark is tried by tox -e connect with pandas")
    frame = pandas.DataFrame({"n": [1, 2], "x": [0.5, 1.5], "at": pandas.to_datetime([0, 1])})
    small = frame["x"].astype("float32").mean()
    found = {"sum": frame["n"].sum(), "mean": small, "all": (frame["n"] > 0).all()}
    assert to_jsonable({**found, "first": frame["at"].min(), "none": [pandas.NaT]}) == {
        "sum": 3,
        "mean": 1.0,
        "all": True,
        "first": "1970-01-01T00:00:00",
        "none": ["NaT"],
    }
    assert to_column("long", found["sum"]) == 3
    assert to_column("boolean", found["all"]) is True
    with pytest.raises(DoesNotFitError):
        to_column("timestamp", pandas.NaT)


@classic
def test_executors_of_a_cluster_log_into_the_table(table: str, tmp_path: Path) -> None:
    """Two executors, processes of their own, with one journal folder each as on two hosts."""
    if reason := why_not():
        pytest.skip(reason)
    program = f"""
import os, sys
os.environ["PYSPARK_PYTHON"] = sys.executable
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local-cluster[2,1,600]").appName("workers")
builder = builder.config("spark.ui.enabled", "false").config("spark.executor.memory", "600m")
builder = builder.config("spark.executorEnv.PYTHONPATH", {str(Path(__file__).parent.parent)!r})
spark = builder.getOrCreate()
def log_each(rows):
    import os
    from spectra_logging.executors import worker_logging
    # An executor's working directory is its own.
    with worker_logging({table!r}, journal_directory=os.getcwd() + "/journals") as log:
        for row in rows:
            log.info(f"row {{row.id}}", extra={{"executor": os.getcwd()}})
spark.range(0, 40, 1, 8).foreachPartition(log_each)
spark.stop()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    rows = read_rows(table)
    assert sorted(row["event"] for row in rows) == sorted(f"row {n}" for n in range(40))
    assert len({fields(row)["executor"] for row in rows}) == 2


def fields(row: dict[str, Any]) -> dict[str, Any]:
    """What has no column of its own."""
    import json

    found: dict[str, Any] = json.loads(row["context"])
    return found
