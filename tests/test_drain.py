"""Draining a journal into its table: backlogs, and when upkeep falls due."""

from __future__ import annotations

import datetime as dt
import threading
from itertools import count
from pathlib import Path

import msgspec
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from spectra_logging.drain import Drainer, DrainReport
from spectra_logging.errors import TableUnavailableError
from spectra_logging.journal.appender import Appender
from spectra_logging.journal.batches import Batches
from spectra_logging.journal.framing import frame
from spectra_logging.journal.state import StateFile
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Lakehouse, Staged, Stager, Transaction
from spectra_logging.stats import CommitFigures
from spectra_logging.tables import TableSpec
from tests.lakehouses import spec_of

SMALL = spec_of(("n", "long", False), ("text", "string", True))


class Backlog:
    """A journal to fill and to drain."""

    def __init__(self, folder: Path) -> None:
        self.table = str(folder / "log")
        self.directory = folder / "journal"
        self.directory.mkdir()
        self.lakehouse: Lakehouse = open_lakehouse("deltalake")
        self.drainer = Drainer(self.directory, self.table, SMALL, lambda: self.lakehouse)
        self._appender = Appender(
            self.directory,
            max_bytes=1 << 24,
            when_full="drop_newest",
            block_timeout_seconds=0.0,
            on_segment=lambda: None,
        )
        self._next = 0

    def append(self, count: int, size: int = 0) -> None:
        for n in range(self._next, self._next + count):
            self.append_line(msgspec.json.encode({"n": n, "text": "x" * size})[:-1])
        self._next += count

    def append_line(self, payload: bytes) -> None:
        self._appender.append(frame(payload))

    def fail_append(self, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the engine's append of that number, from 1, fail."""
        append, calls = self.lakehouse.append, count(1)

        def may_fail(*arguments: object, **options: object) -> object:
            if next(calls) == number:
                raise TableUnavailableError("the store is away")
            return append(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(self.lakehouse, "append", may_fail)

    def lying_about(self) -> list[str]:
        """What is staged beside the table."""
        return [path.name for path in Path(self.table).glob("_spectra-*")]

    def rows(self) -> list[int]:
        return [n for (n,) in self.lakehouse.query("SELECT n FROM t", {"t": self.table}).rows]


@pytest.fixture
def backlog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backlog:
    monkeypatch.setattr("spectra_logging.journal.roller.SEGMENT_BYTES", 64 << 10)
    monkeypatch.setattr("spectra_logging.journal.content.BATCH_BYTES", 128 << 10)
    return Backlog(tmp_path)


def test_a_state_older_than_the_table_costs_no_record(backlog: Backlog) -> None:
    """Its number is taken: under it, the table would take what is new for a replay."""
    state = backlog.directory / "state.json"
    backlog.append(1)
    backlog.drainer.drain()
    older = state.read_bytes()
    backlog.append(1)
    backlog.drainer.drain()
    state.write_bytes(older)
    backlog.append(1)
    Drainer(backlog.directory, backlog.table, SMALL, lambda: backlog.lakehouse).drain()
    assert set(backlog.rows()) == {0, 1, 2}


@pytest.mark.parametrize("partitions", [[], ["text"]])
def test_a_number_that_a_copy_of_the_journal_has_used_costs_no_record(
    backlog: Backlog, partitions: list[str]
) -> None:
    """A machine that is copied while it runs has two of one id, and the table knows one alone.

    Whoever writes the log entry: of a table with partitions delta-rs does.
    """
    schema = pl.Schema({"n": pl.Int64, "text": pl.String})
    write_deltalake(backlog.table, pl.DataFrame(schema=schema), partition_by=partitions or None)
    backlog.append(1)
    backlog.drainer.drain()
    state = StateFile(backlog.directory).load_or_create()
    copys = Transaction(application_id=state.application_id, version=state.committed_batch + 1)
    row = b'{"n":100,"text":""}\n'
    backlog.lakehouse.append(backlog.table, row, SMALL, transaction=copys)
    for _ in range(3):
        backlog.append(1)
        assert backlog.drainer.drain().rows == 1
    assert sorted(backlog.rows()) == [0, 1, 2, 3, 100]
    assert StateFile(backlog.directory).load_or_create().application_id != state.application_id


def test_a_commit_that_was_not_noted_is_no_copys(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that was sealed before is in the table by its own doing, and is not written again."""

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    backlog.append(1)
    with monkeypatch.context() as patched:
        patched.setattr(Batches, "note_committed", fail)
        with pytest.raises(OSError, match="full"):
            backlog.drainer.drain()
    application_id = StateFile(backlog.directory).load_or_create().application_id
    backlog.append(1)
    assert backlog.drainer.drain().rows == 2
    assert sorted(backlog.rows()) == [0, 1]
    assert StateFile(backlog.directory).load_or_create().application_id == application_id


def test_a_backlog_lands_in_several_commits_once_each(backlog: Backlog) -> None:
    """Each is read and staged while those before it are committed, and none is left or doubled."""
    backlog.append(1000, size=1000)
    report = backlog.drainer.drain()
    assert report.rows == 1000
    assert backlog.lying_about() == []
    assert report.batches == DeltaTable(backlog.table).version() > 5
    assert sorted(backlog.rows()) == list(range(1000))
    assert not backlog.drainer.has_records()


def test_a_backlog_whose_commit_fails_goes_on_from_there(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read ahead is not lost and not taken twice, also by another drainer."""
    backlog.append(1000, size=1000)
    backlog.fail_append(3, monkeypatch)
    with pytest.raises(TableUnavailableError):
        backlog.drainer.drain()
    assert 0 < len(backlog.rows()) < 1000
    assert backlog.lying_about() == []
    other = Drainer(backlog.directory, backlog.table, SMALL, lambda: open_lakehouse("deltalake"))
    other.drain()
    backlog.append(10)
    backlog.drainer.drain()
    assert sorted(backlog.rows()) == list(range(1010))


def test_what_was_done_before_a_failure_is_in_the_next_report(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody would hear of what those batches set aside, or of whom they came from."""
    backlog.append_line(b'{"n":"no number"')
    backlog.append(1000, size=1000)
    backlog.fail_append(4, monkeypatch)
    with pytest.raises(TableUnavailableError):
        backlog.drainer.drain()
    report = backlog.drainer.drain()
    assert (report.rows, report.quarantined) == (1000, 1)
    assert backlog.drainer.drain().rows == 0


def test_a_failure_to_read_ahead_is_told_and_nothing_is_lost(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch before it stays sealed; the next drain commits it and goes on."""
    backlog.append(1000, size=1000)

    def fail(*_: object) -> None:
        raise OSError("input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "read_ahead", fail)
        with pytest.raises(OSError, match="input/output"):
            backlog.drainer.drain()
    backlog.drainer.drain()
    assert sorted(backlog.rows()) == list(range(1000))


def test_batches_are_staged_side_by_side(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch's staging waits until the second's has begun."""
    monkeypatch.setattr("spectra_logging.ahead.usable_cores", lambda: 2)
    backlog.append(1000, size=1000)
    open_stager, calls, another_has_begun = backlog.lakehouse.stager, count(), threading.Event()
    waited: list[bool] = []

    def patched(table: str, spec: TableSpec) -> Stager:
        stager = open_stager(table, spec)
        assert stager is not None

        def stage(rows: bytes) -> Staged:
            if next(calls):
                another_has_begun.set()
            else:
                waited.append(another_has_begun.wait(30))
            return stager(rows)

        return stage

    monkeypatch.setattr(backlog.lakehouse, "stager", patched)
    backlog.drainer.drain()
    assert waited == [True]
    assert sorted(backlog.rows()) == list(range(1000))


def test_a_batch_that_can_t_be_staged_is_told_of_as_ever(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that does not fit is set aside; its batch's others, and all other batches, land."""
    backlog.append(500, size=1000)
    backlog.append_line(b'{"n":"seventy"')
    backlog.append(500, size=1000)
    report = backlog.drainer.drain()
    assert (report.rows, report.quarantined) == (1000, 1)
    assert sorted(backlog.rows()) == list(range(1000))
    assert backlog.lying_about() == []


def test_upkeep_falls_due_whoever_commits_the_version_that_ends_a_round(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer may take the fiftieth version, and the writer here the ones around it."""
    monkeypatch.setattr("spectra_logging.drain.UPKEEP_EVERY_VERSIONS", 10)
    checkpoint = Path(backlog.table, "_delta_log", "_last_checkpoint")
    for _ in range(9):
        backlog.append(1)
        backlog.drainer.drain()
        backlog.drainer.upkeep()
    frame = pl.DataFrame({"n": [-1], "text": ["x"]})
    write_deltalake(backlog.table, frame, mode="append")
    assert DeltaTable(backlog.table).version() == 10
    assert not checkpoint.exists()
    backlog.append(1)
    backlog.drainer.drain()
    backlog.drainer.upkeep()
    assert checkpoint.exists()


@pytest.mark.parametrize("versions", [9, 10])
def test_upkeep_falls_due_with_the_first_commit_if_that_ends_a_round(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch, versions: int
) -> None:
    """A short process may make no other; of a round that was over before it knows nothing."""
    monkeypatch.setattr("spectra_logging.drain.UPKEEP_EVERY_VERSIONS", 10)
    backlog.lakehouse.ensure(backlog.table, SMALL)
    for number in range(1, versions):
        frame = pl.DataFrame({"n": [-number], "text": ["x"]})
        write_deltalake(backlog.table, frame, mode="append")
    backlog.append(1)
    backlog.drainer.drain()
    assert DeltaTable(backlog.table).version() == versions
    backlog.drainer.upkeep()
    assert Path(backlog.table, "_delta_log", "_last_checkpoint").exists() == (versions == 10)


def test_a_report_of_several_drains_has_the_newest_commit() -> None:
    """Also where the last of them had nothing to commit."""
    at = dt.datetime.now(dt.timezone.utc)
    older, newer = (
        DrainReport(rows=n, last_commit=CommitFigures(version=n, batch=n, rows=n, at=at))
        for n in (1, 2)
    )
    found = older + newer + DrainReport()
    assert (found.rows, found.last_commit) == (3, newer.last_commit)
