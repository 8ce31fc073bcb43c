"""The engine ``spark`` on a real session: what the contract does not say of it."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, Field, Schema
from deltalake.schema import PrimitiveType

from spectra_logging.errors import (
    LakehouseError,
    RowsRejectedError,
    TableForbiddenError,
    TableNotFoundError,
    TableUnavailableError,
)
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Commit, Lakehouse, TableChange
from spectra_logging.lakehouse.spark import SparkLakehouse
from spectra_logging.lakehouse.spark_handover import shares_files
from spectra_logging.session import NotebookSession
from tests import stages
from tests.handlers import attach
from tests.lakehouses import EVERY_TYPE, FULL_ROW, JSON_ROW, NULLS, UTC, lines, spec_of, transaction
from tests.sparks import kind_of_spark
from tests.tables import column, read_rows, row_count

pytestmark = pytest.mark.skipif(
    "spark" not in os.environ.get("SPECTRA_TEST_ENGINES", ""),
    reason="Spark is tried by tox -e spark35, spark41, connect and sail",
)

SMALL = spec_of(("n", "long", False), ("text", "string", True))
SECONDS = float(os.environ.get("SPECTRA_TEST_RACE_SECONDS", "5"))
"""How long both engines append to one table at once."""

classic_only = pytest.mark.skipif(
    kind_of_spark() != "classic", reason="Spark Connect and Sail have no such thing"
)
delta_only = pytest.mark.skipif(kind_of_spark() == "sail", reason="Sail has no Delta DDL")


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(tmp_path / "Tables" / "log")


@pytest.fixture
def engine_of_spark(spark: Any) -> Lakehouse:
    return open_lakehouse("spark", spark=spark)


@pytest.fixture
def apart(spark: Any, monkeypatch: pytest.MonkeyPatch) -> Lakehouse:
    """The engine with a session that is told not to see this process's files."""

    def sees_none(_session: object) -> bool:
        return False

    for module in ("spark", "spark_log", "spark_proof"):
        monkeypatch.setattr(f"spectra_logging.lakehouse.{module}.shares_files", sees_none)
    return open_lakehouse("spark", spark=spark)


def numbers(lakehouse: Lakehouse, table: str) -> list[int]:
    return [row[0] for row in lakehouse.query("SELECT n FROM t ORDER BY n", {"t": table}).rows]


def drop_our_session(lakehouse: SparkLakehouse) -> None:
    """Have the server of Spark Connect drop the engine's session, as it does by itself in time."""
    with lakehouse._sessions.working("drop") as session:
        session.client.release_session()


