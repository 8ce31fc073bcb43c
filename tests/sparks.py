"""The Spark session of a test run: one a process, of the kind that the environment names."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["CANNOT", "KINDS", "kind_of_spark", "start_session", "why_not"]

KINDS = ("classic", "connect", "sail")
"""What ``SPECTRA_TEST_SPARK`` may be."""

CANNOT = {
    "sail": {
        "test_tables_go_by_the_names_given": "Sail's SQL takes no name in double quotes",
    }
}
"""Promises that a kind of session can't keep, by test, and why."""

SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.shuffle.partitions": "2",
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
    if importlib.util.find_spec("pyspark") is None:
        return "there is no pyspark here; run `tox run -e spark35` or `-e spark41`"
    if kind_of_spark() != "sail" and importlib.util.find_spec("delta") is None:
        return "there is no delta-spark here; run `tox run -e spark35` or `-e spark41`"
    return None


@contextlib.contextmanager
def start_session() -> Iterator[Any]:
    """A Spark session with Delta, stopped afterwards."""
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
    for key, value in {**SETTINGS, "spark.sql.warehouse.dir": warehouse}.items():
        builder = builder.config(key, value)
    session = configure_spark_with_delta_pip(builder).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@contextlib.contextmanager
def _connect(warehouse: str) -> Iterator[Any]:
    import delta
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.remote("local[2]").appName("spectra-logging tests")
    settings = {
        **SETTINGS,
        "spark.sql.warehouse.dir": warehouse,
        "spark.jars.packages": delta_package(delta),
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


def delta_package(delta: Any) -> str:
    """Delta's Maven coordinates for the PySpark that is installed."""
    from importlib.metadata import version

    spark = ".".join(version("pyspark").split(".")[:2])
    return f"io.delta:delta-spark_{spark}_2.13:{version('delta-spark')}"


@contextlib.contextmanager
def _sail(_warehouse: str) -> Iterator[Any]:
    from pysail.spark import SparkConnectServer
    from pyspark.sql import SparkSession

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    _, port = server.listening_address
    session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
    yield session
    session.stop()
    server.stop()
