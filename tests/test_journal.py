"""The journal: append, seal, commit, note; room, figures, and what damaged files do."""

from __future__ import annotations

import errno
import linecache
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectra_logging.journal import appender as appender_module
from spectra_logging.journal import content as content_module
from spectra_logging.journal import ledger as ledger_module
from spectra_logging.journal import live as live_module
from spectra_logging.journal import roller as roller_module
from spectra_logging.journal.appender import Appender
from spectra_logging.journal.batches import Batch, Batches
from spectra_logging.journal.content import Content, Reject
from spectra_logging.journal.folder import find_journals, make_folder, open_folder
from spectra_logging.journal.framing import count_lines, frame
from spectra_logging.journal.locks import FileLock
from spectra_logging.journal.segment import list_segments, read_range, segment_bytes_on_disk
from spectra_logging.journal.state import StateFile

if TYPE_CHECKING:
    from _typeshed import TraceFunction

SEGMENT = 256 << 10


def make_appender(directory: Path, **options: object) -> Appender:
    """An appender with small segments; ``max_bytes`` is four of them."""
    chosen: dict[str, object] = {
        "max_bytes": 4 * SEGMENT,
        "when_full": "drop_oldest",
        "block_timeout_seconds": 0.0,
        "on_segment": lambda: None,
    }
    return Appender(directory, **{**chosen, **options})  # type: ignore[arg-type]


def line(number: int, size: int = 0) -> bytes:
    """A record as the encoder gives it."""
    return frame(msgspec.json.encode({"n": number, "pad": "x" * size})[:-1])


def numbers(rows: bytes) -> list[int]:
    """Which records a batch's rows are."""
    return [msgspec.json.decode(row)["n"] for row in rows.splitlines()]


def drain(directory: Path, commit: Callable[[Batch], None] = lambda _: None) -> list[int]:
    """Commit all there is; returns the numbers of the records, in order."""
    batches = Batches(directory)
    got: list[int] = []
    with batches.draining() as acquired:
        assert acquired
        while batch := batches.next_batch():
            commit(batch)
            got += numbers(batch.rows)
            batches.note_committed(batch, [])
        batches.remove_leavings()
    return got


def balanced(appender: Appender) -> bool:
    """Whether the figures add up."""
    f = appender.figures()
    return f.emitted == f.written + f.pending + f.quarantined + sum(f.dropped.values())


def test_records_are_drained_in_order_and_once(tmp_path: Path) -> None:
    """A batch takes what has come since the last, also from a segment still appended to."""
    appender = make_appender(tmp_path)
    for n in range(3):
        appender.append(line(n))
    assert drain(tmp_path) == [0, 1, 2]
    assert drain(tmp_path) == []
    appender.append(line(3))
    assert drain(tmp_path) == [3]
    figures = appender.figures()
    assert (figures.emitted, figures.written, figures.pending) == (4, 4, 0)


def test_batch_numbers_rise_by_one_under_one_application_id(tmp_path: Path) -> None:
    """The pair is what makes a Delta commit happen once."""
    appender = make_appender(tmp_path)
    seen: list[tuple[str, int]] = []
    for n in range(3):
        appender.append(line(n))
        drain(tmp_path, lambda batch: seen.append((batch.application_id, batch.number)))
    assert [number for _, number in seen] == [1, 2, 3]
    assert len({application_id for application_id, _ in seen}) == 1


def test_a_sealed_batch_is_the_same_batch_for_the_next_drainer(tmp_path: Path) -> None:
    """A drain that ends between seal and note is repeated with the same rows and number."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    interrupted = Batches(tmp_path)
    with interrupted.draining():
        first = interrupted.next_batch()
    appender.append(line(1))
    again = Batches(tmp_path)
    with again.draining():
        second = again.next_batch()
        assert first is not None
        assert second is not None
        assert (second.number, second.rows, second.recovered) == (first.number, first.rows, True)
        again.note_committed(second, [])
    assert drain(tmp_path) == [1]


def test_only_one_drains_at_a_time(tmp_path: Path) -> None:
    """The second is told so at once."""
    with Batches(tmp_path).draining() as first, Batches(tmp_path).draining() as second:
        assert (first, second) == (True, False)


def test_segments_of_a_closed_appender_are_drained_and_removed(tmp_path: Path) -> None:
    """Nothing but locks and state is left of a process that is gone."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    appender.close()
    assert drain(tmp_path) == [0]
    assert list_segments(tmp_path) == []
    assert list(tmp_path.glob("*.owner")) == []


def test_records_that_wait_in_a_closed_appender_s_journal_are_not_settled(tmp_path: Path) -> None:
    """Whoever waits for them learns of it, until a drain has taken them."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    appender.close()
    closed = appender.position()
    assert not appender.is_settled(closed)
    assert drain(tmp_path) == [0]
    assert appender.is_settled(closed)
    appender.append(line(1))
    assert appender.is_settled(closed), "what came later does not concern it"
    assert not appender.is_settled(appender.position())


@pytest.mark.parametrize("commits_later", [0, 3])
def test_a_closed_appender_s_records_that_others_drain_count_as_written(
    tmp_path: Path, commits_later: int
) -> None:
    """Also when it is asked after the journal's state has forgotten their segment."""
    closed, other = make_appender(tmp_path), make_appender(tmp_path)
    closed.append(line(0))
    closed.append(line(1))
    closed.close()
    position = closed.position()
    assert closed.figures().pending == 2
    assert drain(tmp_path) == [0, 1]
    for n in range(commits_later):
        other.append(line(2 + n))
        assert drain(tmp_path) == [2 + n]
    assert closed.is_settled(position)
    figures = closed.figures()
    assert (figures.emitted, figures.written, figures.pending) == (2, 2, 0)
    assert balanced(closed)


