"""Which engine serves a table: the rule by itself, and through handler and lakehouse."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from spectra_logging import DeltaHandler
from spectra_logging.errors import (
    ConfigurationError,
    EngineUnavailableError,
    SpectraError,
    UnsupportedFeaturesError,
)
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.choice import REACHED, EngineChoice, choose_engine
from spectra_logging.lakehouse.storage import why_unreached
from spectra_logging.testing import FakeNotebookUtils
from tests.handlers import attach
from tests.lakehouses import lines, spec_of, transaction

ONELAKE = "abfss://space@onelake.dfs.fabric.microsoft.com/lake/Tables/log/events"
SMALL = spec_of(("n", "long", False), ("text", "string", True))


def chosen(
    *,
    engine: str = "auto",
    environment: str | None = None,
    table: str = "/data/log",
    has_spark: bool = True,
    unreached: str | None = None,
    lacking: str | None = None,
) -> tuple[str, str]:
    choice = choose_engine(
        engine=engine,
        environment=environment,
        table=table,
        has_spark=has_spark,
        unreached=unreached,
        lacking=lacking,
    )
    return choice.engine, choice.reason


class TestRule:
    @pytest.mark.parametrize("has_spark", [True, False])
    def test_a_table_within_reach_is_written_embedded(self, has_spark: bool) -> None:
        """Also beside a Spark session: a commit takes milliseconds there and a job here."""
        assert chosen(has_spark=has_spark) == ("deltalake", REACHED)

    def test_a_table_that_only_spark_reaches_is_written_by_spark(self) -> None:
        """The reason says what keeps this process from it."""
        assert chosen(table="main.log.events", unreached="it is a name") == (
            "spark",
            "only Spark reaches the table: it is a name",
        )

    def test_a_table_whose_features_only_spark_has_is_written_by_spark(self) -> None:
        """The reason names them."""
        assert chosen(lacking="deletionVectors") == (
            "spark",
            "the embedded engine lacks deletionVectors",
        )

    @pytest.mark.parametrize(
        ("unreached", "lacking", "reason"),
        [
            ("no credential", None, "there is no Spark session to turn to, though no credential"),
            (None, "deletionVectors", REACHED),
        ],
    )
    def test_without_spark_the_embedded_engine_tries(
        self, unreached: str | None, lacking: str | None, reason: str
    ) -> None:
        """A machine's identity may open the store; what can't be done tells so itself."""
        found = chosen(has_spark=False, unreached=unreached, lacking=lacking)
        assert found == ("deltalake", reason)

    def test_without_spark_a_catalogs_table_is_out_of_reach(self) -> None:
        """The error says what to do."""
        with pytest.raises(EngineUnavailableError, match="Start one, or name"):
            chosen(table="main.log.events", has_spark=False, unreached="it is a name")

    @pytest.mark.parametrize("engine", ["deltalake", "spark"])
    @pytest.mark.parametrize("has_spark", [True, False])
    def test_what_is_asked_for_is_what_serves(self, engine: str, has_spark: bool) -> None:
        """The option comes before the environment, and that before any rule."""
        everything = {"unreached": "no credential", "lacking": "deletionVectors"}
        by_option = chosen(engine=engine, environment="auto", has_spark=has_spark, **everything)
        assert by_option == (engine, f"engine='{engine}' asks for it")
        by_environment = chosen(environment=engine, has_spark=has_spark, **everything)
        assert by_environment == (engine, f"SPECTRA_ENGINE='{engine}' asks for it")
        other = {"deltalake": "spark", "spark": "deltalake"}[engine]
        assert chosen(engine=engine, environment=other)[0] == engine

    def test_the_embedded_engine_can_not_be_asked_for_a_catalogs_table(self) -> None:
        """That is told at once, with the option that asked."""
        with pytest.raises(ConfigurationError, match=r"engine='deltalake'.*main\.log\.events"):
            DeltaHandler("main.log.events", engine="deltalake")
        with pytest.raises(ConfigurationError, match="SPECTRA_ENGINE='deltalake'"):
            chosen(environment="deltalake", table="main.log.events")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no credential."""
    import os

    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("bare")
