"""Commits that go straight into a table's log: whole, in turn, in step with all other writers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, TableFeatures, write_deltalake

from spectra_logging.errors import RowsRejectedError, SchemaConflictError
from spectra_logging.lakehouse import local_append, staging
from spectra_logging.lakehouse.base import Staged
from spectra_logging.lakehouse.deltalake import EmbeddedLakehouse
from spectra_logging.lakehouse.local_log import LocalLog
from spectra_logging.tables import TableSpec
from tests.lakehouses import EVERY_TYPE, JSON_ROW, lines, race, spec_of, transaction
from tests.tables import read_rows

SMALL = spec_of(("n", "long", False), ("text", "string", True))


@pytest.fixture
def engine() -> EmbeddedLakehouse:
    return EmbeddedLakehouse()


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(tmp_path / "log")


def entries(table: str) -> list[list[dict[str, Any]]]:
    """The log's entries as lists of actions; fails where one is missing or no valid entry."""
    paths = sorted(Path(table, "_delta_log").glob("[0-9]*.json"))
    assert [int(path.stem) for path in paths] == list(range(len(paths)))
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in paths]


def engines(table: str) -> list[str]:
    """Who made each entry, as its commitInfo says."""
    infos = [action["commitInfo"] for entry in entries(table) for action in entry[:1]]
    return [info["engineInfo"].partition(":")[0] for info in infos]


def numbers(table: str) -> list[int]:
    """Column ``n`` as another reader than the writer sees it."""
    return [row["n"] for row in read_rows(table, "n")]


def hidden(table: str) -> list[str]:
    """What is in the table's folder beside data files and the log."""
    return [name for name in os.listdir(table) if not name.startswith("part-")]


def append(engine: EmbeddedLakehouse, table: str, number: int, **more: object) -> bool:
    """Append one row as the transaction of its number; whether it was there before."""
    row = lines({"n": number, **more})
    return engine.append(table, row, SMALL, transaction=transaction(number)).replayed


def test_an_entry_says_what_delta_s_protocol_wants(engine: EmbeddedLakehouse, table: str) -> None:
    """Provenance, the file with its statistics, and the transaction, an action a line."""
    engine.ensure(table, SMALL)
    append(engine, table, 7, text="a")
    info, added, mark = entries(table)[1]
    assert info["commitInfo"]["operation"] == "WRITE"
    assert info["commitInfo"]["isBlindAppend"] is True
    assert json.loads(added["add"]["stats"]) == {
        "numRecords": 1,
        "minValues": {"n": 7, "text": "a"},
        "maxValues": {"n": 7, "text": "a"},
        "nullCount": {"n": 0, "text": 0},
    }
    assert added["add"]["size"] == Path(table, added["add"]["path"]).stat().st_size
    assert mark == {"txn": {"appId": "journal-1", "version": 7}}
    assert hidden(table) == ["_delta_log"]
    assert DeltaTable(table).history()[0]["operation"] == "WRITE"


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("it did")