def test_an_owner_that_ends_while_leavings_are_looked_for_is_passed_over(tmp_path: Path) -> None:
    """A name that leads nowhere is what is left of its lock between being listed and looked at."""
    (tmp_path / "1-aaaaaaaaaaaa.owner").symlink_to(tmp_path / "gone")
    assert drain(tmp_path) == []


def test_a_living_owner_s_segment_is_never_removed(tmp_path: Path) -> None:
    """Somebody else's drain leaves the live segment where the owner goes on appending."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    assert drain(tmp_path) == [0]
    assert len(list_segments(tmp_path)) == 1


def test_a_drain_of_one_s_own_goes_by_the_lock_and_not_by_its_file(tmp_path: Path) -> None:
    """A cleaner of old files may remove it at any moment, in the middle of a drain say."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    (owner_file,) = tmp_path.glob("*.owner")
    owner_file.unlink()
    assert drain(tmp_path) == [0]
    appender.append(line(1))
    appender.stay_alive()
    appender.append(line(2))
    assert sorted(drain(tmp_path)) == [1, 2]
    figures = appender.figures()
    assert (figures.emitted, figures.written, figures.dropped) == (3, 3, {})
    # What was given up is removed, and the new owner's is not.
    assert [name.owner for name in list_segments(tmp_path)] == [appender._roller.owner]


@pytest.mark.parametrize("drained", [0, 1])
def test_what_was_given_up_is_lost_with_the_journal_and_counted(
    tmp_path: Path, drained: int
) -> None:
    """What removes the folder may come to the owner's lock first, and to its segments later."""
    directory = tmp_path / "journal"
    directory.mkdir()
    appender = make_appender(directory)
    for n in range(drained):
        appender.append(line(n))
        assert drain(directory) == [n]
    assert appender.is_settled(appender.position())
    appender.append(line(drained))
    (owner_file,) = directory.glob("*.owner")
    owner_file.unlink()
    appender.stay_alive()
    assert appender.figures().pending == 1
    shutil.rmtree(directory)
    assert appender.is_settled(appender.position())
    figures = appender.figures()
    assert (figures.written, figures.pending) == (drained, 0)
    assert figures.dropped == {"journal_unwritable": 1}
    assert balanced(appender)


