"""The choice of the engine beside a real Spark session."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spectra_logging import NotebookSession
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import TableChange
from spectra_logging.lakehouse.choice import REACHED
from spectra_logging.lakehouse.spark_found import SessionReference, find_session
from spectra_logging.testing import FakeNotebookUtils
from spectra_stage.validation.checks import ForeignKey, Pattern
from spectra_stage.validation.quarantine import split
from tests import stages, validations
from tests.conftest import ENGINES
from tests.handlers import attach
from tests.lakehouses import lines, spec_of, transaction
from tests.sparks import kind_of_spark
from tests.tables import column

pytestmark = pytest.mark.skipif(
    "spark" not in ENGINES, reason="Spark is tried by tox -e spark35, spark41, connect and sail"
)
delta_only = pytest.mark.skipif(kind_of_spark() == "sail", reason="Sail has no Delta DDL")
SMALL = spec_of(("n", "long", False), ("text", "string", True))


@pytest.fixture
def schema(spark: Any) -> Iterator[str]:
    """A schema of the test's own."""
    name = f"test_{uuid.uuid4().hex[:8]}"
    yield name
    spark.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE").collect()


def test_a_table_on_the_disk_is_written_embedded_beside_a_session(
    spark: Any, tmp_path: Path, logger: logging.Logger
) -> None:
    """And Spark reads what is there."""
    handler = attach(logger, str(tmp_path / "events"))
    logger.info("something")
    assert handler.flush(timeout_seconds=60), handler.stats()
    assert (handler.stats().engine, handler.stats().engine_reason) == ("deltalake", REACHED)
    found = spark.read.format("delta").load(str(tmp_path / "events")).collect()
    assert [row["event"] for row in found] == ["something"]


@delta_only
def test_a_table_in_the_catalog_is_written_by_spark(
    spark: Any, schema: str, logger: logging.Logger
) -> None:
    """Only Spark knows where it is; the session is found, as nobody has passed it."""
    spark.sql(f"CREATE SCHEMA {schema}").collect()
    handler = attach(logger, f"{schema}.events")
    logger.info("something")
    assert handler.flush(timeout_seconds=120), handler.stats()
    stats = handler.stats()
    assert stats.engine == "spark"
    assert stats.engine_reason == "only Spark reaches the table: it is a name in Spark's catalog"
    assert [row["event"] for row in spark.table(f"{schema}.events").collect()] == ["something"]
    logger.removeHandler(handler)
    handler.close()


REFUSED = {
    # Files and columns are called otherwise than the schema calls them.
    "column mapping": "TBLPROPERTIES ('delta.columnMapping.mode' = 'name', "
    "'delta.minReaderVersion' = '2', 'delta.minWriterVersion' = '5')",
    "row tracking": "TBLPROPERTIES ('delta.enableRowTracking' = 'true')",
    "clustering": "CLUSTER BY (n)",
}
TAKEN = {
    "deletion vectors": "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
    "change data feed": "TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
    "append only": "TBLPROPERTIES ('delta.appendOnly' = 'true')",
    "checkpoints of version 2": "TBLPROPERTIES ('delta.checkpointPolicy' = 'v2')",
}


@delta_only
@pytest.mark.parametrize("feature", REFUSED)
def test_a_table_of_features_that_delta_rs_refuses_goes_over_to_spark(
    spark: Any, tmp_path: Path, feature: str
) -> None:
    """It is refused before anything is written, and the transaction counts in Spark."""
    table = make(spark, tmp_path, REFUSED[feature])
    lakehouse = open_lakehouse(spark=spark)
    assert not lakehouse.append(table, lines({"n": 2}), SMALL, transaction=transaction(2)).replayed
    assert lakehouse.append(table, lines({"n": 2}), SMALL, transaction=transaction(2)).replayed
    choice = lakehouse.choice(table)
    assert choice is not None
    assert choice.engine == lakehouse.engine == "spark"
    assert "the embedded engine lacks" in choice.reason
    assert numbers(spark, table) == [1, 2]


@delta_only
@pytest.mark.parametrize("feature", TAKEN)
def test_a_table_of_features_that_delta_rs_takes_is_written_embedded(
    spark: Any, tmp_path: Path, feature: str
) -> None:
    """And Spark reads what it wrote."""
    table = make(spark, tmp_path, TAKEN[feature])
    lakehouse = open_lakehouse(spark=spark)
    lakehouse.append(table, lines({"n": 2}), SMALL, transaction=transaction(2))
    assert lakehouse.engine == "deltalake"
    assert numbers(spark, table) == [1, 2]


