"""Processes that die, and sessions that are stopped, with engine ``spark`` at work."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from spectra_logging.drain import drain_journals
from tests.programs import run_program, start_program
from tests.sparks import kind_of_spark
from tests.tables import column
from tests.test_crash import STOPS_AT_A_STEP

pytestmark = [
    pytest.mark.skipif(
        "spark" not in os.environ.get("SPECTRA_TEST_ENGINES", ""),
        reason="Spark is tried by tox -e spark35, spark41, connect and sail",
    ),
    pytest.mark.usefixtures("spark"),
]

WITH_SPARK = """
from tests.sparks import start_session
spark = (context := start_session()).__enter__()
"""
STEPS = {"the_commit": ["commit"], "the_other_steps": ["seal", "note", "state", "remove"]}


def said(out: str) -> list[str]:
    """A program's own lines: Spark 3.5 tells there, too, where it loads its settings from."""
    return [line for line in out.splitlines() if not line.startswith(":: ")]


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize(("side", "finisher"), [("before", "spark"), ("after", "deltalake")])
def test_a_kill_around_each_step_of_a_commit_neither_loses_nor_doubles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: str, finisher: str, steps: list[str]
) -> None:
    """Each process dies by its own SIGKILL; the next, on either engine, finishes its journal."""
    monkeypatch.setenv("SPECTRA_ENGINE", "spark")
    source = WITH_SPARK + STOPS_AT_A_STEP.replace("flush(30)", "flush(150)")
    running = {step: start_program(source, tmp_path / step, f"{side}-{step}") for step in steps}
    for step, process in running.items():
        out, err = process.communicate(timeout=300)
        assert (process.returncode, said(out)) == (-signal.SIGKILL, ["logged"]), f"{step}: {err}"
    for step in steps:
        drain_journals(str(tmp_path / step), engine=finisher)
        expected = ["first", *(f"record {number}" for number in range(10))]
        assert column(tmp_path / step) == expected, step


STOPS_ITS_SESSION = (
    WITH_SPARK
    + """
handler = DeltaHandler(table, engine="spark", flush_interval_seconds=3600)
logger.addHandler(handler)
logger.info("first")
assert handler.flush(150)
spark.stop()
logger.info("second")
assert not handler.flush(1)
stats = handler.stats()
print(stats.written, stats.pending, "session" in stats.last_error, flush=True)
if arguments[0] == "session":
    with start_session():
        assert handler.flush(150), handler.stats()
        print(handler.stats().written, flush=True)
        logger.removeHandler(handler)
        handler.close()
else:
    handler._shutdown_timeout_seconds = 0.5
"""
)


@pytest.mark.parametrize("what_comes", ["session", "engine"])
def test_records_wait_for_the_next_session_or_engine(tmp_path: Path, what_comes: str) -> None:
    """A session stopped under the handler costs nothing: what was logged is journalled."""
    table = tmp_path / "events"
    done = run_program(STOPS_ITS_SESSION, table, what_comes, timeout_seconds=300)
    assert done.returncode == 0, done.stderr
    lines = said(done.stdout)
    assert lines[0] == "1 1 True"
    if what_comes == "session":
        assert lines[1] == "2"
    else:
        assert column(table) == ["first"]
        assert "1 records are not yet in" in done.stderr
        drain_journals(str(table), engine="deltalake")
    assert column(table) == ["first", "second"]


ENDS_WITHOUT_A_FLUSH = (
    WITH_SPARK
    + """
handler = DeltaHandler(
    table, engine="spark", flush_interval_seconds=3600, shutdown_timeout_seconds=20
)
logger.addHandler(handler)
logger.info("first")
assert handler.flush(150), handler.stats()
logger.info("second")
"""
)


def test_what_is_logged_last_is_committed_at_exit_or_kept(tmp_path: Path) -> None:
    """At exit Connect's client may hear no answer any more: the record is told of, and kept."""
    table = tmp_path / "events"
    done = run_program(ENDS_WITHOUT_A_FLUSH, table, timeout_seconds=300)
    assert done.returncode == 0, done.stderr
    if kind_of_spark() == "classic":
        assert column(table) == ["first", "second"]
    assert column(table) == ["first", "second"] or "1 records are not yet in" in done.stderr
    drain_journals(str(table), engine="deltalake")
    assert column(table) == ["first", "second"]


OUTLIVES_ITS_SERVER = """
from pyspark.sql import SparkSession
from spectra_logging.lakehouse import spark_beside
from tests.sparks import connect_server

def refused(*_):
    raise RuntimeError("refused")

spark_beside.set_if_available = refused
handler = DeltaHandler(table, engine="spark", flush_interval_seconds=3600)
logger.addHandler(handler)
logger.info("first")
with connect_server(arguments[0]) as url:
    spark = SparkSession.builder.remote(url).getOrCreate()
    # What the user's own session does at exit is its own affair.
    for name in spark_beside._AT_EXIT:
        atexit.unregister(getattr(spark.client, name, None))
    while not handler.stats().last_error:
        assert not handler.flush(1)
    print(handler.stats().last_error, flush=True)
    logger.removeHandler(handler)
    handler._shutdown_timeout_seconds = 0.0
    handler.close()
"""


@pytest.mark.skipif(kind_of_spark() != "connect", reason="Spark is tried by tox -e connect so")
def test_our_sessions_keep_no_program_that_outlives_its_server(tmp_path: Path) -> None:
    """At exit a client of Spark 4 that has done nothing asks its server again for ten minutes."""
    (warehouse := tmp_path / "warehouse").mkdir()
    done = run_program(OUTLIVES_ITS_SERVER, tmp_path / "events", warehouse, timeout_seconds=300)
    assert done.returncode == 0, done.stderr
    assert "refused" in done.stdout