def test_logging_that_resumes_while_a_drainer_looks_for_the_owner_loses_nothing(
    tmp_path: Path,
) -> None:
    """An appender closed with records left is dead to a drainer; what comes later is not."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    appender.close()
    (owner_file,) = tmp_path.glob("*.owner")
    looking = FileLock(owner_file)
    assert looking.acquire()
    appender.append(line(1))
    looking.release()
    assert sorted(drain(tmp_path)) == [0, 1]
    appender.append(line(2))
    assert drain(tmp_path) == [2]
    assert balanced(appender)


def test_many_segments_drain_in_order(tmp_path: Path) -> None:
    """Full segments go before newer ones, and are removed by their owner once they are drained."""
    appender = make_appender(tmp_path, max_bytes=64 * SEGMENT)
    for n in range(80):
        appender.append(line(n, SEGMENT // 2))
    assert len(list_segments(tmp_path)) > 2
    assert drain(tmp_path) == list(range(80))
    appender.reclaim()
    assert len(list_segments(tmp_path)) == 1
    assert appender.figures().written == 80


def test_reading_ahead_changes_neither_batches_nor_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are read ahead of the one that is committed, and records go on coming: each once."""
    monkeypatch.setattr("spectra_logging.journal.content.BATCH_BYTES", 2 * SEGMENT)
    appender = make_appender(tmp_path, max_bytes=100 * SEGMENT)
    for n in range(40):
        appender.append(line(n, SEGMENT // 4))
    batches = Batches(tmp_path)
    got: list[list[int]] = []
    more: list[bool] = []
    ahead: list[Content] = []
    with batches.draining():
        while batch := batches.next_batch(ahead=ahead[0] if ahead else None):
            assert not ahead or batch.rows is ahead[0].rows
            ahead = ahead[1:]
            while len(ahead) < 2 and (content := batches.read_ahead([batch, *ahead])):
                ahead.append(content)
            if len(got) < 10:
                appender.append(line(40 + len(got)))
            got.append(numbers(batch.rows))
            more.append(batch.more)
            batches.note_committed(batch, [])
    assert [n for part in got for n in part] == list(range(50))
    assert len(got) > 5
    assert more[0]
    assert not more[-1]
    assert balanced(appender)


def test_what_was_read_ahead_and_given_up_since_is_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has been counted as dropped; what is left comes next, in order."""
    monkeypatch.setattr("spectra_logging.journal.content.BATCH_BYTES", SEGMENT // 2)
    appender = make_appender(tmp_path)
    for n in range(12):
        appender.append(line(n, SEGMENT // 4))
    batches = Batches(tmp_path)
    got: list[int] = []
    with batches.draining():
        first = batches.next_batch()
        assert first is not None
        ahead = batches.read_ahead([first])
        for n in range(12, 20):
            appender.append(line(n, SEGMENT // 4))
        batches.note_committed(first, [])
        got += numbers(first.rows)
        while batch := batches.next_batch(ahead=ahead):
            assert ahead is not None
            assert batch.rows is not ahead.rows
            got += numbers(batch.rows)
            batches.note_committed(batch, [])
    assert got == sorted(set(got))
    assert appender.figures().dropped == {"journal_full": 20 - len(got)}
    assert len(got) < 20
    assert balanced(appender)


def test_what_was_read_ahead_and_committed_since_is_not_committed_again(tmp_path: Path) -> None:
    """What has come since is read anew, and it alone."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    batches = Batches(tmp_path)
    with batches.draining():
        ahead = batches.read_ahead([])
        assert ahead is not None
        assert numbers(ahead.rows) == [0]
        first = batches.next_batch()
        assert first is not None
        batches.note_committed(first, [])
        appender.append(line(1))
        batch = batches.next_batch(ahead=ahead)
        assert batch is not None
        assert numbers(batch.rows) == [1]
        batches.note_committed(batch, [])
    assert appender.figures().written == 2
    assert balanced(appender)


def test_what_was_read_ahead_of_a_batch_that_failed_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sealed batch comes again, and after it all that came after it."""
    monkeypatch.setattr("spectra_logging.journal.content.BATCH_BYTES", SEGMENT)
    appender = make_appender(tmp_path)
    for n in range(10):
        appender.append(line(n, SEGMENT // 4))
    batches = Batches(tmp_path)
    with batches.draining():
        first = batches.next_batch()
        assert first is not None
        ahead = batches.read_ahead([first])
        again = batches.next_batch(ahead=ahead)
        assert again is not None
        assert (again.number, again.rows, again.recovered) == (first.number, first.rows, True)
        batches.note_committed(again, [])
    assert numbers(first.rows) + drain(tmp_path) == list(range(10))


def test_a_record_larger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    """Its neighbours are not concerned."""
    appender = make_appender(tmp_path, max_bytes=64 << 20)
    appender.append(line(0))
    appender.append(line(1, 20 << 20))
    appender.append(line(2))
    assert drain(tmp_path) == [0, 1, 2]


@pytest.mark.parametrize(
    ("when_full", "kept"),
    [("drop_oldest", "newest"), ("drop_newest", "oldest"), ("block", "oldest")],
)
def test_a_full_journal_gives_up_what_it_was_told_to_and_counts_it(
    tmp_path: Path, when_full: str, kept: str
) -> None:
    """Under every policy the journal stays within its bytes and the figures add up."""
    appender = make_appender(tmp_path, when_full=when_full)
    for n in range(50):
        appender.append(line(n, SEGMENT // 4))
        assert sum(path.stat().st_size for path in tmp_path.glob("*.ndjson")) <= 4 * SEGMENT
    got = drain(tmp_path)
    figures = appender.figures()
    assert figures.emitted == 50
    assert figures.written == len(got)
    assert figures.dropped == {"journal_full": 50 - len(got)}
    assert (got[0] == 0) == (kept == "oldest")
    assert (got[-1] == 49) == (kept == "newest")


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest", "block"])
def test_a_record_larger_than_the_journal_costs_no_other(tmp_path: Path, when_full: str) -> None:
    """It is dropped and counted at once; what came before it stays, and what comes after lands."""
    looks: list[None] = []
    appender = make_appender(
        tmp_path,
        when_full=when_full,
        block_timeout_seconds=0.2,
        on_segment=lambda: looks.append(None),
    )
    for n in range(5):
        appender.append(line(n, SEGMENT // 3))
    looks.clear()
    appender.append(line(5, 5 * SEGMENT))
    assert len(looks) == 1, "nobody waits for room that there can't be"
    assert appender.figures().dropped == {"journal_full": 1}
    for n in range(6, 8):
        appender.append(line(n, SEGMENT // 3))
    assert drain(tmp_path) == [0, 1, 2, 3, 4, 6, 7]
    assert balanced(appender)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest", "block"])
def test_killed_processes_leave_room_for_those_after_them(tmp_path: Path, when_full: str) -> None:
    """Each has allocated a quarter of the journal for one record; the table does not answer."""
    for n in range(12):
        child = os.fork()
        if child == 0:
            appender = make_appender(tmp_path, when_full=when_full)
            appender.append(line(n))
            os._exit(len(appender.figures().dropped))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    live = make_appender(tmp_path, when_full=when_full)
    live.append(line(12))
    assert segment_bytes_on_disk(tmp_path) <= 4 * SEGMENT
    assert sorted(drain(tmp_path)) == list(range(13))
    live.append(line(13))
    assert drain(tmp_path) == [13]


def test_drop_oldest_spares_the_batch_in_flight(tmp_path: Path) -> None:
    """What a sealed batch holds may be in the table already; giving it up would count it twice."""
    appender = make_appender(tmp_path)
    for n in range(8):
        appender.append(line(n, SEGMENT // 4))
    batches = Batches(tmp_path)
    with batches.draining():
        batch = batches.next_batch()
        assert batch is not None
        for n in range(8, 40):
            appender.append(line(n, SEGMENT // 4))
        recovered = Batches(tmp_path).next_batch()
        assert recovered is not None
        assert recovered.rows == batch.rows
        batches.note_committed(batch, [])
    later = drain(tmp_path)
    assert len(set(later)) == len(later)
    assert not set(later) & set(numbers(batch.rows))
    assert balanced(appender)
    assert appender.figures().written == len(later) + batch.row_count


def test_blocking_goes_on_when_a_drain_makes_room(tmp_path: Path) -> None:
    """A blocked log call waits for the drain and loses nothing."""
    asked = threading.Event()
    appender = make_appender(
        tmp_path, when_full="block", block_timeout_seconds=60.0, on_segment=asked.set
    )
    done = threading.Event()

    def flood() -> None:
        for n in range(60):
            appender.append(line(n, SEGMENT // 4))
        done.set()

    thread = threading.Thread(target=flood)
    thread.start()
    got: list[int] = []
    while not done.is_set():
        asked.wait(5.0)
        got += drain(tmp_path)
    thread.join()
    got += drain(tmp_path)
    assert got == list(range(60))
    assert appender.figures().dropped == {}


def test_threads_that_block_wait_side_by_side(tmp_path: Path) -> None:
    """One that has waited for another's turn has waited: no log call takes longer for it."""
    appender = make_appender(tmp_path, when_full="block", block_timeout_seconds=1.0)
    for n in range(4):
        appender.append(line(n, SEGMENT * 3 // 4))
    began = time.monotonic()
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(appender.append, [line(n, SEGMENT * 3 // 4) for n in range(4, 10)]))
    assert 1.0 <= time.monotonic() - began < 4.0
    assert appender.figures().dropped == {"journal_full": 6}


def test_closing_waits_for_nobody_who_waits_for_room(tmp_path: Path) -> None:
    """The record that waited is dropped and counted, and blocking goes on for later ones."""
    waits = threading.Event()
    appender = make_appender(
        tmp_path, when_full="block", block_timeout_seconds=20.0, on_segment=waits.set
    )
    for n in range(4):
        appender.append(line(n, SEGMENT * 3 // 4))
    waits.clear()
    blocked = threading.Thread(target=appender.append, args=(line(4, SEGMENT * 3 // 4),))
    blocked.start()
    assert waits.wait(10.0)
    began = time.monotonic()
    appender.close()
    assert time.monotonic() - began < 10.0
    blocked.join()
    assert appender.figures().dropped == {"journal_full": 1}
    assert drain(tmp_path) == [0, 1, 2, 3]
    appender.append(line(5))
    assert drain(tmp_path) == [5]
    assert balanced(appender)


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest", "block"])
def test_who_sees_to_the_drain_waits_for_nobody_who_logs(tmp_path: Path, when_full: str) -> None:
    """To start a thread is to wait for it, and the garbage collector may log on that one first."""
    in_time: list[bool] = []

    def start_a_thread_that_logs() -> None:
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=appender.append, args=(line(99, SEGMENT // 2),))
            thread.start()
            thread.join(20.0)
            in_time.append(not thread.is_alive())

    appender = make_appender(
        tmp_path,
        when_full=when_full,
        block_timeout_seconds=0.1,
        on_segment=start_a_thread_that_logs,
    )
    for n in range(6):
        appender.append(line(n, SEGMENT * 3 // 4))
    assert in_time
    assert all(in_time)
    assert balanced(appender)


def refuse_to_allocate(*_: int) -> None:
    """As musl's does on file systems that lack the call."""
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


@pytest.mark.parametrize(
    "allocates", ["by one call", "by writing, as macOS", "by writing, as musl"]
)
def test_a_full_disk_is_counted_and_logging_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allocates: str
) -> None:
    """The limit on file sizes stands in for the disk: the allocation fails with a real error."""
    resource = pytest.importorskip("resource")
    if "macOS" in allocates:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    elif "musl" in allocates:
        monkeypatch.setattr(os, "posix_fallocate", refuse_to_allocate, raising=False)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    appender = make_appender(tmp_path)
    monkeypatch.setattr("spectra_logging.journal.roller.RETRY_SECONDS", 0.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT // 2, old[1]))
    try:
        appender.append(line(0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert appender.figures().dropped == {"disk_full": 1}
    appender.append(line(1))
    assert drain(tmp_path) == [1]
    assert balanced(appender)


def test_a_folder_is_made_by_several_threads_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gets the same one, and none a folder for temporary files."""
    both_wrote = threading.Barrier(2, timeout=10.0)
    replace = os.replace

    def replace_together(source: Path, target: Path) -> None:
        both_wrote.wait()
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_together)
    with ThreadPoolExecutor(2) as threads, warnings.catch_warnings():
        warnings.simplefilter("error")
        made = [threads.submit(open_folder, "t", "events", str(tmp_path)) for _ in range(2)]
        first, second = (future.result() for future in made)
    assert first == second
    assert first.parent == tmp_path
    assert os.listdir(first) == ["journal.json"]


@pytest.mark.parametrize("content", [b"", b"{}", b"garbage", b'{"table":"\xff"}'])
def test_a_damaged_journal_s_folder_does_not_hide_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """It is told in the log, and a table's journals are found beside it."""
    folder = open_folder("t", "events", str(tmp_path))
    damaged = open_folder("other", "events", str(tmp_path))
    (damaged / "journal.json").write_bytes(content)
    assert find_journals("t", str(tmp_path)) == [folder]
    (told,) = caplog.records
    assert (told.name, told.levelname) == ("spectra_logging", "WARNING")
    assert str(damaged) in told.getMessage()


def test_a_folder_that_is_made_again_has_its_appender_for_alive(tmp_path: Path) -> None:
    """Else whoever drains it would remove the segment that is still appended to."""
    folder = tmp_path / "journal"
    make_anew = partial(make_folder, folder, "/lake/log", "events")
    make_anew()
    appender = make_appender(folder, make_folder=make_anew)
    appender.append(line(0, SEGMENT // 2))
    shutil.rmtree(folder)
    appender.append(line(1, SEGMENT // 2))
    assert drain(folder) == [1]
    appender.append(line(2))
    assert drain(folder) == [2]
    assert appender.figures().dropped == {"journal_unwritable": 1}
    assert balanced(appender)


def test_a_folder_that_vanishes_is_counted(tmp_path: Path) -> None:
    """No log call raises for it, and who tells of it is woken."""
    folder = tmp_path / "journal"
    folder.mkdir()
    woken = threading.Event()
    appender = make_appender(folder, on_segment=woken.set)
    folder.rmdir()
    appender.append(line(0))
    assert appender.figures().dropped == appender.dropped() == {"journal_unwritable": 1}
    assert woken.is_set()


def test_threads_lose_nothing(tmp_path: Path) -> None:
    """Ten threads append at once, over many segments."""
    appender = make_appender(tmp_path, max_bytes=1 << 30)

    def work(thread: int) -> None:
        for n in range(400):
            appender.append(line(thread * 1000 + n, SEGMENT // 64))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert appender.figures().pending == 4000
    got = drain(tmp_path)
    assert sorted(got) == [thread * 1000 + n for thread in range(10) for n in range(400)]
    assert [n for n in got if n < 1000] == list(range(400)), "a thread's records keep their order"
    assert appender.figures().written == 4000
    assert list(tmp_path.glob("quarantine/*")) == []


def at_every_line(do: Callable[[], None]) -> TraceFunction:
    """A trace function that does something before each line of the append side, once a line."""
    busy = False
    files = [
        module.__file__ for module in (appender_module, ledger_module, live_module, roller_module)
    ]

    def trace(frame: FrameType, event: str, _arg: object) -> TraceFunction | None:
        nonlocal busy
        if frame.f_code.co_filename not in files:
            return None
        # The line of a "with" is traced once more before its lock is let go, where no signal comes.
        code = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not busy and not code.lstrip().startswith("with "):
            busy = True
            try:
                do()
            finally:
                busy = False
        return trace

    return trace


def test_logging_in_the_middle_of_an_append_loses_nothing(tmp_path: Path) -> None:
    """A signal handler or a finaliser that logs between any two lines of the append side."""
    appender = make_appender(tmp_path, max_bytes=64 * SEGMENT)
    logged = 0

    def log() -> None:
        nonlocal logged
        logged += 1
        appender.append(line(-logged))

    sys.settrace(at_every_line(log))
    try:
        for n in range(6):
            appender.append(line(n, SEGMENT // 2))
        appender.close()
    finally:
        sys.settrace(None)
    assert logged > 100
    got = drain(tmp_path)
    assert sorted(got) == [*range(-logged, 0), *range(6)]
    assert [n for n in got if n >= 0] == list(range(6))
    figures = appender.figures()
    assert (figures.emitted, figures.written) == (logged + 6, logged + 6)


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest", "block"])
def test_any_number_of_records_in_the_middle_of_an_append_land(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when_full: str
) -> None:
    """As when the garbage collector comes upon thousands of objects that log as they go."""
    appender = make_appender(tmp_path, when_full=when_full, block_timeout_seconds=20.0)
    coming = iter(range(1, 3001))

    def log_them_all(directory: Path) -> int:
        for n in coming:
            appender.append(line(n))
        return segment_bytes_on_disk(directory)

    monkeypatch.setattr(roller_module, "segment_bytes_on_disk", log_them_all)
    appender.append(line(0))
    appender.append(line(3001))
    assert drain(tmp_path) == list(range(3002))
    assert appender.figures().written == 3002


def test_a_record_in_the_middle_of_an_append_waits_for_room_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a log call waits for room, most of what comes on its thread comes as it looks again."""
    looks: list[None] = []

    def make_room() -> None:
        looks.append(None)
        if len(looks) == 3:
            got.extend(drain(tmp_path))

    appender = make_appender(tmp_path, when_full="block", block_timeout_seconds=60.0)
    for n in range(4):
        appender.append(line(n, SEGMENT * 3 // 4))
    got: list[int] = []
    coming = iter([5])

    def log_once(directory: Path) -> int:
        for n in coming:
            appender.append(line(n, SEGMENT * 3 // 4))
        return segment_bytes_on_disk(directory)

    monkeypatch.setattr(roller_module, "segment_bytes_on_disk", log_once)
    monkeypatch.setattr(appender, "_on_segment", make_room)
    appender.append(line(4, SEGMENT * 3 // 4))
    assert appender.figures().dropped == {}
    assert got + drain(tmp_path) == list(range(6))


def test_signal_handlers_that_log_while_their_thread_waits_for_room_do_not_prolong_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come faster than each could wait, as a timer's do; all are dropped and counted."""
    appender = make_appender(tmp_path, when_full="block", block_timeout_seconds=0.2)
    for n in range(4):
        appender.append(line(n, SEGMENT * 3 // 4))
    logged: list[int] = []
    wait = time.sleep

    def wait_and_be_interrupted(seconds: float) -> None:
        logged.append(len(logged))
        appender.append(line(5, SEGMENT * 3 // 4))
        wait(seconds)

    monkeypatch.setattr(time, "sleep", wait_and_be_interrupted)
    appender.append(line(4, SEGMENT * 3 // 4))
    assert 1 <= len(logged) <= 5
    assert appender.figures().dropped == {"journal_full": 1 + len(logged)}


def test_an_exception_in_the_middle_of_an_append_harms_no_other_record(tmp_path: Path) -> None:
    """Control-C at each line of the append side in turn: what was logged before and after lands."""
    lines_seen = 0
    interrupt_at = 0
    while interrupt_at <= lines_seen:
        lines_seen, interrupt_at = 0, interrupt_at + 1
        directory = tmp_path / str(interrupt_at)
        directory.mkdir()
        appender = make_appender(directory)
        appender.append(line(0, SEGMENT // 2))

        def interrupt() -> None:
            nonlocal lines_seen
            lines_seen += 1
            if lines_seen == interrupt_at:  # noqa: B023 - called within this turn only
                raise KeyboardInterrupt

        sys.settrace(at_every_line(interrupt))
        try:
            appender.append(line(1, SEGMENT // 2))
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        appender.append(line(2, SEGMENT // 2))
        got = drain(directory)
        assert [n for n in got if n != 1] == [0, 2], interrupt_at
        assert got.count(1) <= 1
        assert balanced(appender)
        assert list(directory.glob("quarantine/*")) == []
    assert interrupt_at > 30


@pytest.mark.parametrize("look", [Appender.figures, Appender.reclaim, Appender.close])
def test_a_signal_handler_may_log_and_look_and_close_while_its_thread_looks(
    tmp_path: Path, look: Callable[[Appender], object]
) -> None:
    """Before each line of the append side in turn: nothing raises, and the figures stay right."""
    lines_seen = 0
    interrupt_at = 0
    while interrupt_at <= lines_seen:
        lines_seen, interrupt_at = 0, interrupt_at + 1
        directory = tmp_path / str(interrupt_at)
        directory.mkdir()
        appender = make_appender(directory, max_bytes=16 * SEGMENT)
        appender._roller._segment_bytes = SEGMENT
        for n in range(4):
            appender.append(line(n, SEGMENT // 2))
        drain(directory)
        logged = 0

        def interrupt() -> None:
            nonlocal lines_seen, logged
            lines_seen += 1
            if lines_seen == interrupt_at:  # noqa: B023 - called within this turn only
                logged += 1
                appender.append(line(4, SEGMENT // 2))  # noqa: B023
                appender.figures()  # noqa: B023
                appender.is_settled(appender.position())  # noqa: B023
                appender.close()  # noqa: B023

        sys.settrace(at_every_line(interrupt))
        try:
            look(appender)
        finally:
            sys.settrace(None)
        assert drain(directory) == [4] * logged, interrupt_at
        figures = appender.figures()
        assert (figures.emitted, figures.written) == (4 + logged, 4 + logged), interrupt_at
    assert interrupt_at > 20


def test_a_record_in_the_middle_of_a_look_waits_for_no_thread_that_waits_for_the_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler or a finaliser logs there, while another thread makes the next segment."""
    appender = make_appender(tmp_path)
    appender.append(line(0, SEGMENT // 2))
    rolling = threading.Event()
    other = threading.Thread(target=appender.append, args=(line(1, SEGMENT * 3 // 4),), daemon=True)
    looks: list[None] = []

    def measure(directory: Path) -> int:
        rolling.set()
        return segment_bytes_on_disk(directory)

    def count(data: bytes) -> int:
        if not looks:
            looks.append(None)
            other.start()
            rolling.wait(0.2)  # in vain where the look keeps it out
            appender.append(line(2, SEGMENT * 3 // 4))
        return count_lines(data)

    monkeypatch.setattr(roller_module, "segment_bytes_on_disk", measure)
    monkeypatch.setattr(live_module, "count_lines", count)
    looker = threading.Thread(target=appender.figures, daemon=True)
    looker.start()
    for thread in (looker, other):
        thread.join(20.0)
        assert not thread.is_alive()
    assert sorted(drain(tmp_path)) == [0, 1, 2]
    assert appender.figures().written == 3


def test_rejected_rows_are_quarantined_and_counted(tmp_path: Path) -> None:
    """A row that the table can't take is kept in a file with the reason, once."""
    appender = make_appender(tmp_path)
    for n in range(3):
        appender.append(line(n))
    batches = Batches(tmp_path)
    with batches.draining():
        batch = batches.next_batch()
        assert batch is not None
        bad = batch.rows.splitlines()[1]
        for _ in range(2):
            batches.note_committed(batch, [Reject(bad, "no number")])
    figures = appender.figures()
    assert (figures.written, figures.quarantined, figures.pending) == (2, 1, 0)
    (kept,) = (tmp_path / "quarantine").glob("*.ndjson")
    assert [msgspec.json.decode(line) for line in kept.read_bytes().splitlines()] == [
        {"reason": "no number", "data": bad.decode()}
    ]


def test_what_was_set_aside_outlasts_a_state_that_is_lost(tmp_path: Path) -> None:
    """Batches are counted from one again, under another id."""
    batches = Batches(tmp_path)
    for n in range(2):
        appender = make_appender(tmp_path)
        appender.append(line(n))
        appender.close()
        with batches.draining():
            batch = batches.next_batch()
            assert batch is not None
            batches.note_committed(batch, [Reject(batch.rows.rstrip(), "refused")])
        for copy in ("state.json", "state-copy.json"):
            (tmp_path / copy).unlink()
    kept = [msgspec.json.decode(file.read_bytes()) for file in tmp_path.glob("quarantine/*")]
    assert sorted(msgspec.json.decode(piece["data"])["n"] for piece in kept) == [0, 1]


def test_a_first_byte_damaged_to_zero_hides_nothing_that_follows(tmp_path: Path) -> None:
    """A gone process's segment is not taken for drained, and removed, on account of it."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    appender.append(line(1))
    appender.close()
    path = tmp_path / str(list_segments(tmp_path)[0])
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    batches = Batches(tmp_path)
    assert batches.has_records()
    with batches.draining():
        batches.remove_leavings()
    assert drain(tmp_path) == [1]


def test_records_that_damage_made_one_piece_of_count_as_quarantined_each(tmp_path: Path) -> None:
    """The line break between them is gone, so that the drain counts one where there were two."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    appender.append(line(1))
    appender.append(line(2, SEGMENT))
    path = tmp_path / str(list_segments(tmp_path)[0])
    path.write_bytes(path.read_bytes().replace(b"\n", b" ", 1))
    assert drain(tmp_path) == [2]
    assert appender.reclaim()
    figures = appender.figures()
    assert (figures.written, figures.quarantined, figures.pending) == (1, 2, 0)
    assert balanced(appender)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_a_lock_leaves_no_descriptor_whether_it_was_had_or_not(tmp_path: Path) -> None:
    """Who drains tries the lock of each owner that lives, for as long as the program runs."""
    held, tried = FileLock(tmp_path / "owner"), FileLock(tmp_path / "owner")
    nowhere = FileLock(tmp_path / "gone" / "owner")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(8):
        assert held.acquire()
        assert not tried.acquire()
        with pytest.raises(FileNotFoundError):
            nowhere.acquire()
        held.release()
    assert len(os.listdir("/proc/self/fd")) == before


def test_half_a_line_waits_while_its_process_lives_and_is_set_aside_when_it_is_gone(
    tmp_path: Path,
) -> None:
    """It may be being stored this very moment; nobody ever finishes what a dead process left."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    (segment,) = tmp_path.glob("*.ndjson")
    half = line(1)[:-20]
    with segment.open("r+b") as file:
        file.seek(len(line(0)))
        file.write(half)
    assert drain(tmp_path) == [0]
    assert not (tmp_path / "quarantine").exists()
    appender._roller._owner_lock.release()  # as a kill does
    assert drain(tmp_path) == []
    (kept,) = (tmp_path / "quarantine").glob("*.ndjson")
    assert msgspec.json.decode(kept.read_bytes()) == {
        "reason": f"damaged in journal segment {segment.name}",
        "data": half.decode(),
    }
    assert not segment.exists()


@pytest.mark.parametrize(("kept", "records"), [(None, 3), (1, 2)])
def test_what_is_gone_of_a_sealed_batch_is_told(
    tmp_path: Path, kept: int | None, records: int
) -> None:
    """A segment's file removed, or cut: the state alone knows that there was more."""
    appender = make_appender(tmp_path)
    for n in range(3):
        appender.append(line(n))
    appender.close()
    with Batches(tmp_path).draining():
        assert Batches(tmp_path).next_batch() is not None
    (segment,) = tmp_path.glob("*.ndjson")
    if kept is None:
        segment.unlink()
    else:
        os.truncate(segment, len(line(0)) * kept)
    seen: list[Batch] = []
    assert drain(tmp_path, seen.append) == list(range(kept or 0))
    assert [len(batch.damaged) for batch in seen] == [1]
    (file,) = tmp_path.glob("quarantine/*.ndjson")
    assert msgspec.json.decode(file.read_bytes()) == {
        "reason": f"gone from journal segment {segment.name}: {records} records",
        "data": "",
    }


def test_a_sealed_batch_is_noted_though_a_segment_is_gone_and_the_table_refuses_a_row(
    tmp_path: Path,
) -> None:
    """Or it would be sealed for ever, and all that comes after it with it."""
    appenders = [make_appender(tmp_path) for _ in range(2)]
    for appender in appenders:
        for n in range(3):
            appender.append(line(n))
    batches = Batches(tmp_path)
    with batches.draining():
        assert batches.next_batch() is not None
        (tmp_path / f"{appenders[0]._roller.owner}-000001.ndjson").unlink()
        batch = batches.next_batch()
        assert batch is not None
        batches.note_committed(batch, [Reject(batch.rows.splitlines()[0], "refused")])
    figures = appenders[1].figures()
    assert (figures.written, figures.quarantined, figures.pending) == (2, 1, 0)
    assert drain(tmp_path) == []


@settings(deadline=None)
@given(
    victim=st.sampled_from(["*.ndjson", "state.json", "state-copy.json"]),
    place=st.floats(0, 1, exclude_max=True),
    flip=st.one_of(st.none(), st.integers(1, 255)),
    drained_before=st.booleans(),
)
def test_damage_to_any_file_leaves_the_rest_deliverable(
    tmp_path_factory: pytest.TempPathFactory,
    victim: str,
    place: float,
    flip: int | None,
    drained_before: bool,
) -> None:
    """A byte flipped or a tail cut off anywhere in the journal costs what it hit and no more.

    The sound records are delivered once, what is lost is quarantined, and new records still flow.
    """
    directory = tmp_path_factory.mktemp("journal")
    appender = make_appender(directory)
    for n in range(20):
        appender.append(line(n))
    committed = drain(directory) if drained_before else []
    for n in range(20, 30):
        appender.append(line(n))
    appender.close()
    for path in directory.glob(victim):
        content = bytearray(path.read_bytes())
        at = int(place * len(content))
        if flip is None:
            del content[at:]
        else:
            content[at] ^= flip
        path.write_bytes(content)

    later = make_appender(directory)
    later.append(line(30))
    got = committed + drain(directory)
    assert len(set(got)) == len(got), "nothing is delivered twice"
    assert set(got) <= set(range(31)), "nothing is delivered that was not logged"
    assert 30 in got, "new records still flow"
    assert later.figures().written == 1
    if victim != "*.ndjson":
        assert sorted(got) == list(range(31))
    elif flip is not None:
        assert len(got) >= 31 - 2
        assert len(got) == 31 or list(directory.glob("quarantine/*.ndjson"))


def test_a_journal_whose_state_is_lost_goes_on_under_a_new_id(tmp_path: Path) -> None:
    """Both copies damaged: the damaged ones are set aside for a person to look at."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    drain(tmp_path)
    old = StateFile(tmp_path).load()
    for copy in ("state.json", "state-copy.json"):
        (tmp_path / copy).write_bytes(b"garbage")
    appender.append(line(1))
    drain(tmp_path)
    new = StateFile(tmp_path).load()
    assert old is not None
    assert new is not None
    assert new.application_id != old.application_id
    assert len(list(tmp_path.glob("*.damaged-*"))) == 2


def test_a_copy_of_a_journal_goes_on_under_an_id_of_its_own(tmp_path: Path) -> None:
    """As in an image or a backup; what was sealed before the copy is one batch in all of them."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    make_appender(original).append(line(0))
    with Batches(original).draining():
        assert Batches(original).next_batch() is not None
    shutil.copytree(original, copy)
    seen: dict[Path, list[tuple[str, int]]] = {original: [], copy: []}
    for folder in (original, copy, original, copy):
        make_appender(folder).append(line(1))
        transactions = seen[folder]
        drain(folder, lambda b, to=transactions: to.append((b.application_id, b.number)))  # type: ignore[misc]
    assert seen[original][0] == seen[copy][0]
    assert not set(seen[original][1:]) & set(seen[copy][1:])
    assert len({application_id for application_id, _ in seen[original]}) == 1


def test_a_state_that_cannot_be_read_for_now_is_not_taken_for_lost(tmp_path: Path) -> None:
    """A read may fail for want of descriptors; a new state would deliver every row again."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    drain(tmp_path)
    appender.append(line(1))
    state, aside = tmp_path / "state.json", tmp_path / "aside"
    state.rename(aside)
    state.mkdir()  # which open() refuses
    for ask in (Batches(tmp_path).state, Batches(tmp_path).next_batch):
        with pytest.raises(OSError, match=r"state\.json"):
            ask()
    assert not list(tmp_path.glob("*.damaged-*"))
    state.rmdir()
    aside.rename(state)
    assert drain(tmp_path) == [1]
    assert appender.figures().written == 2


def test_figures_outlast_a_state_that_cannot_be_read_for_now(tmp_path: Path) -> None:
    """They are what they were; and nothing is given up, as it may be in a batch."""
    appender = make_appender(tmp_path, max_bytes=2 * SEGMENT)
    appender.append(line(0))
    drain(tmp_path)
    before = appender.figures()
    position = appender.position()
    assert appender.is_settled(position)
    state = tmp_path / "state.json"
    state.rename(tmp_path / "aside")
    state.mkdir()
    assert appender.figures() == before
    assert appender.is_settled(position)
    for n in range(1, 8):
        appender.append(line(n, SEGMENT // 3))
    dropped = appender.figures().dropped["journal_full"]
    assert dropped > 0
    assert balanced(appender)
    state.rmdir()
    (tmp_path / "aside").rename(state)
    assert drain(tmp_path) == list(range(1, 8 - dropped)), "the newest were dropped, not the oldest"


def test_a_line_stored_while_its_segment_is_read_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read may have copied zeros from where a line came to stand before it copied the next."""
    appender = make_appender(tmp_path)
    for n in range(4):
        appender.append(line(n))
    reads: list[int] = []

    def read_while_the_second_is_stored(path: Path, start: int, end: int | None = None) -> bytes:
        data = read_range(path, start, end)
        reads.append(len(data))
        if len(reads) > 1:
            return data
        first, second = len(line(0)), len(line(1))
        return data[: first + 5] + bytes(second - 5) + data[first + second :]

    monkeypatch.setattr(content_module, "read_range", read_while_the_second_is_stored)
    assert drain(tmp_path) == [0, 1, 2, 3]
    assert appender.figures().quarantined == 0
    assert len(reads) >= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_appends_to_a_segment_of_its_own(tmp_path: Path) -> None:
    """The child's figures begin at nothing, and the parent's records are not doubled."""
    appender = make_appender(tmp_path)
    appender.append(line(0))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            appender.append(line(1))
            status = 0 if appender.figures().emitted == 1 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    appender.append(line(2))
    assert sorted(drain(tmp_path)) == [0, 1, 2]
    assert appender.figures().written == 2
