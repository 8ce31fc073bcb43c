"""The embedded engine's own hazards: what delta-rs does that a log table must not suffer."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from deltalake import (
    DeltaTable,
    Field,
    QueryBuilder,
    Schema,
    TableFeatures,
    convert_to_deltalake,
    write_deltalake,
)
from deltalake.schema import ArrayType, PrimitiveType

from spectra_logging.errors import (
    ConfigurationError,
    LakehouseError,
    RowsRejectedError,
    TableNotFoundError,
    TableUnavailableError,
    UnsupportedFeaturesError,
)
from spectra_logging.lakehouse import check_engine, is_loaded, open_lakehouse
from spectra_logging.lakehouse.base import Commit, Transaction
from spectra_logging.lakehouse.compaction import compact
from spectra_logging.lakehouse.deltalake import EmbeddedLakehouse
from spectra_logging.lakehouse.dialect import DATAFUSION
from spectra_logging.lakehouse.staging import StagedRows
from spectra_logging.lakehouse.translation import translated
from spectra_logging.tables import TableSpec
from tests.handlers import attach
from tests.lakehouses import lines, spec_of, transaction
from tests.tables import column, read_rows

SMALL = spec_of(("n", "long", False), ("text", "string", True))


@pytest.fixture
def engine() -> EmbeddedLakehouse:
    return EmbeddedLakehouse()


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(tmp_path / "Tables" / "log")


def fill(engine: EmbeddedLakehouse, table: str, commits: int) -> None:
    engine.ensure(table, SMALL)
    for number in range(commits):
        engine.append(table, lines({"n": number}), SMALL, transaction=transaction(number))


class AmbiguousLakehouse(EmbeddedLakehouse):
    """Commits, and then says that it could not, as a store does whose answer is lost."""

    fails = True

    def _append_once(
        self,
        table: str,
        rows: bytes,
        spec: TableSpec,
        transaction: Transaction,
        staged: StagedRows | None,
    ) -> Commit:
        commit = super()._append_once(table, rows, spec, transaction, staged)
        if self.fails:
            with self._changing(table):
                raise OSError("connection reset")
        return commit


def test_a_commit_that_took_effect_and_failed_is_not_repeated(table: str) -> None:
    """The retry asks the table, finds the batch there and writes nothing."""
    engine = AmbiguousLakehouse()
    engine.ensure(table, SMALL)
    with pytest.raises(TableUnavailableError):
        engine.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
    engine.fails = False
    commit = engine.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
    assert (commit.version, commit.replayed) == (1, True)
    assert DeltaTable(table).count() == 1


def test_of_two_compactions_planned_at_once_one_counts(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """The later one finds the table changed and leaves it; no row is in it twice."""
    fill(engine, table, 10)
    first, second = DeltaTable(table), DeltaTable(table)
    assert compact(first, {}) == 10
    assert compact(second, {}) == 0
    assert DeltaTable(table).count() == 10


def test_a_compaction_that_can_t_read_a_file_commits_nothing(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """It says what failed, also when that was the last of the files, and merges no part of them."""
    fill(engine, table, 10)
    newest = max(Path(table).glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    newest.unlink()
    with pytest.raises(LakehouseError, match=r"(?i)no(t| such)"):
        engine.upkeep(table)
    assert DeltaTable(table).version() == 10


def test_a_compaction_that_finds_other_rows_than_the_log_says_commits_nothing(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """What reads too few rows of a file would lose the others for good."""
    fill(engine, table, 10)
    entry = Path(table, "_delta_log", f"{5:020}.json")
    entry.write_text(entry.read_text().replace('numRecords\\":1,', 'numRecords\\":2,'))
    engine = EmbeddedLakehouse()
    version = engine.version(table)
    with pytest.raises(LakehouseError, match="rows hold 10"):
        engine.upkeep(table)
    assert engine.version(table) == version


@pytest.mark.parametrize("has_bounds", [True, False])
def test_a_compaction_changes_no_time_that_spark_wrote(
    engine: EmbeddedLakehouse, table: str, has_bounds: bool
) -> None:
    """Of times as Spark's default has them, only those are merged that are read as they are.

    ``int96`` is a table by Spark 4.1 and Delta 4.2: n is 1 at 2026-11-27 19:00:00.000001Z, and in
    another file 2 at 9999-12-31.
    """
    shutil.copytree(Path(__file__).with_name("data") / "int96", table)
    if not has_bounds:
        for entry in Path(table, "_delta_log").glob("*.json"):
            actions = [json.loads(line) for line in entry.read_text().splitlines()]
            for action in actions:
                action.get("add", {}).pop("stats", None)
            entry.write_text("".join(json.dumps(action) + "\n" for action in actions))
    spec = spec_of(("n", "long", True), ("moment", "timestamp", True))
    for number in range(3, 13):
        row = lines({"n": number, "moment": 0})
        engine.append(table, row, spec, transaction=transaction(number))
    far_away = "part-00000-cf1715d8-6407-452e-b89e-54ccab778bd6-c000.snappy.parquet"
    assert engine.upkeep(table).compacted_files == (11 if has_bounds else 10)
    delta = DeltaTable(table)
    assert len(delta.file_uris()) == (2 if has_bounds else 3)
    assert any(uri.endswith(far_away) for uri in delta.file_uris())
    moments = {row["n"]: row["moment"] for row in read_rows(table, "n") if row["n"] != 2}
    assert moments.pop(1) == dt.datetime(2026, 11, 27, 19, 0, 0, 1, tzinfo=dt.timezone.utc)
    assert set(moments.values()) == {dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)}


def test_a_query_reads_every_time_that_spark_wrote(engine: EmbeddedLakehouse, table: str) -> None:
    """Also what 64 bits of nanoseconds have no room for, and also where it is looked for."""
    shutil.copytree(Path(__file__).with_name("data") / "int96", table)
    end = dt.datetime(9999, 12, 31, tzinfo=dt.timezone.utc)
    moment = dt.datetime(2026, 11, 27, 19, 0, 0, 1, tzinfo=dt.timezone.utc)
    rows = engine.query("SELECT n, moment FROM t ORDER BY n", {"t": table}).rows
    assert rows == ((1, moment), (2, end))
    since = DATAFUSION.moment(dt.datetime(3000, 1, 1, tzinfo=dt.timezone.utc), zoned=True)
    found = engine.query(f"SELECT n FROM t WHERE moment > {since}", {"t": table})
    assert found.rows == ((2,),)


def test_a_compaction_gives_way_to_an_overwrite(engine: EmbeddedLakehouse, table: str) -> None:
    """Rows that were replaced while it ran do not come back."""
    fill(engine, table, 10)
    planned = DeltaTable(table)
    engine.write(table, [{"n": 99}], spec=SMALL)
    assert compact(planned, {}) == 0
    assert engine.query("SELECT n FROM t", {"t": table}).rows == ((99,),)


def test_an_overwrite_replaces_what_a_compaction_has_just_merged(
    engine: EmbeddedLakehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a compaction comes first, the overwrite is planned anew and leaves no old row."""
    fill(engine, table, 10)
    current = engine._tables.current

    def outrun(place: str) -> DeltaTable:
        delta = current(place)
        monkeypatch.undo()
        assert compact(DeltaTable(place), {}) == 10
        return delta

    monkeypatch.setattr(engine._tables, "current", outrun)
    engine.write(table, pl.DataFrame({"n": [99], "text": ["a"]}))
    assert engine.query("SELECT n FROM t", {"t": table}).rows == ((99,),)