class TestTheUsersSession:
    def test_keeps_its_settings_views_and_place(
        self, spark: Any, engine_of_spark: Lakehouse, table: str
    ) -> None:
        """Nothing that the engine does can be seen in the user's session afterwards."""
        before = settings_of(spark)
        spark.range(3).createOrReplaceTempView("t")
        active = type(spark).getActiveSession()
        engine_of_spark.ensure(table, SMALL)
        engine_of_spark.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        engine_of_spark.write(table, [{"n": 2}], spec=SMALL, mode="append")
        assert numbers(engine_of_spark, table) == [1, 2]
        assert spark.table("t").count() == 3
        assert settings_of(spark) == before
        assert type(spark).getActiveSession() is active

    @delta_only
    def test_may_make_its_own_writes_idempotent(
        self, spark: Any, engine_of_spark: Lakehouse, table: str
    ) -> None:
        """Delta skips what has the settings' number a second time; ours have no part in it."""
        for key, value in (("txnAppId", "program"), ("txnVersion", "7")):
            spark.conf.set(f"spark.databricks.delta.write.{key}", value)
        try:
            lakehouse = open_lakehouse("spark", spark=spark)
            for n in (1, 2):
                lakehouse.write(table, [{"n": n, "text": None}], spec=SMALL)
        finally:
            for key in ("txnAppId", "txnVersion"):
                spark.conf.unset(f"spark.databricks.delta.write.{key}")
        assert numbers(engine_of_spark, table) == [2]

    @delta_only
    def test_settings_made_at_run_time_are_ours_too(
        self, spark: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Such as the key to a store, which is no setting that Spark knows of."""
        key = "fs.azure.account.key.example.dfs.core.windows.net"
        settings = {key: "first", "spark.sql.shuffle.partitions": "3"}
        for name, value in settings.items():
            spark.conf.set(name, value)
        monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])
        try:
            lakehouse = SparkLakehouse(spark)
            with lakehouse._sessions.working("test") as session:
                assert {name: session.conf.get(name) for name in settings} == settings
        finally:
            spark.conf.unset(key)
            spark.conf.set("spark.sql.shuffle.partitions", "2")

    @delta_only
    def test_may_escape_nothing_in_literals(
        self, spark: Any, table: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As Hive's users have it. Ours are written for a session that does."""
        setting = "spark.sql.parser.escapedStringLiterals"
        monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])
        spark.sql(f"SET {setting}=true").collect()
        try:
            lakehouse = open_lakehouse("spark", spark=spark)
            lakehouse.write(table, [{"n": 1, "text": "it's 7"}], spec=SMALL)
            dialect = lakehouse.dialect([table])
            is_found = dialect.matches("text", r"\Ait's \d\z")
            assert lakehouse.query(f"SELECT {is_found} FROM t", {"t": table}).rows == ((True,),)
        finally:
            spark.sql(f"RESET {setting}").collect()

    @delta_only
    def test_may_be_at_another_schema(self, spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name means the same table in ours."""
        place = "SELECT current_catalog(), current_schema()"
        before = spark.catalog.currentDatabase()
        spark.sql("CREATE SCHEMA IF NOT EXISTS elsewhere").collect()
        monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])
        spark.sql("USE elsewhere").collect()
        try:
            lakehouse = open_lakehouse("spark", spark=spark)
            assert lakehouse.query(place, {}).rows == (("spark_catalog", "elsewhere"),)
        finally:
            spark.sql(f"USE {before}").collect()
            spark.sql("DROP SCHEMA elsewhere").collect()

    @delta_only
    @pytest.mark.parametrize("place", ["path", "name"])
    @pytest.mark.parametrize("of_spark", [False, True])
    def test_may_overwrite_partitions_alone(
        self,
        spark: Any,
        table: str,
        monkeypatch: pytest.MonkeyPatch,
        place: str,
        of_spark: bool,
    ) -> None:
        """Ours replace the table all the same, as they do with the embedded engine."""
        setting = "spark.sql.sources.partitionOverwriteMode"
        spark.sql("CREATE SCHEMA IF NOT EXISTS logs").collect()
        name, target = ("logs.parted",) * 2 if place == "name" else (f"delta.`{table}`", table)
        spark.sql(
            f"CREATE TABLE {name} (n BIGINT, text STRING) USING DELTA PARTITIONED BY (text)"
        ).collect()
        spec = spec_of(("n", "long", True), ("text", "string", True))
        monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])
        spark.conf.set(setting, "dynamic")
        try:
            lakehouse = open_lakehouse("spark", spark=spark)
            spark.sql(f"INSERT INTO {name} VALUES (1, 'a')").collect()
            new = spark.sql("SELECT 2L AS n, 'b' AS text") if of_spark else [{"n": 2, "text": "b"}]
            lakehouse.write(target, new, spec=spec)
            assert numbers(lakehouse, target) == [2]
        finally:
            spark.conf.unset(setting)
            spark.sql("DROP TABLE IF EXISTS logs.parted").collect()

    @pytest.mark.skipif(
        kind_of_spark() != "connect", reason="Spark Connect's own server drops sessions"
    )
    def test_may_outlive_ours_on_the_server(
        self, spark: Any, engine_of_spark: SparkLakehouse, table: str
    ) -> None:
        """The server drops a session that an hour goes by without: another takes its place."""
        engine_of_spark.ensure(table, SMALL)
        engine_of_spark.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        drop_our_session(engine_of_spark)
        engine_of_spark.append(table, lines({"n": 2}), SMALL, transaction=transaction(2))
        assert numbers(engine_of_spark, table) == [1, 2]
        drop_our_session(engine_of_spark)
        assert numbers(engine_of_spark, table) == [1, 2]
        assert not spark.is_stopped

    @delta_only
    def test_times_far_away_are_the_same_for_both_engines(
        self, engine_of_spark: Lakehouse, table: str
    ) -> None:
        """Spark's default for Parquet holds nanoseconds, which wrap beyond 1677 to 2262."""
        spec = spec_of(("n", "long", False), ("moment", "timestamp", True))
        engine_of_spark.ensure(table, spec)
        far_away = [dt.datetime(year, 1, 1, tzinfo=UTC) for year in (1582, 9999)]
        epoch = dt.datetime(1970, 1, 1, tzinfo=UTC)
        rows = [
            {"n": n, "moment": (moment - epoch) // dt.timedelta(microseconds=1)}
            for n, moment in enumerate(far_away)
        ]
        engine_of_spark.append(table, lines(*rows), spec, transaction=transaction(1))
        for lakehouse in (engine_of_spark, open_lakehouse("deltalake")):
            found = lakehouse.query("SELECT moment FROM t ORDER BY n", {"t": table}).rows
            assert [moment for (moment,) in found] == far_away

    @delta_only
    def test_may_take_times_to_have_no_zone(
        self, spark: Any, engine_of_spark: Lakehouse, table: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where TIMESTAMP is a type without one, ours have theirs all the same."""
        setting = "spark.sql.timestampType"
        monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])
        spark.conf.set(setting, "TIMESTAMP_NTZ")
        try:
            engine_of_spark.ensure(table, EVERY_TYPE)
            row = lines(JSON_ROW)
            engine_of_spark.append(table, row, EVERY_TYPE, transaction=transaction(1))
        finally:
            spark.conf.unset(setting)
        assert read_rows(table, "moment") == [FULL_ROW]

    @delta_only
    def test_may_read_times_as_spark_2_did(
        self, spark: Any, apart: Lakehouse, table: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ours arrive exactly, also where they travel as text."""
        setting = "spark.sql.legacy.timeParserPolicy"
        monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])
        spark.conf.set(setting, "LEGACY")
        try:
            apart.ensure(table, EVERY_TYPE)
            row = lines(JSON_ROW)
            apart.append(table, row, EVERY_TYPE, transaction=transaction(1))
        finally:
            spark.conf.unset(setting)
        assert read_rows(table, "moment") == [FULL_ROW]

    @delta_only
    def test_puts_no_variable_into_a_statement(self, engine_of_spark: Lakehouse) -> None:
        """A text that a check looks for may read like one."""
        text = "${env:HOME} ${nothing}"
        assert engine_of_spark.query(f"SELECT '{text}'", {}).rows == ((text,),)

    @pytest.mark.parametrize("name", ["t", pytest.param("in two words", marks=delta_only)])
    def test_lends_no_table_of_one_statement_to_the_next(
        self, engine_of_spark: Lakehouse, table: str, name: str
    ) -> None:
        """A statement finds the tables that are passed with it and no others."""
        engine_of_spark.write(table, [{"n": 1}], spec=SMALL)
        sql = f"SELECT n FROM `{name}`"
        assert engine_of_spark.query(sql, {name: table}).rows == ((1,),)
        with pytest.raises(LakehouseError):
            engine_of_spark.query(sql, {"other": table})

    @delta_only
    def test_need_not_take_settings(
        self, spark: Any, table: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Databricks' serverless compute takes and tells few, and refuses in these words."""
        settings = type(spark.conf)
        # PySpark's own client asks for the last of these.
        known = ("spark.sql.session.timeZone", "spark.sql.ansi.enabled", "spark.sql.execution.")
        refused = set()

        def refusing(original: Any) -> Any:
            def refuses(self: Any, key: str, *value: Any) -> Any:
                if not key.startswith(known):
                    refused.add(original.__name__)
                    raise RuntimeError(
                        f"[CONFIG_NOT_AVAILABLE] Configuration {key} is not available. "
                        "SQLSTATE: 42K0I"
                    )
                return original(self, key, *value)

            return refuses

        monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])
        for name in ("get", "set", "unset"):
            monkeypatch.setattr(settings, name, refusing(getattr(settings, name)))
        lakehouse = open_lakehouse("spark", spark=spark)
        lakehouse.ensure(table, SMALL)
        for replayed in (False, True):
            commit = lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
            assert commit.replayed is replayed
        assert numbers(lakehouse, table) == [1]
        assert refused == {"get", "set", "unset"}

    def test_may_let_none_be_made_beside_it(
        self, spark: Any, table: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server that can't be reached is no table's fault, and worth another try."""

        def unreached(*_: Any) -> None:
            raise RuntimeError("failed to connect to all addresses")

        monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])
        lakehouse = open_lakehouse("spark", spark=spark)
        with monkeypatch.context() as patch:
            patch.setattr(type(spark.conf), "set", unreached)
            with pytest.raises(TableUnavailableError, match="failed to connect"):
                lakehouse.ensure(table, SMALL)
            with pytest.raises(TableUnavailableError, match="failed to connect"):
                lakehouse.query("SELECT 1", {})
        assert lakehouse.ensure(table, SMALL) == TableChange(created=True)

    @classic_only
    def test_keeps_the_names_of_its_jobs(
        self, spark: Any, engine_of_spark: Lakehouse, table: str
    ) -> None:
        """Ours stand in the Spark UI under a group of their own, theirs under theirs."""
        context = spark.sparkContext
        tracker = context.statusTracker()
        context.setJobGroup("theirs", "what they do")
        # Not how many: it knows the last thousand of all.
        ours_before = set(tracker.getJobIdsForGroup("spectra-logging"))
        engine_of_spark.write(table, [{"n": 2}], spec=SMALL)
        assert set(tracker.getJobIdsForGroup("spectra-logging")) - ours_before
        assert list(tracker.getJobIdsForGroup("theirs")) == []
        assert context.getLocalProperty("spark.job.description") == "what they do"
        spark.range(1).count()
        assert list(tracker.getJobIdsForGroup("theirs")) != []

    def test_keeps_its_jobs_apart_from_the_handlers(
        self, spark: Any, logger: logging.Logger, table: str
    ) -> None:
        """A log call runs no job; the handler's own thread does."""
        threads: set[str] = set()
        handler = attach(logger, table, engine="spark")
        original = SparkLakehouse.append

        def watched(self: SparkLakehouse, *args: Any, **kwargs: Any) -> Commit:
            threads.add(threading.current_thread().name)
            return original(self, *args, **kwargs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SparkLakehouse, "append", watched)
            logger.info("first")
            assert handler.flush(60)
        assert threads == {"spectra-logging-writer"}
        assert column(table) == ["first"]
        stats = handler.stats()
        assert (stats.engine, stats.delivery) == ("spark", "exactly once")


def settings_of(session: Any) -> dict[str, str]:
    if kind_of_spark() == "sail":
        return {"timezone": session.conf.get("spark.sql.session.timeZone")}
    return dict(tuple(row)[:2] for row in session.sql("SET").collect())


class TestBothEngines:
    def test_each_reads_and_appends_to_the_others_tables(
        self, engine_of_spark: Lakehouse, tmp_path: Path
    ) -> None:
        """Values of every type, columns added later, and protocol 1/2 with no features."""
        engines = {"spark": engine_of_spark, "deltalake": open_lakehouse("deltalake")}
        wider = spec_of(("moment", "timestamp", False), ("more", "long", True))
        for first, second in (("spark", "deltalake"), ("deltalake", "spark")):
            table = str(tmp_path / first)
            assert engines[first].ensure(table, EVERY_TYPE) == TableChange(created=True)
            assert not engines[second].ensure(table, EVERY_TYPE)
            for number, engine in enumerate((first, second, first)):
                rows = lines({**JSON_ROW, "small": number})
                mark = transaction(number, "journal")
                written = engines[engine].append(table, rows, EVERY_TYPE, transaction=mark)
                assert not written.replayed
                for other in engines.values():
                    assert other.append(table, rows, EVERY_TYPE, transaction=mark).replayed
                    assert other.transaction_version(table, "journal") == number
            assert engines[second].ensure(table, with_extra(wider)) == TableChange(
                added_columns=("more",)
            )
            expected = [{**FULL_ROW, "small": number, "more": None} for number in range(3)]
            for reader in engines.values():
                found = reader.query("SELECT * FROM t ORDER BY small", {"t": table})
                assert found.to_dicts() == expected
            assert read_rows(table, "small") == [
                {**FULL_ROW, "small": number} for number in range(3)
            ]
            assert DeltaTable(table).protocol()[:2] == (1, 2)
            assert DeltaTable(table).protocol().writer_features in (None, [])

    def test_both_append_at_once(self, engine_of_spark: Lakehouse, table: str) -> None:
        """Nothing is lost, nothing doubled, upkeep by either among it."""
        engine_of_spark.ensure(table, SMALL)
        engines = [engine_of_spark, open_lakehouse("deltalake")]
        written: list[list[int]] = [[], []]
        failures: list[BaseException] = []
        deadline = time.monotonic() + SECONDS

        def append(me: int) -> None:
            try:
                while time.monotonic() < deadline or len(written[me]) < 10:
                    number = len(written[me])
                    row = me * 1_000_000 + number
                    mark = transaction(number, f"journal-{me}")
                    append_until_done(engines[me], table, row, mark)
                    written[me].append(row)
                    if number % 20 == 19:
                        engines[me].upkeep(table)
            except BaseException as error:  # noqa: BLE001 - the test tells of it
                failures.append(error)

        threads = [threading.Thread(target=append, args=(me,)) for me in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert numbers(engine_of_spark, table) == written[0] + written[1]

    @delta_only
    @pytest.mark.parametrize("mode", ["append", "overwrite"])
    @pytest.mark.parametrize("place", ["path", "name"])
    def test_columns_that_data_lacks_are_filled_by_delta(
        self, spark: Any, engine_of_spark: Lakehouse, table: str, place: str, mode: str
    ) -> None:
        """With their defaults, or from the others, as an INSERT without them has it."""
        spark.sql("CREATE SCHEMA IF NOT EXISTS logs").collect()
        name, target = ("logs.filled",) * 2 if place == "name" else (f"delta.`{table}`", table)
        spark.sql(
            f"CREATE TABLE {name} (n BIGINT NOT NULL, text STRING, kind STRING DEFAULT 'usual') "
            "USING DELTA TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')"
        ).collect()
        try:
            engine_of_spark.write(target, [{"n": 1, "text": None}], spec=SMALL, mode=mode)
            found = engine_of_spark.query("SELECT * FROM t", {"t": target}).to_dicts()
            assert found == [{"n": 1, "text": None, "kind": "usual"}]
        finally:
            spark.sql("DROP TABLE IF EXISTS logs.filled").collect()

    def test_a_journal_begun_on_one_is_finished_on_the_other(
        self, spark: Any, logger: logging.Logger, table: str
    ) -> None:
        """The batches go on counting, and what the table has is not written again."""
        for number, engine in enumerate(("spark", "deltalake", "spark")):
            handler = attach(logger, table, engine=engine)
            logger.info("record %d", number)
            assert handler.flush(60)
            logger.removeHandler(handler)
            handler.close()
        assert column(table) == ["record 0", "record 1", "record 2"]
        commits = [c.get("operation") for c in DeltaTable(table).history()]
        assert len(commits) == 4


def append_until_done(engine: Lakehouse, table: str, row: int, mark: Any) -> None:
    """As the writer does: a commit that others keep overtaking is tried again."""
    while True:
        try:
            engine.append(table, lines({"n": row}), SMALL, transaction=mark)
        except TableUnavailableError:
            continue
        return


def with_extra(spec: Any) -> Any:
    """EVERY_TYPE with the spec's last column."""
    columns = [(c.name, c.type, c.nullable) for c in (*EVERY_TYPE.columns, spec.columns[-1])]
    return spec_of(*columns)


class TestExactlyOnce:
    def test_a_commit_that_succeeds_and_raises_is_not_repeated(
        self, spark: Any, logger: logging.Logger, table: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The retry finds the transaction in the table."""
        original = SparkLakehouse.append
        raised: list[bool] = []

        def lies(self: SparkLakehouse, *args: Any, **kwargs: Any) -> Commit:
            commit = original(self, *args, **kwargs)
            if not raised:
                raised.append(True)
                raise TableUnavailableError("the connection was lost after the commit")
            return commit

        monkeypatch.setattr(SparkLakehouse, "append", lies)
        handler = attach(logger, table, engine="spark")
        logger.info("first")
        logger.info("second")
        assert handler.flush(90)
        assert raised
        assert sorted(column(table)) == ["first", "second"]
        assert handler.stats().written == 2

    def test_sessions_that_race_with_one_transaction_write_it_once(
        self, spark: Any, table: str
    ) -> None:
        """Two engines, each in a thread of its own: each learns whether it was the one."""
        open_lakehouse("spark").ensure(table, SMALL)
        replayed: list[list[bool]] = [[], []]
        together = threading.Barrier(2)

        def append(me: int) -> None:
            engine = open_lakehouse("spark", spark=spark)
            for number in range(5):
                together.wait(60)
                mark = transaction(number + 1)
                commit = engine.append(table, lines({"n": number}), SMALL, transaction=mark)
                replayed[me].append(commit.replayed)

        threads = [threading.Thread(target=append, args=(me,)) for me in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [sorted(pair) for pair in zip(*replayed, strict=True)] == [[False, True]] * 5
        assert numbers(open_lakehouse("spark"), table) == list(range(5))


@delta_only
class TestConstraints:
    @pytest.mark.parametrize("engine", ["engine_of_spark", "apart"])
    def test_keep_out_the_rows_that_break_them_and_no_others(
        self, spark: Any, request: pytest.FixtureRequest, engine: str, table: str
    ) -> None:
        """Told by Spark, whose SQL they are written in, also of a column that no row has."""
        lakehouse: Lakehouse = request.getfixturevalue(engine)
        place = f"delta.`{table}`"
        spark.sql(
            f"CREATE TABLE {place} (n BIGINT, text VARCHAR(5), other INT) USING DELTA"
        ).collect()
        for name, condition in {
            "small": "try_add(n, 1) <= 100",
            "no_other": "other IS NULL AND text <> 'd'",
        }.items():
            spark.sql(f"ALTER TABLE {place} ADD CONSTRAINT {name} CHECK ({condition})").collect()
        spec = spec_of(("n", "long", True), ("text", "string", True))
        rows: list[dict[str, Any]] = [
            {"n": 1, "text": "a"},
            {"n": 100, "text": "b"},
            {"n": 2, "text": "d"},
            {"n": 3, "text": "longer"},
            {"n": 4},
            {"text": "c"},
        ]
        written = lines(*rows)
        # Of several rows Spark tells one, whichever it comes upon.
        for some in (lines(rows[3]), written):
            with pytest.raises(RowsRejectedError) as raised:
                lakehouse.append(table, some, spec, transaction=transaction(7))
            assert "longer" not in str(raised.value)
        taken, refused = lakehouse.split_refused(table, written, spec)
        assert [taken.rstrip(b"\n"), *(line for line, _ in refused)] == written.splitlines()
        told = [reason.split(" keeps it out")[0] for _, reason in refused]
        assert told[0].startswith("CHECK constraint small (")
        assert told[2] == "column text, which is varchar(5)"
        lakehouse.append(table, taken, spec, transaction=transaction(7))
        with pytest.raises(RowsRejectedError):
            lakehouse.append(table, written, spec, transaction=transaction(7))
        assert lakehouse.append(table, taken, spec, transaction=transaction(7)).replayed
        assert numbers(lakehouse, table) == [1]

    @pytest.mark.parametrize("engine", ["engine_of_spark", "apart"])
    def test_of_columns_are_told_too(
        self, request: pytest.FixtureRequest, engine: str, table: str
    ) -> None:
        """Invariants, as Delta called them, which are in the schema and in no property."""
        lakehouse: Lakehouse = request.getfixturevalue(engine)
        invariant = json.dumps({"expression": {"expression": "n < 100"}})
        field = Field("n", PrimitiveType("long"), metadata={"delta.invariants": invariant})
        DeltaTable.create(table, Schema([field]))
        spec = spec_of(("n", "long", True))
        rows = lines({"n": 1}, {"n": 100}, {"n": 2})
        with pytest.raises(RowsRejectedError):
            lakehouse.append(table, rows, spec, transaction=transaction(1))
        taken, refused = lakehouse.split_refused(table, rows, spec)
        assert taken == lines({"n": 1}, {"n": 2})
        assert refused == [
            (lines({"n": 100}).rstrip(), "invariant of column n (n < 100) keeps it out")
        ]

    def test_set_rows_aside_alone(self, spark: Any, logger: logging.Logger, table: str) -> None:
        """One of them would else keep every record behind it from the table."""
        handler = attach(logger, table, engine="spark", flush_interval_seconds=3600)
        logger.info("first")
        assert handler.flush(60)
        constraint = "no_noise CHECK (event <> 'noise')"
        spark.sql(f"ALTER TABLE delta.`{table}` ADD CONSTRAINT {constraint}").collect()
        for event in ("second", "noise", "third"):
            logger.info(event)
        assert handler.flush(60), handler.stats()
        assert column(table) == ["first", "second", "third"]
        assert (handler.stats().written, handler.stats().quarantined) == (3, 1)


class TestWithoutSharedFiles:
    """Where a cluster or a remote server sees no file of this process."""

    @delta_only
    def test_every_type_arrives_exactly(self, apart: Lakehouse, table: str) -> None:
        """By Arrow or as text, and the log read through Spark."""
        assert apart.ensure(table, EVERY_TYPE) == TableChange(created=True)
        assert not apart.ensure(table, EVERY_TYPE)
        bare = {"moment": 0, "text": ""}
        rows = lines(JSON_ROW, bare)
        assert apart.append(table, rows, EVERY_TYPE, transaction=transaction(1)) == Commit(
            version=1
        )
        again = apart.append(table, rows, EVERY_TYPE, transaction=transaction(1))
        assert (again.version, again.replayed) == (1, True)
        assert apart.transaction_version(table, "journal-1") == 1
        assert apart.transaction_version(table, "another") is None
        empty = {**NULLS, "moment": dt.datetime(1970, 1, 1, tzinfo=UTC), "text": ""}
        assert read_rows(table, "moment") == [empty, FULL_ROW]
        described = [(c.name, c.type, c.nullable, c.comment) for c in apart.schema(table)]
        assert described == [(c.name, c.type, c.nullable, c.comment) for c in EVERY_TYPE.columns]
        assert apart.delivery(table) == "exactly once"

    @delta_only
    def test_columns_are_added_and_data_frames_written(self, apart: Lakehouse, table: str) -> None:
        """Evolution, overwriting and pinned versions, all through Spark."""
        apart.write(table, [{"n": 1}, {"n": 2}], spec=SMALL)
        wider = spec_of(("n", "long", False), ("text", "string", True), ("more", "long", True))
        assert apart.ensure(table, wider) == TableChange(added_columns=("more",))
        version = apart.version(table)
        apart.write(table, [{"n": 3, "more": 4}], spec=wider)
        assert numbers(apart, table) == [3]
        pinned = apart.query("SELECT n FROM t ORDER BY n", {"t": table}, versions={"t": version})
        assert pinned.rows == ((1,), (2,))

    @delta_only
    def test_upkeep_keeps_rows_and_readers(self, apart: Lakehouse, table: str) -> None:
        """Small files are merged; what an open reader may need stays; a second round rests."""
        apart.ensure(table, SMALL)
        for number in range(3):
            apart.append(table, lines({"n": number}), SMALL, transaction=transaction(number))
        reader = DeltaTable(table)
        assert apart.upkeep(table).compacted_files == 3
        assert not apart.upkeep(table).compacted_files
        assert len(DeltaTable(table).file_uris()) == 1
        assert all(Path(file).exists() for file in reader.file_uris())
        assert numbers(apart, table) == [0, 1, 2]
        assert apart.transaction_version(table, "journal-1") == 2

    @delta_only
    def test_upkeep_that_another_overtakes_is_left_to_it(
        self, apart: Lakehouse, table: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is no failure, and the next round has what there is to do then."""
        apart.ensure(table, SMALL)
        for number in range(3):
            apart.append(table, lines({"n": number}), SMALL, transaction=transaction(number))
        with apart._sessions.working("test") as session:  # type: ignore[attr-defined]
            kind = type(session)
        original = kind.sql

        def overtaken(self: Any, statement: str, *args: Any, **kwargs: Any) -> Any:
            if statement.startswith("OPTIMIZE"):
                raise RuntimeError(
                    "[DELTA_CONCURRENT_DELETE_READ] This transaction attempted to read one or more "
                    "files that were deleted by a concurrent update."
                )
            return original(self, statement, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(kind, "sql", overtaken)
            assert not apart.upkeep(table).compacted_files
        assert apart.upkeep(table).compacted_files == 3

    @delta_only
    @pytest.mark.parametrize("folder", ["runs [1]", "{runs}"])
    def test_transactions_are_found_in_a_folder_called_like_a_pattern(
        self, apart: Lakehouse, tmp_path: Path, folder: str
    ) -> None:
        """The log's files are looked for by a pattern, of which the folder is no part."""
        table = str(tmp_path / folder)
        apart.ensure(table, SMALL)
        apart.append(table, lines({"n": 1}), SMALL, transaction=transaction(7))
        assert apart.transaction_version(table, "journal-1") == 7

    @delta_only
    def test_checkpoints_keep_transactions(self, apart: Lakehouse, table: str) -> None:
        """A transaction is found when the log's files that held it are gone."""
        apart.ensure(table, SMALL)
        apart.append(table, lines({"n": 1}), SMALL, transaction=transaction(7))
        DeltaTable(table).create_checkpoint()
        later = transaction(1, "another")
        open_lakehouse("deltalake").append(table, lines({"n": 2}), SMALL, transaction=later)
        for number in range(2):
            Path(table, "_delta_log", f"{number:020}.json").unlink()
        assert apart.transaction_version(table, "journal-1") == 7
        assert apart.transaction_version(table, "another") == 1
        apart.append(table, lines({"n": 3}), SMALL, transaction=transaction(8))
        assert apart.transaction_version(table, "journal-1") == 8

    @delta_only
    def test_checkpoints_that_can_t_be_read_now_are_not_passed_over(
        self, spark: Any, apart: Lakehouse, table: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A number that only they hold would be given out again, and its rows skipped as old."""
        apart.ensure(table, SMALL)
        apart.append(table, lines({"n": 1}), SMALL, transaction=transaction(7))
        DeltaTable(table).create_checkpoint()

        def unreached(*_: Any) -> None:
            raise RuntimeError("the connection was reset")

        monkeypatch.setattr(type(spark.read), "parquet", unreached)
        with pytest.raises(TableUnavailableError, match="the connection was reset"):
            apart.transaction_version(table, "journal-1")


@pytest.mark.skipif(kind_of_spark() != "connect", reason="Spark is tried by tox -e connect so")
class TestAClientOfSpark3:
    """Which takes no Arrow and clones no session, as Databricks Connect up to 16."""

    @pytest.fixture(autouse=True)
    def lacking(self, spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pyspark.__version__", "3.5.9")
        monkeypatch.delattr(type(spark), "cloneSession")
        monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])

    def test_hands_rows_over_as_text(
        self, spark: Any, apart: Lakehouse, table: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every type arrives exactly, and nothing at all too."""
        original = type(spark).createDataFrame

        def takes_no_arrow(self: Any, data: Any, *args: Any) -> Any:
            assert isinstance(data, list)
            return original(self, data, *args)

        monkeypatch.setattr(type(spark), "createDataFrame", takes_no_arrow)
        apart.ensure(table, EVERY_TYPE)
        apart.append(table, lines(JSON_ROW), EVERY_TYPE, transaction=transaction(1))
        apart.append(table, b"", EVERY_TYPE, transaction=transaction(2))
        assert read_rows(table, "moment") == [FULL_ROW]

    def test_has_the_settings_that_the_users_session_has(self, spark: Any) -> None:
        """Which a session that is no clone has to be told."""
        key = "fs.azure.account.key.example.dfs.core.windows.net"
        spark.conf.set(key, "first")
        try:
            lakehouse = SparkLakehouse(spark)
            with lakehouse._sessions.working("test") as session:
                assert session.conf.get(key) == "first"
        finally:
            spark.conf.unset(key)


@pytest.mark.skipif(kind_of_spark() != "sail", reason="Spark Connect's own server keeps them")
class TestAServerThatIgnoresTransactions:
    def test_is_found_out_and_commits_go_another_way(
        self, engine_of_spark: Lakehouse, table: str
    ) -> None:
        """Where this process reaches the table, the embedded engine commits: exactly once."""
        engine_of_spark.ensure(table, SMALL)
        for _ in range(2):
            engine_of_spark.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        assert numbers(engine_of_spark, table) == [1]
        assert engine_of_spark.delivery(table) == "exactly once"

    def test_says_at_least_once_where_nothing_else_holds(
        self,
        apart: Lakehouse,
        logger: logging.Logger,
        table: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """In the handler's figures, and once as a warning."""
        open_lakehouse("deltalake").ensure(table, SMALL)
        with caplog.at_level(logging.WARNING, logger="spectra_logging"):
            for number in range(1, 3):
                apart.append(table, lines({"n": number}), SMALL, transaction=transaction(number))
        assert numbers(apart, table) == [1, 2]
        assert apart.delivery(table) == "at least once"
        warned = [r for r in caplog.records if "at least once" in r.getMessage()]
        assert len(warned) == 1


@delta_only
class TestCatalogNames:
    @pytest.fixture
    def name(self, spark: Any) -> Iterator[str]:
        spark.sql("CREATE SCHEMA IF NOT EXISTS logs").collect()
        yield "logs.events"
        spark.sql("DROP TABLE IF EXISTS logs.events").collect()

    @pytest.mark.parametrize("prefix", ["", "spark_catalog.", "`spark_catalog`."])
    def test_are_written_to_and_read(
        self, engine_of_spark: Lakehouse, name: str, prefix: str
    ) -> None:
        """``schema.table`` and ``catalog.schema.table`` hold the promises that paths do."""
        table = prefix + name
        assert not engine_of_spark.exists(table)
        assert engine_of_spark.ensure(table, SMALL) == TableChange(created=True)
        wider = spec_of(("n", "long", False), ("text", "string", True), ("more", "long", True))
        assert engine_of_spark.ensure(table, wider) == TableChange(added_columns=("more",))
        for number in (1, 2):
            mark = transaction(number)
            row = lines({"n": number})
            assert not engine_of_spark.append(table, row, wider, transaction=mark).replayed
            assert engine_of_spark.append(table, row, wider, transaction=mark).replayed
        assert engine_of_spark.transaction_version(table, "journal-1") == 2
        assert numbers(engine_of_spark, table) == [1, 2]
        engine_of_spark.write(table, [{"n": 9}], spec=wider)
        assert numbers(engine_of_spark, table) == [9]
        for number in (1, 2):
            own = {"n": number, "text": "own"}
            engine_of_spark.write(table, [own], spec=wider, replacing={"text": "own"})
        assert numbers(engine_of_spark, table) == [2, 9]
        assert [c.nullable for c in engine_of_spark.schema(table)] == [False, True, True]
        engine_of_spark.write(table, pl.DataFrame({"other": [0.5]}))
        found = engine_of_spark.query("SELECT * FROM t", {"t": table})
        assert found.to_dicts() == [{"other": 0.5}]

    def test_are_written_to_where_nobody_may_look_into_their_folders(
        self, spark: Any, engine_of_spark: Lakehouse, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Unity Catalog refuses the paths of what it manages, in these words; the history tells."""
        reader = type(spark.read)

        def refusing(original: Any) -> Any:
            def read(self: Any, path: Any, *args: Any, **kwargs: Any) -> Any:
                if "_delta_log" in str(path):
                    raise RuntimeError(
                        f"[INVALID_PARAMETER_VALUE.LOCATION_OVERLAP] Input path url '{path}' "
                        "overlaps with managed storage within 'CheckPathAccess' call"
                    )
                return original(self, path, *args, **kwargs)

            return read

        for kind in ("json", "parquet"):
            monkeypatch.setattr(reader, kind, refusing(getattr(reader, kind)))
        engine_of_spark.ensure(name, SMALL)
        for number in (9, 10):
            engine_of_spark.append(
                name, lines({"n": number}), SMALL, transaction=transaction(number)
            )
        # As the next process asks first of all.
        lakehouse = open_lakehouse("spark", spark=spark)
        assert lakehouse.transaction_version(name, "journal-1") == 10
        assert lakehouse.transaction_version(name, "journal") is None
        last = lakehouse.append(name, lines({"n": 10}), SMALL, transaction=transaction(10))
        assert last.replayed
        assert numbers(lakehouse, name) == [9, 10]

    def test_get_new_columns_where_nobody_may_write_into_their_folders(
        self, spark: Any, engine_of_spark: Lakehouse, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Unity Catalog refuses that too, so an overwrite goes by the name like all else."""

        def refuses(_self: Any, path: str | None = None, *_: Any, **__: Any) -> None:
            raise RuntimeError(
                f"[INVALID_PARAMETER_VALUE.LOCATION_OVERLAP] Input path url '{path}' "
                "overlaps with managed storage within 'CheckPathAccess' call"
            )

        monkeypatch.setattr(type(spark.range(0).write), "save", refuses)
        for frame in (
            pl.DataFrame({"n": [1], "text": ["a"]}),
            pl.DataFrame({"text": [2.5], "n": ["b"]}),
            pl.DataFrame({"n": [True]}),
        ):
            engine_of_spark.write(name, frame)
            found = engine_of_spark.query("SELECT * FROM t", {"t": name})
            assert found.to_dicts() == frame.to_dicts()
            assert found.columns == tuple(frame.columns)

    @pytest.mark.parametrize(
        "words",
        [
            "[INSUFFICIENT_PERMISSIONS] Insufficient privileges: User does not have SELECT",
            "PERMISSION_DENIED: User does not have USE SCHEMA on Schema 'main.logs'",
            "[UNAUTHORIZED_ACCESS] Unauthorized access: User does not have USE CATALOG",
        ],
    )
    def test_say_that_access_is_denied(
        self, spark: Any, monkeypatch: pytest.MonkeyPatch, words: str
    ) -> None:
        """In each of Unity Catalog's ways to say so."""
        lakehouse = open_lakehouse("spark", spark=spark)

        def refuses(*_: Any) -> None:
            raise RuntimeError(words)

        monkeypatch.setattr(type(spark.read), "table", refuses)
        with pytest.raises(TableForbiddenError, match=r"main\.logs\.events: .*does not have"):
            lakehouse.exists("main.logs.events")

    def test_say_which_schema_is_not_there(self, engine_of_spark: Lakehouse) -> None:
        """It is the user's to make, or to spell otherwise."""
        with pytest.raises(TableNotFoundError, match=r"nosuch\.events: .*nosuch. cannot be found"):
            engine_of_spark.ensure("nosuch.events", SMALL)

    def test_serve_a_handler(self, spark: Any, logger: logging.Logger, name: str) -> None:
        """The table is created by the first record."""
        handler = attach(logger, name, engine="spark")
        logger.info("first")
        assert handler.flush(60)
        assert [row["event"] for row in spark.table(name).collect()] == ["first"]


@delta_only
class TestRegister:
    def test_makes_the_schema_and_the_name(
        self, spark: Any, engine_of_spark: Lakehouse, table: str
    ) -> None:
        """The user's session finds the table by its name; registering again changes nothing."""
        engine_of_spark.write(table, [{"n": 1}], spec=SMALL)
        try:
            assert engine_of_spark.register(table, "made.anew")
            assert engine_of_spark.register(table, "made.anew")
            assert spark.table("made.anew").count() == 1
        finally:
            spark.sql("DROP SCHEMA IF EXISTS made CASCADE").collect()

    def test_needs_no_leave_to_make_a_schema_that_is_there(
        self, spark: Any, engine_of_spark: Lakehouse, table: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Unity Catalog refuses IF NOT EXISTS as well to who may make none."""
        engine_of_spark.write(table, [{"n": 1}], spec=SMALL)
        spark.sql("CREATE SCHEMA IF NOT EXISTS made").collect()
        original = type(spark).sql

        def refuses(self: Any, statement: str, *args: Any, **kwargs: Any) -> Any:
            if statement.startswith("CREATE SCHEMA"):
                raise RuntimeError("PERMISSION_DENIED: User does not have CREATE SCHEMA on Catalog")
            return original(self, statement, *args, **kwargs)

        try:
            with monkeypatch.context() as patch:
                patch.setattr(type(spark), "sql", refuses)
                for _ in range(2):
                    assert engine_of_spark.register(table, "made.anew")
            assert spark.table("made.anew").count() == 1
        finally:
            spark.sql("DROP SCHEMA IF EXISTS made CASCADE").collect()

    @classic_only
    def test_knows_a_place_again_that_spark_spells_otherwise(
        self, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """``dbfs:/…`` for ``dbfs:///…``, as of each store without a host."""
        setting = "fs.viewfs.mounttable.default.link./tables"
        spark.conf.set(setting, tmp_path.as_uri())
        monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])
        lakehouse = open_lakehouse("spark", spark=spark)
        try:
            lakehouse.write("viewfs:///tables/log", [{"n": 1}], spec=SMALL)
            for _ in range(2):
                assert lakehouse.register("viewfs:///tables/log", "made.anew")
        finally:
            spark.sql("DROP SCHEMA IF EXISTS made CASCADE").collect()
            spark.conf.unset(setting)

    def test_refuses_a_name_that_another_table_has(
        self, spark: Any, engine_of_spark: Lakehouse, tmp_path: Path
    ) -> None:
        """Rather than let the name stand for other rows than those just written."""
        for folder in ("one", "two"):
            engine_of_spark.write(str(tmp_path / folder), [{"n": 1}], spec=SMALL)
        try:
            engine_of_spark.register(str(tmp_path / "one"), "taken.name")
            with pytest.raises(LakehouseError, match=r"taken\.name"):
                engine_of_spark.register(str(tmp_path / "two"), "taken.name")
        finally:
            spark.sql("DROP SCHEMA IF EXISTS taken CASCADE").collect()


class TestNotebooks:
    def test_ten_in_one_application_land_apart(
        self, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each has its own execution id and each row the right one."""
        stages.set_up(monkeypatch, tmp_path)
        monkeypatch.setenv("SPECTRA_ENGINE", "spark")
        landed: dict[str, bool] = {}

        def run(number: int) -> None:
            session = NotebookSession("example").load_context(spark=spark)
            session.initialize()
            session.log_activity(entity_name=f"entity {number}")
            landed[session.ctx["execution_id"]] = session.record(spark=spark)
            session.finalise()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(landed) == 10
        assert all(landed.values())
        rows = read_rows(tmp_path / "Tables/log/sourcelog", "activity_id")
        assert {row["execution_id"] for row in rows} == set(landed)
        for execution_id in landed:
            own = [row for row in rows if row["execution_id"] == execution_id]
            assert [row["event"] for row in own] == ["activity", "record"]
        entities = {row["entity_name"] for row in rows if row["event"] == "activity"}
        assert entities == {f"entity {number}" for number in range(10)}

    @pytest.mark.parametrize("engine", ["auto", "spark"])
    def test_write_data_frames_of_spark(
        self, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
    ) -> None:
        """``session.delta.write`` takes what the notebook has, whichever engine serves."""
        stages.set_up(monkeypatch, tmp_path)
        monkeypatch.setenv("SPECTRA_ENGINE", engine)
        session = NotebookSession("example").load_context(spark=spark)
        frame = spark.createDataFrame([(1, "a"), (2, None)], "n BIGINT, text STRING")
        for mode, expected in (("overwrite", 2), ("append", 4), ("overwrite", 2)):
            session.delta.write(frame, "written.numbers", "Tables/written/numbers", mode)
            assert row_count(tmp_path / "Tables/written/numbers") == expected
        rows = read_rows(tmp_path / "Tables/written/numbers", "n")
        assert rows == [{"n": 1, "text": "a"}, {"n": 2, "text": None}]
        session.finalise()


def test_shared_files_are_found(spark: Any) -> None:
    """A session on this machine reads this process's files."""
    assert shares_files(spark)


@classic_only
def test_files_are_not_shared_with_a_session_that_has_paths_in_another_store(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Databricks has them in DBFS, also on a single node, whose master is local."""
    spark.sql("CREATE SCHEMA IF NOT EXISTS logs").collect()
    other = spark.newSession()
    other.conf.set("fs.defaultFS", "viewfs://store/")
    other.conf.set("fs.viewfs.mounttable.store.link./tables", tmp_path.as_uri())
    monkeypatch.setattr("spectra_logging.lakehouse.spark_session._all_beside", [])
    lakehouse = open_lakehouse("spark", spark=other)
    assert not shares_files(other)
    try:
        lakehouse.ensure("logs.stored", SMALL)
        lakehouse.append("logs.stored", lines({"n": 1}), SMALL, transaction=transaction(1))
        assert numbers(lakehouse, "logs.stored") == [1]
    finally:
        spark.sql("DROP TABLE IF EXISTS logs.stored").collect()