def test_an_append_neither_opens_nor_refreshes_the_table(
    engine: EmbeddedLakehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would list the log, which takes longer the more it holds."""
    engine.ensure(table, SMALL)
    append(engine, table, 1)
    write_deltalake(table, pl.DataFrame({"n": [99], "text": ["another writer's"]}), mode="append")

    monkeypatch.setattr("spectra_logging.lakehouse.opened.DeltaTable", refuse)
    monkeypatch.setattr(DeltaTable, "update_incremental", refuse)
    append(engine, table, 2)
    append(engine, table, 3)
    assert engines(table) == ["delta-rs", "spectra-logging", "delta-rs", *["spectra-logging"] * 2]
    monkeypatch.undo()
    assert numbers(table) == [1, 2, 3, 99]


def test_what_a_batch_s_file_says_holds_for_its_rows(engine: EmbeddedLakehouse, table: str) -> None:
    """Its counts and bounds are those of the rows."""
    engine.ensure(table, EVERY_TYPE)
    rows = lines(*({**JSON_ROW, "big": n, "text": f"{n:04}", "flag": None} for n in range(1000)))
    engine.append(table, rows, EVERY_TYPE, transaction=transaction(1))
    (add,) = [action["add"] for action in entries(table)[1] if "add" in action]
    data = pl.read_parquet(Path(table, add["path"]))
    told = json.loads(add["stats"])
    assert told["numRecords"] == data.height == 1000
    assert (told["minValues"]["big"], told["maxValues"]["big"]) == (0, 999)
    assert told["minValues"]["text"] == "0000"
    assert told["minValues"]["moment"] == "2023-11-14T22:13:20.123Z"
    assert told["nullCount"]["flag"] == 1000
    assert data["big"].to_list() == list(range(1000))


def test_a_bad_row_refuses_the_batch(engine: EmbeddedLakehouse, table: str) -> None:
    """Nothing is committed, and nothing is left lying about."""
    engine.ensure(table, SMALL)
    rows = lines(*({"n": n if n != 70 else "seventy"} for n in range(100)))
    with pytest.raises(RowsRejectedError, match="seventy"):
        engine.append(table, rows, SMALL, transaction=transaction(1))
    assert len(entries(table)) == 1
    assert hidden(table) == ["_delta_log"] == os.listdir(table)


def stage_ahead(engine: EmbeddedLakehouse, table: str, rows: bytes) -> Staged:
    stager = engine.stager(table, SMALL)
    assert stager is not None
    return stager(rows)


def test_rows_that_are_staged_are_committed_as_they_are(
    engine: EmbeddedLakehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is written again, or left."""
    engine.ensure(table, SMALL)
    rows = lines({"n": 1})
    ready = stage_ahead(engine, table, rows)
    monkeypatch.setattr("spectra_logging.lakehouse.local_append.stage", refuse)
    engine.append(table, rows, SMALL, transaction=transaction(1), staged=ready)
    assert numbers(table) == [1]
    assert hidden(table) == ["_delta_log"]


def test_staged_rows_of_a_transaction_that_is_committed_are_not_committed_again(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """A drain that begins anew stages its first batch before it asks for the transaction."""
    engine.ensure(table, SMALL)
    append(engine, table, 1)
    rows = lines({"n": 1})
    ready = stage_ahead(engine, table, rows)
    mark = transaction(1)
    assert engine.append(table, rows, SMALL, transaction=mark, staged=ready).replayed
    assert numbers(table) == [1]


WIDER = spec_of(("n", "long", False), ("text", "string", True), ("more", "long", True))


@pytest.mark.parametrize(("is_removed", "new"), [(False, WIDER), (True, WIDER), (True, SMALL)])
def test_rows_staged_for_another_table_are_written_anew(
    engine: EmbeddedLakehouse, table: str, is_removed: bool, new: TableSpec
) -> None:
    """Somebody has added a column since, or removed the table and made another of its name."""
    engine.ensure(table, SMALL)
    ready = stage_ahead(engine, table, lines({"n": 1}))
    staged = {path.name for path in Path(table).glob("_spectra-*/*/*.parquet")}
    assert staged
    if is_removed:
        shutil.rmtree(table)
    engine.ensure(table, new)
    engine.append(table, lines({"n": 1}), SMALL, transaction=transaction(1), staged=ready)
    ready.discard()
    assert numbers(table) == [1]
    assert hidden(table) == ["_delta_log"]
    assert staged.isdisjoint(os.listdir(table))


def test_writers_of_all_kinds_race_and_nothing_is_lost_or_doubled(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """Two journals, delta-rs's plain appends, and upkeep that compacts, all at once."""
    engine.ensure(table, SMALL)
    source = """
        import polars as pl
        from deltalake import CommitProperties, write_deltalake
        small = spec_of(("n", "long", False), ("text", "string", True))
        table = arguments[0]
        # By default it gives up when 15 commits in a row came before its own.
        patient = CommitProperties(max_commit_retries=10_000)
        for number in range(40):
            if me < 2:
                mark = transaction(number, f"journal-{me}")
                row = lines({"n": me * 1000 + number})
                assert not lakehouse.append(table, row, small, transaction=mark).replayed
            elif me == 2:
                row = pl.DataFrame({"n": [me * 1000 + number], "text": ["x"]})
                write_deltalake(table, row, mode="append", commit_properties=patient)
            elif number % 4 == 0:
                lakehouse.upkeep(table)
        answer = None
    """
    race(source, table, processes=4)
    assert numbers(table) == [me * 1000 + n for me in range(3) for n in range(40)]
    told = Counter(engines(table))
    assert told["spectra-logging"] == 80
    assert told["delta-rs"] >= 41
    assert pl.read_delta(table).height == 120
    marks = [action["txn"] for entry in entries(table) for action in entry if "txn" in action]
    assert all(count == 1 for count in Counter(map(json.dumps, marks)).values())


def test_delta_rs_s_optimize_beside_appends_loses_and_doubles_nothing(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """As long as nobody else compacts: it commits over appends, which have read nothing."""
    engine.ensure(table, SMALL)
    source = """
        from deltalake import DeltaTable
        from deltalake.exceptions import CommitFailedError
        small = spec_of(("n", "long", False), ("text", "string", True))
        for number in range(40):
            if me == 0:
                row = lines({"n": number})
                lakehouse.append(arguments[0], row, small, transaction=transaction(number))
            elif number % 4 == 0:
                try:
                    DeltaTable(arguments[0]).optimize.compact()
                except CommitFailedError:
                    pass
        answer = None
    """
    race(source, table)
    assert numbers(table) == list(range(40))
    assert entries(table)


def test_an_entry_is_whole_from_the_moment_it_is_there(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """A reader that pounces on each new entry never finds half of one."""
    engine.ensure(table, SMALL)
    log, found, commits = Path(table, "_delta_log"), list[bytes](), 200

    def pounce() -> None:
        while len(found) < commits:
            try:
                found.append((log / f"{len(found) + 1:020}.json").read_bytes())
            except FileNotFoundError:
                if failed.is_set():
                    return

    failed = threading.Event()
    reader = threading.Thread(target=pounce)
    reader.start()
    try:
        for number in range(commits):
            append(engine, table, number)
    except BaseException:
        failed.set()
        raise
    finally:
        reader.join()
    for content in found:
        assert [*(next(iter(json.loads(line))) for line in content.splitlines())] == [
            "commitInfo",
            "add",
            "txn",
        ]
        assert content.endswith(b"\n")


DIES_BEFORE_ITS_ENTRY = """
import os, signal, sys
from spectra_logging.lakehouse.deltalake import EmbeddedLakehouse
from spectra_logging.lakehouse import local_append, local_log
from tests.test_local_log import SMALL, append
engine, (table, step) = EmbeddedLakehouse(), sys.argv[1:]
append(engine, table, 1)
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if step == "link":
    os.link = die
else:
    os.rename = die
append(engine, table, 2)
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is a POSIX matter")
@pytest.mark.parametrize("step", ["rename", "link"])
def test_a_kill_before_the_entry_leaves_no_row_and_no_litter_for_ever(
    engine: EmbeddedLakehouse, table: str, step: str
) -> None:
    """The batch is repeated whole; upkeep removes the dead process's files when they are old."""
    engine.ensure(table, SMALL)
    done = subprocess.run(
        [sys.executable, "-c", DIES_BEFORE_ITS_ENTRY, table, step],
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode == -signal.SIGKILL
    assert numbers(table) == [1]
    left = [name for name in hidden(table) if name != "_delta_log"]
    assert len(left) == 1, "the staged rows"
    strays = {*map(str, Path(table).glob("*.parquet"))} - {*DeltaTable(table).file_uris()}
    assert len(strays) == (step == "link")
    assert append(engine, table, 2) is False
    assert numbers(table) == [1, 2]
    assert engine.upkeep(table).vacuumed_files == 0
    assert len(hidden(table)) == 2, "it might be a writer's that is at it"
    a_month_ago = time.time() - 30 * 86_400
    for place in (*strays, str(Path(table, left[0]))):
        os.utime(place, (a_month_ago, a_month_ago))
    append(engine, table, 3)
    assert EmbeddedLakehouse().upkeep(table).vacuumed_files == len(strays)
    assert hidden(table) == ["_delta_log"]
    assert numbers(table) == [1, 2, 3]


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Have something happen once, after an append has written its files and before its entry."""
    stage = staging.stage

    def stage_and_wait(*arguments: Any) -> Any:
        files = stage(*arguments)
        monkeypatch.undo()
        happens()
        return files

    monkeypatch.setattr(local_append, "stage", stage_and_wait)


def test_columns_that_were_replaced_since_are_not_written_as_they_were(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """Another writer's overwrite changed a type: the next append says so, and adds no such file."""
    engine.ensure(table, SMALL)
    append(engine, table, 1)
    write_deltalake(table, pl.DataFrame({"n": ["one"]}), mode="overwrite", schema_mode="overwrite")
    with pytest.raises(SchemaConflictError, match="column n"):
        append(engine, table, 2)
    assert pl.read_delta(table).to_dicts() == [{"n": "one"}]


def test_a_protocol_that_was_raised_since_is_left_to_delta_rs(
    engine: EmbeddedLakehouse, table: str
) -> None:
    """It may ask for more of a writer than a plain entry has."""
    engine.ensure(table, SMALL)
    append(engine, table, 1)
    feature = TableFeatures.ChangeDataFeed
    DeltaTable(table).alter.add_feature(feature, allow_protocol_versions_increase=True)
    append(engine, table, 2)
    assert engines(table) == ["delta-rs", "spectra-logging", "delta-rs", "delta-rs"]
    assert numbers(table) == [1, 2]


def test_a_constraint_that_came_meanwhile_is_heeded(
    engine: EmbeddedLakehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From then on delta-rs appends, which checks it: before, during and after the change."""
    engine.ensure(table, SMALL)
    append(engine, table, 1)
    meanwhile(monkeypatch, lambda: DeltaTable(table).alter.add_constraint({"small": "n < 5"}))
    append(engine, table, 2)
    append(engine, table, 3)
    with pytest.raises(RowsRejectedError):
        append(engine, table, 9)
    assert engines(table) == ["delta-rs", "spectra-logging", *["delta-rs"] * 3]
    assert numbers(table) == [1, 2, 3]


def test_a_row_that_a_constraint_forbids_does_not_slip_in_beside_it(
    engine: EmbeddedLakehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row was fine when its append began, and is not when it commits."""
    engine.ensure(table, SMALL)
    meanwhile(monkeypatch, lambda: DeltaTable(table).alter.add_constraint({"small": "n < 5"}))
    with pytest.raises(RowsRejectedError):
        append(engine, table, 9)
    assert numbers(table) == []


def test_the_same_batch_committed_meanwhile_is_not_repeated(
    engine: EmbeddedLakehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another drainer's entry for it is seen before the attempt."""
    engine.ensure(table, SMALL)
    meanwhile(monkeypatch, lambda: append(EmbeddedLakehouse(), table, 1))
    assert append(engine, table, 1) is True
    assert numbers(table) == [1]
    assert hidden(table) == ["_delta_log"]


def test_an_entry_made_in_the_last_instant_is_read_and_the_next_number_taken(
    engine: EmbeddedLakehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is taken when the link is made: a foreign append, and then the same batch."""
    engine.ensure(table, SMALL)
    link = os.link

    def late(*arguments: Any) -> None:
        monkeypatch.undo()
        happens()
        link(*arguments)

    append(engine, table, 1)
    happens: Callable[[], object] = lambda: append(EmbeddedLakehouse(), table, 5000)  # noqa: E731
    monkeypatch.setattr(os, "link", late)
    other = transaction(1, "journal-2")
    commit = engine.append(table, lines({"n": 2}), SMALL, transaction=other)
    assert (commit.version, commit.replayed) == (3, False)
    happens = lambda: EmbeddedLakehouse().append(  # noqa: E731
        table, lines({"n": 3}), SMALL, transaction=transaction(2, "journal-2")
    )
    monkeypatch.setattr(os, "link", late)
    commit = engine.append(table, lines({"n": 3}), SMALL, transaction=transaction(2, "journal-2"))
    assert (commit.version, commit.replayed) == (4, True)
    assert numbers(table) == [1, 2, 3, 5000]


@pytest.mark.parametrize("content", ["", "\n", '{"commitInfo":{"oper', "[]", '{"txn":{"appId":1}}'])
def test_an_entry_that_can_t_be_read_is_left_to_delta_rs(
    engine: EmbeddedLakehouse, table: str, content: str
) -> None:
    """What another writer left there is not passed over."""
    engine.ensure(table, SMALL)
    append(engine, table, 1)
    log = LocalLog.of(DeltaTable(table), Path(table, "_delta_log"))
    assert log is not None
    assert log.catch_up()
    Path(table, "_delta_log", f"{2:020}.json").write_text(content)
    assert not log.catch_up()


@pytest.mark.parametrize(
    "actions",
    [
        '{"commitInfo":{"timestamp":1,"operation":"Spark\'s","operationMetrics":{"a":"1"}}}',
        (
            '{"add":{"path":"x","size":1,"dataChange":true,"tags":{"a":"b"},"deletionVector":null}}'
            '\n\n{"remove":{"path":"y","dataChange":true}}'
        ),
        '{"cdc":{"path":"x"}}\n{"domainMetadata":{"domain":"d"}}\n{"from":{"the":"future"}}',
    ],
)
def test_entries_of_other_writers_are_followed(
    engine: EmbeddedLakehouse, table: str, actions: str
) -> None:
    """Whatever they do to rows, and whatever they tell beside it, does not concern an append."""
    engine.ensure(table, SMALL)
    log = LocalLog.of(DeltaTable(table), Path(table, "_delta_log"))
    assert log is not None
    mark = '{"txn":{"appId":"stream","version":3,"lastUpdated":1700000000000}}'
    Path(table, "_delta_log", f"{1:020}.json").write_text(f"{actions}\n{mark}\n")
    assert log.catch_up()
    assert log.version == 1
    assert log.transaction_version("stream") == 3
    assert log.has(transaction(3, "stream"))
    assert not log.has(transaction(4, "stream"))
    assert not log.has(transaction(1, "unheard of"))


def test_a_log_on_another_file_system_is_left_to_delta_rs(
    engine: EmbeddedLakehouse, table: str, elsewhere: Path
) -> None:
    """No entry can be linked into it from where the data files are."""
    engine.ensure(table, SMALL)
    shutil.move(Path(table, "_delta_log"), elsewhere / "log")
    Path(table, "_delta_log").symlink_to(elsewhere / "log")
    for number in range(3):
        commit = engine.append(table, lines({"n": number}), SMALL, transaction=transaction(number))
        assert not commit.replayed
    assert DeltaTable(table).count() == 3


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the tests' own."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here that anybody can write to")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_tables_with_more_than_an_append_must_know_are_left_to_delta_rs(
    engine: EmbeddedLakehouse, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partitions, invariants, a newer protocol, a file system without links."""
    engine.ensure(table, SMALL)
    frame = pl.DataFrame({"n": [1], "text": ["a"]})
    partitioned = str(tmp_path / "partitioned")
    write_deltalake(partitioned, frame, partition_by=["text"])
    constrained = str(tmp_path / "constrained")
    write_deltalake(constrained, frame)
    DeltaTable(constrained).alter.add_constraint({"small": "n < 5"})
    invariant = Path(tmp_path, "invariant")
    write_deltalake(str(invariant), frame)
    entry = invariant / "_delta_log" / f"{0:020}.json"
    rule = json.dumps(json.dumps({"delta.invariants": json.dumps({"expression": {"a": "n<5"}})}))
    entry.write_text(entry.read_text().replace('\\"metadata\\":{}', f'\\"metadata\\":{rule[1:-1]}'))

    def is_plain(place: str) -> bool:
        return LocalLog.of(DeltaTable(place), Path(place, "_delta_log")) is not None

    assert is_plain(table)
    assert not any(map(is_plain, (partitioned, constrained, str(invariant))))

    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert not is_plain(table)
    assert append(EmbeddedLakehouse(), table, 1) is False
    assert engines(table) == ["delta-rs"] * 2


def test_a_table_made_anew_while_an_append_was_at_work_gets_no_gap_in_its_log(
    engine: EmbeddedLakehouse, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows land in the new table, as its next version."""
    engine.ensure(table, SMALL)
    for number in range(5):
        append(engine, table, number)

    def replace() -> None:
        for path in Path(table, "_delta_log").iterdir():
            path.unlink()
        EmbeddedLakehouse().ensure(table, SMALL)

    meanwhile(monkeypatch, replace)
    append(engine, table, 5)
    assert len(entries(table)) == 2
    assert numbers(table) == [5]