@pytest.mark.parametrize("replacing", [None, {"text": "a"}])
def test_an_overwrite_of_a_table_that_only_grows_is_tried_once(
    engine: EmbeddedLakehouse, table: str, replacing: dict[str, str] | None
) -> None:
    """No other attempt succeeds, and each writes all the data anew."""
    engine.ensure(table, SMALL)
    DeltaTable(table).alter.set_table_properties({"delta.appendOnly": "true"})
    rows = [{"n": 1, "text": "a"}]
    engine.write(table, rows, spec=SMALL, mode="append")
    with pytest.raises(LakehouseError, match="append-only") as caught:
        engine.write(table, rows, spec=SMALL, replacing=replacing)
    assert not isinstance(caught.value, TableUnavailableError)
    assert len(list(Path(table).glob("*.parquet"))) <= 2


def test_columns_added_during_an_append_do_not_fail_it(
    engine: EmbeddedLakehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append that another process's new columns outran is planned anew."""
    engine.ensure(table, SMALL)
    current = engine._tables.current

    def outrun(place: str) -> DeltaTable:
        delta = current(place)
        monkeypatch.undo()
        EmbeddedLakehouse().ensure(place, spec_of(("n", "long", False), ("more", "long", True)))
        return delta

    monkeypatch.setattr(engine._tables, "current", outrun)
    commit = engine.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
    assert (commit.version, commit.replayed) == (2, False)


@pytest.mark.parametrize("feature", ["constraint", "change data", "append only", "all by name"])
def test_upkeep_merges_files_of_tables_that_keep_an_eye_on_rows(
    engine: EmbeddedLakehouse, table: str, feature: str
) -> None:
    """No row comes or goes, so their features have nothing to say."""
    engine.ensure(table, SMALL)
    alter = DeltaTable(table).alter
    if feature == "all by name":
        alter.add_feature([TableFeatures.ChangeDataFeed], allow_protocol_versions_increase=True)
        DeltaTable(table).alter.add_constraint({"small": "n < 100"})
        assert DeltaTable(table).protocol().min_writer_version == 7
    elif feature == "constraint":
        alter.add_constraint({"small": "n < 100"})
    else:
        name = "enableChangeDataFeed" if feature == "change data" else "appendOnly"
        alter.set_table_properties({f"delta.{name}": "true"})
    for number in range(10):
        engine.append(table, lines({"n": number}), SMALL, transaction=transaction(number))
    assert engine.upkeep(table).compacted_files == 10
    delta = DeltaTable(table)
    assert len(delta.file_uris()) == 1
    assert [row["n"] for row in read_rows(table, "n")] == list(range(10))
    kept_out = feature in {"constraint", "all by name"}
    with pytest.raises(RowsRejectedError) if kept_out else nullcontext():
        engine.append(table, lines({"n": 100}), SMALL, transaction=transaction(100))


def test_upkeep_leaves_partitioned_tables_and_new_features_to_others(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """What it does not know how to compact stays as it is, and appends work all the same."""
    frame = pl.DataFrame({"n": [1], "text": ["a"]})
    for _ in range(10):
        write_deltalake(table, frame, mode="append", partition_by=["text"])
    assert engine.upkeep(table).compacted_files == 0
    engine.append(table, lines({"n": 2, "text": "b"}), SMALL, transaction=transaction(1))
    assert DeltaTable(table).count() == 11


@pytest.mark.parametrize("needs", ["minWriterVersion", "minReaderVersion"])
def test_a_feature_that_the_engine_lacks_is_named(
    engine: EmbeddedLakehouse, table: str, needs: str
) -> None:
    """The error says what the table needs and what to do, and is not one to retry."""
    engine.ensure(table, SMALL)
    protocol = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["fromTheFuture"] if needs == "minReaderVersion" else [],
        "writerFeatures": ["fromTheFuture"],
    }
    entry = Path(table, "_delta_log", f"{0:020}.json")
    actions = [json.loads(line) for line in entry.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = protocol
    entry.write_text("\n".join(map(json.dumps, actions)))
    with pytest.raises(LakehouseError, match=r"fromTheFuture.*Spark") as caught:
        engine.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
    assert not isinstance(caught.value, TableUnavailableError)


@pytest.mark.parametrize(
    "column_type",
    [
        "variant",
        {"type": "array", "elementType": "variant", "containsNull": True},
        {
            "type": "struct",
            "fields": [{"name": "x", "type": "variant", "nullable": True, "metadata": {}}],
        },
    ],
)
def test_variants_of_another_writer_s_are_not_declared_anew_by_an_append(
    engine: EmbeddedLakehouse, table: str, column_type: object
) -> None:
    """delta-rs would make structures of them, which Spark finds no variants in: it is to append."""
    engine.ensure(table, SMALL)
    variants = {"name": "variants", "type": column_type, "nullable": True, "metadata": {}}
    features = {"readerFeatures": ["variantType"], "writerFeatures": ["variantType"]}
    entry = Path(table, "_delta_log", f"{0:020}.json")
    actions = [json.loads(line) for line in entry.read_text().splitlines()]
    for action in actions:
        if "metaData" in action:
            schema = json.loads(action["metaData"]["schemaString"])
            schema["fields"].append(variants)
            action["metaData"]["schemaString"] = json.dumps(schema)
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
    entry.write_text("\n".join(map(json.dumps, actions)))
    with pytest.raises(UnsupportedFeaturesError, match=r"variant.*Spark"):
        engine.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
    assert DeltaTable(table).version() == 0


def test_expired_log_entries_go_and_what_is_within_the_retention_can_be_read(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """Every version as young as the retention can still be opened after a clean-up."""
    spec = spec_of(("n", "long", False), **{"delta.logRetentionDuration": "interval 3 days"})
    engine.ensure(table, spec)
    engine.append(table, lines(), spec, transaction=transaction(7, "old journal"))
    for number in range(40):
        engine.append(table, lines({"n": number}), spec, transaction=transaction(number))
        if number % 8 == 0:
            # A new instance each time: one by itself cleans up once an hour.
            EmbeddedLakehouse().upkeep(table)
    log = Path(table, "_delta_log")
    newest = DeltaTable(table).version()
    four_days_ago = time.time() - 4 * 86_400
    for entry in log.iterdir():
        if entry.name[:20].isdigit() and int(entry.name[:20]) <= 25:
            os.utime(entry, (four_days_ago, four_days_ago))
    EmbeddedLakehouse().upkeep(table)
    entries = sorted(int(path.stem) for path in log.glob("*.json"))
    assert 0 < entries[0] <= 26
    assert entries == list(range(entries[0], DeltaTable(table).version() + 1))
    counts = [DeltaTable(table, version=version).count() for version in range(26, newest + 1)]
    assert counts == sorted(counts)
    assert counts[-1] == 40
    assert engine.query("SELECT count(*) FROM t", {"t": table}).rows == ((40,),)
    replay = engine.append(table, lines(), spec, transaction=transaction(7, "old journal"))
    assert replay.replayed, "the checkpoint keeps the transactions of entries that are gone"


def test_rows_that_a_constraint_keeps_out_are_set_aside_alone(
    tmp_path: Path, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """One of them would else keep every record behind it from the table; a warning says where."""
    table = str(tmp_path / "events")
    handler = attach(logger, table, flush_interval_seconds=3600)
    logger.info("first")
    assert handler.flush(30)
    DeltaTable(table).alter.add_constraint({"no_noise": "event <> 'noise'"})
    for event in ("second", "noise", "third", "noise", "fourth"):
        logger.info(event)
    assert handler.flush(30)
    assert column(table) == ["first", "second", "third", "fourth"]
    stats = handler.stats()
    assert (stats.written, stats.quarantined, stats.pending) == (4, 2, 0)
    (aside,) = Path(stats.journal_directory, "quarantine").iterdir()
    (told,) = [each.getMessage() for each in caplog.records if "set aside" in each.getMessage()]
    assert told.startswith(f"2 records for {table} are damaged or refused by it")
    assert told.endswith(str(aside.parent))
    for line in aside.read_text().splitlines():
        kept = json.loads(line)
        assert json.loads(kept["data"])["event"] == "noise"
        assert "failed validation check" in kept["reason"]
        assert "noise" not in kept["reason"]
    logger.info("noise")
    assert handler.flush(30), "also when none is left"
    assert handler.stats().quarantined == 3


def test_rows_that_an_invariant_keeps_out_are_told_apart(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """As with constraints: one such row would else keep all others from the table for ever."""
    invariant = json.dumps({"expression": {"expression": "n < 100"}})
    field = Field("n", PrimitiveType("long"), metadata={"delta.invariants": invariant})
    DeltaTable.create(table, Schema([field]))
    spec = spec_of(("n", "long", True))
    rows = lines({"n": 1}, {"n": 100}, {"n": 2})
    with pytest.raises(RowsRejectedError):
        engine.append(table, rows, spec, transaction=transaction(1))
    good, refused = engine.split_refused(table, rows, spec)
    assert good == lines({"n": 1}, {"n": 2})
    assert [line for line, _ in refused] == [lines({"n": 100}).rstrip()]


def test_a_replay_tells_of_the_rows_that_a_constraint_kept_out(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """A drain that was killed behind its commit has set nothing aside yet."""
    fill(engine, table, 1)
    DeltaTable(table).alter.add_constraint({"small": "n < 100"})
    good, all_rows = lines({"n": 1}), lines({"n": 1}, {"n": 100})
    with pytest.raises(RowsRejectedError):
        engine.append(table, all_rows, SMALL, transaction=transaction(7))
    assert not engine.append(table, good, SMALL, transaction=transaction(7)).replayed
    with pytest.raises(RowsRejectedError):
        engine.append(table, all_rows, SMALL, transaction=transaction(7))
    assert engine.append(table, good, SMALL, transaction=transaction(7)).replayed


def test_nulls_in_an_array_that_must_hold_none_are_told_apart(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """delta-rs writes them, and then can't read the table any more."""
    tags = Field("tags", ArrayType(PrimitiveType("string"), contains_null=False))
    DeltaTable.create(table, Schema([tags]))
    spec = spec_of(("tags", "array<string>", True))
    good, bad = lines({"tags": ["a"]}, {"tags": None}, {"tags": []}), lines({"tags": ["b", None]})
    assert engine.stager(table, spec) is None, "rows written ahead are looked at by nobody"
    with pytest.raises(RowsRejectedError, match="column tags is null"):
        engine.append(table, good + bad, spec, transaction=transaction(1))
    kept, ((refused, reason),) = engine.split_refused(table, good + bad, spec)
    assert (kept, refused) == (good, bad.rstrip(b"\n"))
    assert "column tags" in reason
    engine.append(table, kept, spec, transaction=transaction(1))
    with pytest.raises(RowsRejectedError):
        engine.append(table, good + bad, spec, transaction=transaction(1))
    rows = engine.query("SELECT tags FROM t", {"t": table}).rows
    assert sorted(str(tags) for (tags,) in rows) == ["None", "['a']", "[]"]
    (kept_type,) = [field.type for field in DeltaTable(table).schema().fields]
    assert kept_type == ArrayType(PrimitiveType("string"), contains_null=False)


def test_files_that_others_gave_odd_names_are_left_as_they_are(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """As a folder of Parquet files that was made a table has them; the others are merged."""
    Path(table).mkdir(parents=True)
    for n in range(9):
        pl.DataFrame({"n": [n]}).write_parquet(Path(table, f"day {n} 100% ü#.parquet"))
    convert_to_deltalake(table)
    for n in range(9, 18):
        write_deltalake(table, pl.DataFrame({"n": [n]}), mode="append")
    report = engine.upkeep(table)
    assert (report.compacted_files, report.checkpointed) == (9, True)
    rows = engine.query("SELECT n FROM t ORDER BY n", {"t": table}).rows
    assert [n for (n,) in rows] == list(range(18))
    assert DeltaTable(table).count() == 18


def test_timestamps_without_a_zone_are_utc_within_structures_too(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """They make no table that needs a reader for zoneless timestamps either."""
    noon = dt.datetime(2024, 1, 2, 12)  # noqa: DTZ001 - the case in question
    engine.write(table, pl.DataFrame({"answer": [{"at": noon, "tries": [noon]}]}))
    assert DeltaTable(table).protocol()[:2] == (1, 2)
    at = noon.replace(tzinfo=dt.timezone.utc)
    found = engine.query("SELECT answer FROM t", {"t": table})
    assert found.rows == (({"at": at, "tries": [at]},),)


def test_lists_and_maps_are_appended_whatever_their_elements_are_called(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """Arrow names them, pyarrow, DuckDB and Delta each in its own way."""
    rows = duckdb.sql("SELECT ['a'] AS tags, MAP {'k': 'v'} AS pairs, {'tags': ['b']} AS more")
    assert rows is not None
    engine.write(table, rows)
    engine.write(table, rows, mode="append")
    found = engine.query("SELECT tags, pairs, more FROM t", {"t": table})
    assert found.rows == ((["a"], {"k": "v"}, {"tags": ["b"]}),) * 2


def test_a_new_column_of_nulls_alone_takes_texts_later(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """Delta has no type for it; Spark's engine takes it for text, too."""
    query = QueryBuilder().execute
    rows = query("SELECT NULL AS text, named_struct('note', NULL) AS more, [NULL] AS notes")
    engine.write(table, rows.read_all())
    types = [column.type for column in engine.schema(table)]
    assert types == ["string", "struct<note:string>", "array<string>"]
    later = {"text": ["a"], "more": [{"note": "b"}], "notes": [["c"]]}
    engine.write(table, pl.DataFrame(later), mode="append")
    found = engine.query("SELECT text, more, notes FROM t ORDER BY text", {"t": table})
    assert found.rows == (("a", {"note": "b"}, ["c"]), (None, {"note": None}, [None]))


def test_a_column_of_nulls_alone_in_polars_is_one_as_well(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """It may begin a table, and be appended to what is no text."""
    engine.write(table, pl.DataFrame({"n": [1], "text": [None]}))
    engine.write(table, pl.DataFrame({"n": [2], "tags": [["a"]]}))
    engine.write(table, pl.DataFrame({"n": [None, None], "tags": [None, None]}), mode="append")
    found = engine.query("SELECT n, tags FROM t ORDER BY n NULLS LAST", {"t": table})
    assert found.rows == ((2, ["a"]), (None, None), (None, None))


def test_a_column_of_nulls_alone_is_appended_to_any(engine: EmbeddedLakehouse, table: str) -> None:
    """Pandas and pyarrow have no other type for it, as there is no value to tell."""
    engine.write(table, [{"n": 1, "text": "a"}], spec=SMALL)
    query = QueryBuilder().execute
    engine.write(table, query("SELECT 2 AS n, NULL AS text").read_all(), mode="append")
    assert read_rows(table, "n") == [{"n": 1, "text": "a"}, {"n": 2, "text": None}]
    with pytest.raises(RowsRejectedError, match="column n is null in some row"):
        engine.write(table, query("SELECT NULL AS n").read_all(), mode="append")


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param({"of": [{"m": 2}], "ns": [[2]]}, id="another field"),
        pytest.param({"of": [{"n": 2, "m": 2}], "ns": [[2]]}, id="one more field"),
        pytest.param({"of": [{"n": "two"}], "ns": [[2]]}, id="text for a number"),
        pytest.param({"of": [{"n": 2}], "ns": [["two"]]}, id="text in a list"),
        pytest.param({"of": [{"n": 2}], "ns": [[2.5]]}, id="a fraction in a list"),
    ],
)
def test_structures_and_lists_that_do_not_fit_are_refused(
    engine: EmbeddedLakehouse, table: str, rows: dict[str, Any]
) -> None:
    """A cast would go by the fields' places, and make null of what it can't cast."""
    engine.write(table, pl.DataFrame({"of": [{"n": 1}], "ns": [[1]]}))
    with pytest.raises(RowsRejectedError):
        engine.write(table, pl.DataFrame(rows), mode="append")
    engine.write(table, pl.DataFrame({"ns": [[3.0]], "of": [{"n": 3}]}), mode="append")
    found = engine.query("SELECT of, ns FROM t ORDER BY ns[1]", {"t": table})
    assert found.rows == (({"n": 1}, [1]), ({"n": 3}, [3]))


def test_categories_are_written_as_what_they_stand_for(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """delta-rs panics at those of polars, which are views of text."""
    states = pl.Series(["open", None, "open"], dtype=pl.Categorical)
    engine.write(table, pl.DataFrame({"state": states}))
    assert [column.type for column in engine.schema(table)] == ["string"]
    assert engine.query("SELECT state FROM t", {"t": table}).rows == (("open",), (None,), ("open",))


def test_a_table_with_structures_is_kept_up(engine: EmbeddedLakehouse, table: str) -> None:
    """Their statistics are structures, too."""
    for n in range(9):
        frame = pl.DataFrame({"n": [n], "at": [{"x": n, "y": "text"}]})
        write_deltalake(table, frame, mode="append")
    report = engine.upkeep(table)
    assert (report.compacted_files, report.checkpointed) == (9, True)
    assert engine.query("SELECT sum(at['x']) FROM t", {"t": table}).rows == ((36,),)


def test_a_compaction_that_fails_keeps_no_checkpoint_from_being_made(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """The log would grow for ever, and every reader with it."""
    fill(engine, table, 9)
    next(Path(table).glob("*.parquet")).unlink()
    with pytest.raises(LakehouseError):
        engine.upkeep(table)
    assert list(Path(table, "_delta_log").glob("*.checkpoint.parquet"))


def test_a_log_that_is_to_be_kept_is_kept(engine: EmbeddedLakehouse, table: str) -> None:
    """Where the table says that expired entries stay, every version can still be opened."""
    spec = spec_of(("n", "long", False), **{"delta.enableExpiredLogCleanup": "false"})
    engine.ensure(table, spec)
    for number in range(5):
        engine.append(table, lines({"n": number}), spec, transaction=transaction(number))
    log = Path(table, "_delta_log")
    long_ago = time.time() - 400 * 86_400
    for entry in log.glob("*.json"):
        os.utime(entry, (long_ago, long_ago))
    engine.upkeep(table)
    assert len(list(log.glob("*.json"))) == DeltaTable(table).version() + 1
    assert DeltaTable(table, version=2).count() == 2


def test_a_vacuum_spares_what_a_table_with_deletion_vectors_may_use(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """A vector's file is no data file of the log, so that a listing takes it for a leaving."""
    fill(engine, table, 2)
    DeltaTable(table).alter.add_feature(
        TableFeatures.DeletionVectors, allow_protocol_versions_increase=True
    )
    vector = Path(table, "deletion_vector_0a1b2c3d-0000-0000-0000-000000000000.bin")
    stray = Path(table, "part-00000-0a1b2c3d-0000-0000-0000-000000000000-c000.parquet")
    long_ago = time.time() - 400 * 86_400
    for path in (vector, stray):
        path.write_bytes(b"x")
        os.utime(path, (long_ago, long_ago))
    EmbeddedLakehouse().upkeep(table)
    assert vector.exists()


@pytest.mark.parametrize("folder", ["with space", "ünïcödé", "hash#mark", "question?mark", "plus+"])
def test_tables_may_be_in_folders_of_odd_names(
    engine: EmbeddedLakehouse, tmp_path: Path, folder: str
) -> None:
    """Blanks, accents and marks that mean something in a URI are part of the name."""
    table = str(tmp_path / folder / "log")
    fill(engine, table, 9)
    assert engine.upkeep(table).compacted_files == 9
    assert engine.query("SELECT count(*) FROM t", {"t": table}).rows == ((9,),)
    assert Path(table, "_delta_log").is_dir()


def test_tables_may_be_named_by_a_file_uri(engine: EmbeddedLakehouse, tmp_path: Path) -> None:
    """The log is then watched as for a path."""
    table = (tmp_path / "with space").as_uri()
    fill(engine, table, 2)
    assert list(engine._tables._open) == [table]
    assert engine.transaction_version(table, "journal-1") == 1


@pytest.mark.parametrize("as_named", [str, Path.as_uri])
@pytest.mark.parametrize("name", ["a%20b", "clients [EU]", "a|b", "a^b", "a\\b", "a\nb"])
def test_a_path_that_delta_rs_can_t_use_is_refused_before_anything_is_written(
    engine: EmbeddedLakehouse, tmp_path: Path, name: str, as_named: Callable[[Path], str]
) -> None:
    """It would take %20 for a blank and look elsewhere, and panics at brackets, each time."""
    with pytest.raises(LakehouseError, match=r"Choose a path without % .*, \[ \]"):
        engine.ensure(as_named(tmp_path / name / "events"), SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("as_named", [str, Path.as_uri])
@pytest.mark.parametrize("file", ["Tables/log/_delta_log", "Tables/log", "Tables"])
def test_a_file_in_a_table_s_place_is_named_with_what_to_do(
    engine: EmbeddedLakehouse, tmp_path: Path, file: str, as_named: Callable[[Path], str]
) -> None:
    """It is no missing table, and nothing that passes; delta-rs calls the path missing."""
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    table = as_named(tmp_path / "Tables" / "log")
    told = f"{table} can't be a table, since {tmp_path / file} is a file. Move the file away"
    for use in (engine.exists, engine.schema, lambda table: engine.ensure(table, SMALL)):
        with pytest.raises(LakehouseError, match=re.escape(told)) as caught:
            use(table)
        assert type(caught.value) is LakehouseError
    with pytest.raises(LakehouseError, match=re.escape(told)):
        engine.write(table, [{"n": 1}], spec=SMALL)


def test_a_table_in_whose_place_a_file_is_put_says_so(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """Also where its log was followed until then."""
    fill(engine, table, 2)
    shutil.rmtree(table)
    Path(table).touch()
    with pytest.raises(LakehouseError, match=f"{re.escape(table)} is a file"):
        engine.append(table, lines({"n": 2}), SMALL, transaction=transaction(2))


@pytest.mark.parametrize("scheme", ["nonsense", "https", "wasbs"])
def test_an_unknown_scheme_is_told_and_those_that_are_known(
    engine: EmbeddedLakehouse, scheme: str
) -> None:
    """A store that delta-rs does not know is no missing table; portals show ``https://``."""
    with pytest.raises(LakehouseError, match="no store that the embedded engine knows") as caught:
        engine.ensure(f"{scheme}://bucket/log", SMALL)
    assert not isinstance(caught.value, (TableNotFoundError, TableUnavailableError))
    assert "begin with s3://, abfss://, az:// or gs://" in str(caught.value)
    assert "opendal" not in str(caught.value)


class PanicError(BaseException):
    """As pyo3 raises a Rust panic."""


def test_a_panic_is_an_error_like_others() -> None:
    """It becomes one of ours, worth a retry, with the panic as its cause."""
    with pytest.raises(TableUnavailableError) as caught, translated("a table"):
        raise PanicError("index out of bounds")
    assert isinstance(caught.value.__cause__, PanicError)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_the_wish_to_end_passes_through(error: type[BaseException]) -> None:
    """Nobody who presses Ctrl-C is told that a table can't be reached."""
    with pytest.raises(error), translated("a table"):
        raise error


def test_options_of_the_store_may_only_be_text() -> None:
    """The option is named, and its value, which may be a key, is not."""
    with pytest.raises(ConfigurationError, match=r"storage_options\['timeout'\]") as caught:
        open_lakehouse(storage_options={"timeout": 4711})  # type: ignore[dict-item]
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize("engine_name", ["duckdb", "", "Spark"])
def test_an_unknown_engine_is_refused(engine_name: str) -> None:
    """The message names the option, the value and what it may be."""
    with pytest.raises(ConfigurationError, match=f"engine='{engine_name}'.*auto, deltalake, spark"):
        check_engine(engine_name)


def test_the_environment_decides_for_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    """SPECTRA_ENGINE names the engine where the code leaves it open, and is checked as well."""
    monkeypatch.setenv("SPECTRA_ENGINE", "deltalake")
    assert open_lakehouse().engine == "deltalake"
    monkeypatch.setenv("SPECTRA_ENGINE", "nonsense")
    with pytest.raises(ConfigurationError, match="SPECTRA_ENGINE='nonsense'"):
        open_lakehouse()
    assert open_lakehouse("deltalake").engine == "deltalake"


def test_no_engine_is_loaded_before_one_is_opened() -> None:
    """Checking an engine's name is cheap, and a process that never drains loads none."""
    program = """
import sys
from spectra_logging.lakehouse import check_engine, is_loaded, open_lakehouse
check_engine("deltalake")
import spectra_logging.lakehouse.ndjson
assert not is_loaded()
assert not {"deltalake", "arro3", "pyarrow"} & set(sys.modules)
open_lakehouse("deltalake")
assert is_loaded()
assert not {"pyarrow", "pandas"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent.parent)
    assert is_loaded()