@delta_only
@pytest.mark.parametrize(
    ("feature", "engine"), [*((feature, "auto") for feature in REFUSED), ("row tracking", "spark")]
)
def test_a_table_of_features_that_delta_rs_refuses_is_kept_by_spark(
    spark: Any, tmp_path: Path, feature: str, engine: str
) -> None:
    """Its columns are added and its small files merged, whatever its files have to carry."""
    table = make(spark, tmp_path, REFUSED[feature])
    lakehouse = open_lakehouse(engine, spark=spark)
    wider = spec_of(("n", "long", False), ("text", "string", True), ("more", "long", True))
    assert lakehouse.ensure(table, wider) == TableChange(added_columns=("more",))
    for number in (2, 3):
        row = lines({"n": number, "more": number})
        lakehouse.append(table, row, wider, transaction=transaction(number))
    assert lakehouse.upkeep(table).compacted_files == 3
    assert numbers(spark, table) == [1, 2, 3]
    assert lakehouse.append(table, row, wider, transaction=transaction(3)).replayed


def make(spark: Any, tmp_path: Path, features: str) -> str:
    table = str(tmp_path / "log")
    columns = "n BIGINT NOT NULL, text STRING"
    spark.sql(f"CREATE TABLE delta.`{table}` ({columns}) USING DELTA {features}").collect()
    spark.sql(f"INSERT INTO delta.`{table}` VALUES (1, 'a')").collect()
    return table


def numbers(spark: Any, table: str) -> list[int]:
    return sorted(row["n"] for row in spark.sql(f"SELECT n FROM delta.`{table}`").collect())


def test_the_environment_decides(
    spark: Any, tmp_path: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPECTRA_ENGINE=spark has a table within reach written by Spark."""
    monkeypatch.setenv("SPECTRA_ENGINE", "spark")
    handler = attach(logger, str(tmp_path / "events"))
    logger.info("something")
    assert handler.flush(timeout_seconds=120), handler.stats()
    assert handler.stats().engine == "spark"
    assert handler.stats().engine_reason == "SPECTRA_ENGINE='spark' asks for it"
    assert column(tmp_path / "events") == ["something"]


@delta_only
@pytest.mark.usefixtures("fresh_logging")
def test_a_notebook_session_writes_embedded_and_registers_on_spark(
    spark: Any, tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session that load_context() was given has the metastore, whichever engine wrote."""
    stages.set_up(monkeypatch, tmp_path)
    session = NotebookSession("lib").load_context(spark=spark)
    session.initialize()
    assert session.record(spark=spark)
    session.register_tables([(f"{schema}.sourcelog", "Tables/log/sourcelog")])
    session.finalise()
    assert session.delta.lakehouse.choice(str(tmp_path / "Tables/log/sourcelog")) is None
    assert DeltaTable(str(tmp_path / "Tables/log/sourcelog")).version() == 1
    found = spark.sql(f"SELECT event, status FROM {schema}.sourcelog").collect()
    assert [tuple(row) for row in found] == [("record", "Success")]


@delta_only
@pytest.mark.usefixtures("fresh_logging")
def test_in_a_lakehouse_without_schemas_names_have_none(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`source.endpoints` is registered as `source_endpoints`."""
    monkeypatch.setenv("SPECTRA_ROOT", str(tmp_path))
    table = f"test.t{uuid.uuid4().hex[:8]}"
    with FakeNotebookUtils(has_schemas=False):
        session = NotebookSession("lib")
        session.delta = type(session.delta)(spark)
        open_lakehouse().ensure(str(tmp_path / "Tables/t"), SMALL)
        for _ in range(2):  # as each run does
            assert session.delta.register(table, "Tables/t")
    flat = table.replace(".", "_")
    assert spark.table(flat).count() == 0
    spark.sql(f"DROP TABLE {flat}").collect()


def test_a_session_is_not_kept_alive_and_found_again(spark: Any) -> None:
    """What was given is held weakly; what is there is found."""
    assert find_session() is not None
    assert SessionReference(spark).get() is spark
    assert SessionReference(spark).alive
    assert SessionReference().alive


@delta_only
@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("lacking", ["t.checked", "t.other"])
def test_checks_are_asked_in_the_words_of_the_engine_that_takes_the_table(
    tmp_path: Path, lacking: str
) -> None:
    """Also where delta-rs refuses a feature only when it is asked for rows."""
    validations.make(tmp_path, columns={"text": ["abc", "A1"], "n": [1, 2]})
    validations.make(tmp_path, "t.other", {"n": [1]})
    # Delta 3.2 knows it by its first name alone.
    feature = "typeWidening" if version("pyspark") >= "4" else "typeWidening-preview"
    validations.need_feature(tmp_path, lacking, feature)
    checks = [Pattern(column="text", pattern="[a-z]+"), ForeignKey(column="n", table="t.other")]
    report = validations.report_of(open_lakehouse("auto"), tmp_path, *checks)
    assert [check.violations for check in report.checks] == [None, 1, 1], report.to_text()
    found = split("t.checked", checks, open_lakehouse("auto"), root=tmp_path)
    assert list(found.counts.values()) == [1, 1]
    assert report.engine == "spark"