class TestReach:
    @pytest.mark.parametrize(
        ("table", "reason"),
        [
            ("/data/log", None),
            ("file:///data/log", None),
            ("main.log.events", "a name in Spark's catalog"),
            ("/Volumes/main/log/files/events", "/Volumes is a mount"),
            ("/dbfs/log/events", "/dbfs is a mount"),
            ("/lakehouse/default/Tables/log/events", "/lakehouse/default is a mount"),
            ("dbfs:///log/events", "knows no dbfs:// addresses"),
            ("hdfs://name/log/events", "knows no hdfs:// addresses"),
            (ONELAKE, "no credential for abfss://"),
            ("s3://bucket/log", "no credential for s3://"),
            ("gs://bucket/log", "no credential for gs://"),
        ],
    )
    def test_is_told_by_the_tables_place(self, table: str, reason: str | None) -> None:
        """Nothing is tried for it."""
        found = why_unreached(table, {})
        assert found is None if reason is None else reason in str(found)

    def test_of_onelake_takes_a_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Fabric's, the user's, or one that the environment names."""
        with FakeNotebookUtils():
            assert why_unreached(ONELAKE, {}) is None
        assert why_unreached(ONELAKE, {"bearer_token": "token"}) is None
        assert why_unreached(ONELAKE, {"timeout": "20s"}) is not None
        monkeypatch.setenv("AZURE_CLIENT_ID", "somebody")
        assert why_unreached(ONELAKE, {}) is None

    def test_of_other_stores_takes_options_or_the_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As delta-rs takes them."""
        assert why_unreached("s3://bucket/log", {"AWS_ENDPOINT_URL": "http://127.0.0.1"}) is None
        monkeypatch.setenv("AWS_PROFILE", "somebody")
        assert why_unreached("s3://bucket/log", {}) is None


def needs_a_future_feature(table: str, *, reading: bool = False) -> None:
    """Have a table say that its writers, and perhaps readers, need what nobody knows."""
    entry = Path(table, "_delta_log", f"{0:020}.json")
    actions = [json.loads(line) for line in entry.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {
                "minReaderVersion": 1,
                "minWriterVersion": 7,
                "writerFeatures": ["fromTheFuture"],
            }
            if reading:
                action["protocol"] |= {"minReaderVersion": 3, "readerFeatures": ["fromTheFuture"]}
    entry.write_text("\n".join(map(json.dumps, actions)))


def test_without_spark_a_feature_that_is_lacking_is_told(tmp_path: Path) -> None:
    """There is nobody to turn to, so the error of the embedded engine stands."""
    table = str(tmp_path / "log")
    lakehouse = open_lakehouse()
    lakehouse.ensure(table, SMALL)
    needs_a_future_feature(table)
    for _ in range(2):
        with pytest.raises(UnsupportedFeaturesError, match="fromTheFuture"):
            lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
    assert lakehouse.choice(table) == EngineChoice(engine="deltalake", reason=REACHED)


def test_a_table_whose_place_begins_another_s_keeps_its_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``log`` lacks nothing when ``log_archive``, which one statement reads too, is Spark's."""
    table, archive = str(tmp_path / "log"), str(tmp_path / "log_archive")
    lakehouse = open_lakehouse()
    for place in (table, archive):
        lakehouse.ensure(place, SMALL)
    needs_a_future_feature(archive, reading=True)
    monkeypatch.setattr("spectra_logging.lakehouse.spark_found.SessionReference.alive", True)
    with pytest.raises(SpectraError):
        lakehouse.query("SELECT 1 FROM t, a", {"t": table, "a": archive})
    engines = [choice.engine for choice in map(lakehouse.choice, (table, archive)) if choice]
    assert engines == ["deltalake", "spark"]


def test_a_session_that_comes_later_is_turned_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that went embedded for want of one goes over to Spark."""
    lakehouse = open_lakehouse()
    for has_spark, engine in ((False, "deltalake"), (True, "spark")):
        session = "spectra_logging.lakehouse.spark_found.SessionReference.alive"
        monkeypatch.setattr(session, has_spark)
        with pytest.raises(SpectraError):
            lakehouse.version("dbfs:///log/events")
        choice = lakehouse.choice("dbfs:///log/events")
        assert choice is not None
        assert choice.engine == lakehouse.engine == engine


def test_the_choice_is_in_the_figures_and_told_once(
    tmp_path: Path, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """stats() names engine and reason, and one line of the log does, for those who debug."""
    caplog.set_level(logging.DEBUG, "spectra_logging")
    handler = attach(logger, str(tmp_path / "events"))
    assert (handler.stats().engine, handler.stats().engine_reason) == (None, None)
    for _ in range(3):
        logger.info("something")
        assert handler.flush(timeout_seconds=30)
    assert (handler.stats().engine, handler.stats().engine_reason) == ("deltalake", REACHED)
    told = [line for line in caplog.messages if "is written by engine" in line]
    assert told == [f"{tmp_path}/events is written by engine deltalake: {REACHED}"]


def test_a_handler_for_a_catalog_keeps_records_until_there_is_a_session(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning says what is missing."""
    handler = attach(logger, "main.log.events")
    logger.info("kept")
    assert not handler.flush(timeout_seconds=1)
    assert handler.stats().pending == 1
    assert "Start one, or name" in caplog.text
