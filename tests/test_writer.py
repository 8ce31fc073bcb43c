"""The writer under engines that misbehave: real tables, with one thing gone wrong at a time."""

from __future__ import annotations

import asyncio
import gc
import logging
import logging.config
import math
import os
import shutil
import signal
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import spectra_logging.lakehouse
from spectra_logging.drain import drain_journals
from spectra_logging.errors import TableUnavailableError
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.journal.folder import find_journals
from spectra_logging.journal.locks import FileLock
from spectra_logging.journal.state import DRAIN_LOCK
from spectra_logging.lakehouse.base import Commit, UpkeepReport
from spectra_logging.lakehouse.deltalake import EmbeddedLakehouse
from tests.handlers import attach
from tests.programs import wait_until
from tests.tables import column, row_count


class Panic(BaseException):
    """What a panic in Rust looks like from Python: no ``Exception``."""


class Misbehaving(EmbeddedLakehouse):
    """The real engine, which first does what a test wants before or after an append."""

    before: Callable[[], None] = staticmethod(lambda: None)
    after: Callable[[], None] = staticmethod(lambda: None)

    def append(self, *args: Any, **kwargs: Any) -> Commit:
        self.before()
        commit = super().append(*args, **kwargs)
        self.after()
        return commit


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Misbehaving:
    """The engine that handlers made in this test use."""
    engine = Misbehaving()
    monkeypatch.setattr(spectra_logging.lakehouse, "open_lakehouse", lambda *_, **__: engine)
    monkeypatch.setattr("spectra_logging.backoff.FIRST_PAUSE_SECONDS", 0.01)
    return engine


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Where a table would be."""
    return str(tmp_path / "events")


def failing(times: int, error: BaseException) -> Callable[[], None]:
    """A step that raises so many times and then goes through."""
    left = [times]

    def step() -> None:
        if left[0]:
            left[0] -= 1
            raise error

    return step


def test_a_commit_that_succeeds_and_still_raises_is_not_doubled(
    engine: Misbehaving, logger: logging.Logger, table: str
) -> None:
    """The retry asks the table first."""
    engine.after = failing(3, TableUnavailableError("connection lost after the commit"))
    handler = attach(logger, table)
    for n in range(10):
        logger.info("%d", n)
    assert handler.flush(30)
    assert column(table) == [str(n) for n in range(10)]
    assert handler.stats().written == 10


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_panic_of_the_engine_costs_no_record(
    engine: Misbehaving, logger: logging.Logger, table: str, when: str
) -> None:
    """A BaseException neither ends the worker nor loses the batch."""
    setattr(engine, when, failing(2, Panic("called `Option::unwrap()` on a `None` value")))
    handler = attach(logger, table)
    logger.info("kept")
    assert handler.flush(30)
    logger.info("next")
    assert handler.flush(30)
    assert column(table) == ["kept", "next"]


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """As a program in the foreground: one that a script starts with ``&`` ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_interrupts")
def test_a_keyboard_interrupt_on_the_worker_reaches_the_program(
    engine: Misbehaving, logger: logging.Logger, table: str
) -> None:
    """It is not eaten, and the records still land."""
    engine.before = failing(1, KeyboardInterrupt())
    handler = attach(logger, table)
    logger.info("kept")

    def flush_and_wait() -> None:
        handler.flush(30)
        # The interrupt may come a moment after the flush has ended.
        wait_until(lambda: False, 5)

    with pytest.raises(KeyboardInterrupt):
        flush_and_wait()
    assert handler.flush(30)
    assert column(table) == ["kept"]


def test_an_urgent_record_starts_the_thread_that_could_not_be_started_before(
    logger: logging.Logger, table: str
) -> None:
    """As in a container whose limit on threads was reached when the first record came."""
    handler = attach(logger, table)
    before = threading.stack_size(1 << 46)  # more than there are addresses
    try:
        logger.info("first")
    finally:
        threading.stack_size(before)
    assert handler.stats().pending == 1
    logger.error("urgent")
    wait_until(lambda: handler.stats().pending == 0)
    assert column(table) == ["first", "urgent"]


def test_an_unreachable_table_is_told_once_and_when_it_is_back(
    engine: Misbehaving, logger: logging.Logger, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not once a retry."""
    engine.before = failing(5, TableUnavailableError("events: no route to host"))
    handler = attach(logger, table)
    logger.info("kept")
    assert handler.flush(30)
    logger.info("and again")
    assert handler.flush(30)
    told = [r.getMessage() for r in caplog.records if r.name == "spectra_logging"]
    assert len([message for message in told if "no route to host" in message]) == 1
    assert told.count(f"{table} can be written to again") == 1
    assert handler.stats().last_error is None


def test_upkeep_that_fails_is_told_and_done_when_it_is_due_again(
    engine: Misbehaving,
    logger: logging.Logger,
    table: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The writer sees to it after its commits; of its failure no record has to wait."""
    monkeypatch.setattr("spectra_logging.drain.UPKEEP_EVERY_VERSIONS", 1)
    upkeep, fail = engine.upkeep, failing(1, Panic("no entry found for key"))

    def first_fails(table: str) -> UpkeepReport:
        fail()
        return upkeep(table)

    monkeypatch.setattr(engine, "upkeep", first_fails)
    handler = attach(logger, table)
    logger.info("first")
    assert handler.flush(30)
    wait_until(lambda: "no entry found for key" in caplog.text)
    assert f"upkeep of {table} failed" in caplog.text
    assert handler.stats().last_error is None
    logger.info("second")
    assert handler.flush(30)
    wait_until(Path(table, "_delta_log", "_last_checkpoint").exists)
    assert column(table) == ["first", "second"]


def test_nothing_that_is_told_of_a_table_shows_the_password_in_its_address(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """delta-rs takes addresses as they were of old: ``s3://<id>:<secret>@<bucket>/…``."""
    table = "s3://somebody:not-a-secret-key@bucket/log"
    options = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ALLOW_HTTP": "true"}
    options |= {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "not-a-secret-key"}
    handler = attach(
        logger,
        table,
        storage_options={**options, "AWS_REGION": "us-east-1", "max_retries": "0"},
        shutdown_timeout_seconds=0.1,
    )
    logger.error("kept")
    wait_until(lambda: handler.stats().last_error is not None)
    handler.close()
    reporter = handler._writer._reporter
    reporter.tell_recovery()
    reporter.tell_upkeep_failure(TableUnavailableError(f"{table}: not now"))
    reporter.tell_dropped({"disk_full": 1}, "")
    reporter.tell_set_aside(1)
    told = caplog.text + capsys.readouterr().err + repr(handler) + repr(handler.stats())
    assert told.count("s3://somebody:***@bucket/log") >= 7
    assert "not-a-secret-key" not in told


def test_a_journal_that_can_t_be_read_is_told_once_and_when_it_is_back(
    logger: logging.Logger, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder in its state's place stands in for a process out of file descriptors."""
    handler = attach(logger, table)
    logger.info("first")
    assert handler.flush(30)
    state = Path(handler.stats().journal_directory) / "state.json"
    state.unlink()
    state.mkdir()
    logger.info("second")
    for _ in range(5):
        assert not handler.flush(0.1)
    assert "state.json" in (handler.stats().last_error or "")
    state.rmdir()
    assert handler.flush(30)
    told = [r.getMessage() for r in caplog.records if r.name == "spectra_logging"]
    assert len([message for message in told if "state.json" in message]) == 1
    assert len([message for message in told if "can be written to again" in message]) == 1
    assert "spectra-logging-writer" not in "".join(told)
    assert handler.stats().last_error is None
    assert column(table) == ["first", "second"]


def test_a_cleaner_of_old_files_costs_no_record(logger: logging.Logger, table: str) -> None:
    """It goes by age, and would have others take this process for dead.

    The lock's file is kept young; where it is gone, later records go where nobody clears them away.
    """
    handler = attach(logger, table)
    logger.info("first")
    (owner,) = Path(handler.stats().journal_directory).glob("*.owner")
    os.utime(owner, (0, 0))
    # The round that commits the record may have looked at the file before.
    wait_until(lambda: handler.flush(30) and owner.stat().st_mtime > 0)
    owner.unlink()
    for event in ("second", "third", "fourth"):
        logger.info(event)
        assert handler.flush(30)
    assert column(table) == ["first", "second", "third", "fourth"]
    stats = handler.stats()
    assert (stats.emitted, stats.written, stats.dropped) == (4, 4, {})


def test_records_in_a_journal_that_was_removed_are_counted_and_told(
    logger: logging.Logger, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They do not wait, and later ones are kept in a folder made anew."""
    handler = attach(logger, table)
    logger.info("first")
    assert handler.flush(30)
    logger.info("lost")
    shutil.rmtree(handler.stats().journal_directory)
    handler.flush(30)
    stats = handler.stats()
    assert (stats.emitted, stats.written, stats.pending) == (2, 1, 0)
    assert stats.dropped == {"journal_unwritable": 1}
    # The thread says so a moment after it has counted them.
    wait_until(lambda: "was removed (1)" in caplog.text)
    logger.info("later")
    assert find_journals(table) == [Path(handler.stats().journal_directory)]
    assert handler.flush(30)
    assert column(table) == ["first", "later"]
    assert handler.stats().dropped == {"journal_unwritable": 1}


def test_a_journal_that_others_have_made_anew_is_found_by_who_drains_it(
    logger: logging.Logger, table: str
) -> None:
    """A clean-up that leaves empty folders behind leaves none that says whose it is."""
    handler = attach(logger, table)
    logger.info("first")
    assert handler.flush(30)
    folder = Path(handler.stats().journal_directory)
    shutil.rmtree(folder)
    folder.mkdir()
    handler._appender.stay_alive()  # as the thread does, some time later
    logger.info("second")
    assert find_journals(table) == [folder]
    assert drain_journals(table).rows == 1


def test_what_waits_is_told_once_however_often_the_handler_is_closed(
    engine: Misbehaving, logger: logging.Logger, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the program, say, and by logging at the interpreter's exit."""
    engine.before = failing(1000, TableUnavailableError("not now"))
    handler = attach(logger, table, shutdown_timeout_seconds=0.1)
    logger.info("kept")
    handler.close()
    handler.close()
    told = capsys.readouterr().err
    assert told.count("1 records are not yet in") == 1
    assert "the next process that logs to the table with the same spec commits them" in told
    logger.info("kept, too")
    handler.close()
    assert capsys.readouterr().err.count("2 records are not yet in") == 1


def test_a_table_that_is_away_for_long_is_tried_once_a_minute(
    logger: logging.Logger, table: str
) -> None:
    """The pauses grow up to that, and no longer."""
    writer = attach(logger, table)._writer
    pauses = [writer._note_failure(TableUnavailableError("not now")) for _ in range(30)]
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert set(pauses[7:]) == {60.0}


def test_a_close_after_a_short_flush_still_waits_for_a_slow_table(
    engine: Misbehaving, logger: logging.Logger, table: str
) -> None:
    """The time-out of the one is not that of the other."""
    go_on = threading.Event()
    engine.before = go_on.wait  # type: ignore[assignment]
    handler = attach(logger, table, shutdown_timeout_seconds=30.0)
    logger.info("kept")
    assert not handler.flush(0.1)
    threading.Timer(0.2, go_on.set).start()
    handler.close()
    assert handler.stats().written == 1


def test_a_flush_and_a_close_wait_for_no_more_than_the_time_out_together(
    engine: Misbehaving, logger: logging.Logger, table: str
) -> None:
    """As at an exit, where logging does the one and then the other."""
    go_on = threading.Event()
    engine.before = go_on.wait  # type: ignore[assignment]
    handler = attach(logger, table, shutdown_timeout_seconds=2.0)
    logger.info("kept")
    began_at = time.monotonic()
    assert not handler.flush()
    handler.close()
    waited_seconds = time.monotonic() - began_at
    go_on.set()
    assert 2.0 <= waited_seconds < 3.9


def test_reconfiguring_while_the_worker_commits_and_logs_returns_in_time(
    engine: Misbehaving, table: str
) -> None:
    """A worker whose library logs then does not make ``dictConfig`` wait for ever.

    It holds logging's own lock while it closes handlers, which that library wants. No record is
    lost.
    """
    library = logging.getLogger("some.library")
    asked = threading.Event()

    def chatter() -> None:
        asked.set()
        logging.Logger.manager._clear_cache()  # type: ignore[attr-defined]
        for n in range(10):
            library.debug("request %d", n)

    engine.before = engine.after = chatter
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "delta": {
                "class": "spectra_logging.DeltaHandler",
                "table": table,
                "flush_interval_seconds": 0.001,
                "shutdown_timeout_seconds": 20.0,
            }
        },
        "root": {"handlers": ["delta"], "level": "DEBUG"},
    }
    old_level, old_handlers = logging.root.level, logging.root.handlers[:]
    try:
        for n in range(5):
            logging.config.dictConfig(config)
            logging.getLogger("tests.app").info("run %d", n)
            asked.wait(5)
            asked.clear()
        nothing = {"version": 1, "disable_existing_loggers": False}
        finished = threading.Event()

        def configure_nothing() -> None:
            logging.config.dictConfig(nothing)
            finished.set()

        threading.Thread(target=configure_nothing, daemon=True).start()
        assert finished.wait(15), "the worker was not given the lock that it waited for"
    finally:
        logging.root.setLevel(old_level)
        logging.root.handlers[:] = old_handlers
    last = DeltaHandler(table)
    logging.getLogger("tests.writer").addHandler(last)
    logging.getLogger("tests.writer").warning("last")
    assert last.flush(30)
    logging.getLogger("tests.writer").removeHandler(last)
    last.close()
    mine = [event for event in column(table) if event.startswith(("run", "last"))]
    assert Counter(mine) == Counter([*(f"run {n}" for n in range(5)), "last"])


def test_closing_under_logging_s_lock_waits_for_nobody_who_wants_it(
    logger: logging.Logger, table: str
) -> None:
    """The garbage collector does, on whichever thread it runs, and whatever that one holds."""
    handler = attach(logger, table)
    logger.info("kept")
    locked, inside = threading.Event(), threading.Event()
    dead = [logging.NullHandler()]
    dead[0].itself = dead[0]  # type: ignore[attr-defined]

    def close_as_dict_config_does() -> None:
        with logging._lock:  # type: ignore[attr-defined]
            locked.set()
            inside.wait(30)
            handler.flush()
            handler.close()

    def collect_in_the_midst_of_the_handler_s_work() -> None:
        locked.wait(30)
        with handler._appender._lock:
            dead.clear()
            inside.set()
            gc.collect()

    threads = [
        threading.Thread(target=target, daemon=True)
        for target in (close_as_dict_config_does, collect_in_the_midst_of_the_handler_s_work)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert column(table) == ["kept"]


def test_closing_under_logging_s_lock_may_start_a_thread_that_is_collected_on(
    engine: Misbehaving, logger: logging.Logger, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who starts a thread waits until it has begun; the garbage collector may come first there."""
    engine.before = failing(1, TableUnavailableError("not now"))
    handler = attach(logger, table, shutdown_timeout_seconds=0.0)
    logger.info("kept")
    handler.close()
    dead = [logging.NullHandler()]
    dead[0].itself = dead[0]  # type: ignore[attr-defined]
    begin = threading.Thread._bootstrap  # type: ignore[attr-defined]

    def collect_and_begin(thread: threading.Thread) -> None:
        if thread is not closing:
            dead.clear()
            gc.collect()
        begin(thread)

    def close_as_dict_config_does() -> None:
        with logging._lock:  # type: ignore[attr-defined]
            handler.flush(30)
            handler.close()

    closing = threading.Thread(target=close_as_dict_config_does, daemon=True)
    monkeypatch.setattr(threading.Thread, "_bootstrap", collect_and_begin)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    assert column(table) == ["kept"]


def test_threads_that_reconfigure_at_once_do_not_wait_for_each_other_for_ever(
    engine: Misbehaving, logger: logging.Logger, table: str
) -> None:
    """While the one waits for the table, the other may come to the same handler."""
    go_on = threading.Event()
    engine.before = go_on.wait  # type: ignore[assignment]
    handler = attach(logger, table, shutdown_timeout_seconds=30.0)
    logger.info("kept")
    closing = [threading.Event(), threading.Event()]

    class Closed(logging.NullHandler):
        def close(self) -> None:
            next(each for each in closing if not each.is_set()).set()

    after = Closed()  # logging closes the last first

    def shut_down() -> None:
        with logging._lock:  # type: ignore[attr-defined]
            logging.shutdown([weakref.ref(handler), weakref.ref(after)])

    threads = [threading.Thread(target=shut_down, daemon=True) for _ in closing]
    for thread, event in zip(threads, closing, strict=True):
        thread.start()
        assert event.wait(30)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert column(table) == ["kept"]


@pytest.mark.parametrize("names_threads", [True, False])
def test_the_handler_is_not_fed_with_its_own_thread_s_records(
    engine: Misbehaving, table: str, monkeypatch: pytest.MonkeyPatch, names_threads: bool
) -> None:
    """What the worker logs is counted and goes no further; other threads' records land.

    With root at DEBUG, an engine that logs on every append, and a table that fails. Also where
    records do not say which thread they are of.
    """
    monkeypatch.setattr(logging, "logThreads", names_threads)
    library = logging.getLogger("some.library")
    library.setLevel(logging.DEBUG)
    failure = failing(3, TableUnavailableError("not now"))

    def chatter() -> None:
        library.debug("POST /commit")
        failure()

    engine.before = chatter
    handler = DeltaHandler(table, flush_interval_seconds=3600)
    root = logging.getLogger()
    old_level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        logging.getLogger("tests.app").info("mine")
        assert handler.flush(30)
        assert handler.flush(30)
    finally:
        root.removeHandler(handler)
        root.setLevel(old_level)
    stats = handler.stats()
    handler.close()
    assert [event for event in column(table) if event in ("mine", "POST /commit")] == ["mine"]
    assert 4 <= stats.dropped["own_thread"] <= 10
    assert stats.emitted == stats.written + stats.pending + sum(stats.dropped.values())


def test_what_a_finaliser_logs_on_the_handler_s_own_thread_lands(
    engine: Misbehaving, logger: logging.Logger, table: str
) -> None:
    """The garbage collector runs it there by chance; asyncio's tasks complain that way, too."""
    loop = asyncio.new_event_loop()

    class LogsWhenCollected:
        def __del__(self) -> None:
            logger.error("finaliser")

    async def fail() -> None:
        raise ValueError("nobody asks")

    def collect() -> None:
        left.clear()

    left = [LogsWhenCollected(), loop.create_task(fail())]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    engine.before = collect
    handler = attach(logger, table, flush_interval_seconds=3600)
    asyncio_logger = logging.getLogger("asyncio")
    asyncio_logger.addHandler(handler)
    try:
        logger.info("call")
        assert handler.flush(30)
        assert handler.flush(30)
    finally:
        asyncio_logger.removeHandler(handler)
    landed = Counter(event.splitlines()[0] for event in column(table))
    assert landed == {"call": 1, "finaliser": 1, "Task exception was never retrieved": 1}
    assert handler.stats().dropped == {}


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest", "block"])
def test_a_finaliser_on_the_handler_s_own_thread_never_waits_for_room(
    engine: Misbehaving, logger: logging.Logger, table: str, when_full: str
) -> None:
    """That thread is the one that makes room, and a log call that waits for it has the lock."""
    handler = attach(
        logger,
        table,
        when_full=when_full,
        block_timeout_seconds=30,
        journal_max_bytes=1 << 20,
        flush_interval_seconds=0.001,
    )

    collected = [0]

    class LogsWhenCollected:
        def __del__(self) -> None:
            logger.info("finaliser", extra={"pad": "x" * 10_000})
            collected[0] += 1

    batches = iter(range(5))

    def collect() -> None:
        if next(batches, None) is not None:
            for _ in range(50):
                LogsWhenCollected()

    engine.before = collect
    for n in range(400):
        logger.info("%d", n, extra={"pad": "x" * 10_000})
    # The last of the batches that log anew while they are committed.
    wait_until(lambda: handler.flush(60) and handler.stats().pending == 0, 60)
    stats = handler.stats()
    assert stats.emitted == 400 + collected[0] == stats.written + sum(stats.dropped.values())
    assert set(stats.dropped) <= {"journal_full"}
    assert stats.written == row_count(table)
    if when_full == "block":
        assert len(set(column(table)) - {"finaliser"}) == 400


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest", "block"])
def test_an_overload_on_a_slow_table_stays_within_its_bytes_and_is_counted(
    engine: Misbehaving, logger: logging.Logger, table: str, when_full: str
) -> None:
    """Under every policy: the journal's size is capped, and the figures agree with the table."""
    gate = threading.Event()
    engine.before = lambda: (gate.wait(60), None)[1]
    handler = attach(
        logger,
        table,
        when_full=when_full,
        block_timeout_seconds=0.01,
        journal_max_bytes=1 << 20,
        flush_interval_seconds=0.001,
    )
    journal = Path(handler.stats().journal_directory)
    largest = 0
    count = 200 if when_full == "block" else 600
    for n in range(count):
        logger.info("%d", n, extra={"pad": "x" * 10_000})
        largest = max(largest, sum(p.stat().st_size for p in journal.glob("*.ndjson")))
    gate.set()
    assert handler.flush(60)
    stats = handler.stats()
    assert largest <= 1 << 20
    assert stats.emitted == count
    assert stats.pending == 0
    assert stats.dropped["journal_full"] > 0
    assert stats.written == row_count(table) == count - stats.dropped["journal_full"]
    assert len(set(column(table))) == stats.written


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest", "block"])
def test_a_journal_that_fills_is_committed_before_anything_gives_way(
    logger: logging.Logger, table: str, when_full: str
) -> None:
    """The interval is how long a record may wait, not how long one must while there is no room."""
    handler = attach(
        logger,
        table,
        when_full=when_full,
        journal_max_bytes=1 << 20,
        flush_interval_seconds=3600,
    )
    for n in range(300):
        logger.info("%d", n, extra={"pad": "x" * 10_000})
        # There is room for a hundred, and half of that has a commit begun.
        wait_until(lambda: handler.stats().pending <= 60)
    assert handler.flush(30)
    assert not handler.stats().dropped
    assert row_count(table) == 300


def test_records_that_find_no_room_are_told_once_while_it_lasts_and_at_the_end(
    engine: Misbehaving,
    logger: logging.Logger,
    table: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody asks a handler for its figures in the night."""

    def refuse() -> None:
        raise TableUnavailableError("not now")

    def told() -> list[str]:
        messages = [record.getMessage() for record in caplog.records]
        return [message for message in messages if "were dropped" in message]

    engine.before = refuse
    handler = attach(logger, table, when_full="drop_newest", journal_max_bytes=1 << 20)
    for n in range(2):
        for _ in range(200):
            logger.info("%d", n, extra={"pad": "x" * 10_000})
        assert not handler.flush(0.1)
        wait_until(lambda: len(told()) > 0)
    (message,) = told()
    assert "the journal is at its journal_max_bytes" in message
    dropped = handler.stats().dropped["journal_full"]
    logger.removeHandler(handler)
    for _ in range(2):
        handler.close()
    assert capsys.readouterr().err.count(f"journal_max_bytes ({dropped})") == 1


@pytest.mark.parametrize("when_full", ["drop_oldest", "drop_newest"])
def test_a_journal_that_others_left_full_is_drained_for_those_after_them(
    engine: Misbehaving,
    logger: logging.Logger,
    table: str,
    monkeypatch: pytest.MonkeyPatch,
    when_full: str,
) -> None:
    """Else a process that finds no room for its first record would never make any."""
    monkeypatch.setattr("spectra_logging.journal.roller.RETRY_SECONDS", 0.0)
    monkeypatch.setattr("spectra_logging.backoff.FIRST_PAUSE_SECONDS", 3600.0)

    def refuse() -> None:
        raise TableUnavailableError("not now")

    engine.before = refuse
    options: dict[str, Any] = {"when_full": when_full, "journal_max_bytes": 1 << 20}
    before = attach(logger, table, shutdown_timeout_seconds=0.0, **options)
    for n in range(200):
        logger.info("%d", n, extra={"pad": "x" * 10_000})
    wait_until(lambda: before.stats().last_error is not None)
    left = before.stats().pending
    logger.removeHandler(before)
    before.close()
    engine.before = lambda: None
    handler = attach(logger, table, flush_interval_seconds=0.01, **options)
    logger.info("first")
    assert handler.stats().dropped == {"journal_full": 1}
    wait_until(lambda: handler.stats().left_behind == left)
    logger.info("second")
    assert handler.flush(60)
    assert "second" in column(table)


def test_new_storage_options_are_tried_at_once(
    engine: Misbehaving, logger: logging.Logger, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when the pause after a failure is over, which the old token's end had made long."""
    monkeypatch.setattr("spectra_logging.backoff.FIRST_PAUSE_SECONDS", 3600.0)

    def refuse() -> None:
        raise TableUnavailableError("the token is over")

    engine.before = refuse
    handler = attach(logger, table, flush_interval_seconds=0.01)
    logger.info("first")
    worker = handler._writer._worker
    wait_until(lambda: handler.stats().last_error is not None)
    wait_until(lambda: math.isfinite(worker._next_round_at_seconds))
    engine.before = lambda: None
    handler.renew_storage_options({"bearer_token": "new"})
    wait_until(lambda: handler.stats().written == 1)


def test_a_flush_tries_again_at_once(
    engine: Misbehaving, logger: logging.Logger, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when the pause after a failure is over: who waits may have made the table reachable."""
    monkeypatch.setattr("spectra_logging.backoff.FIRST_PAUSE_SECONDS", 3600.0)
    engine.before = failing(1, TableUnavailableError("not now"))
    handler = attach(logger, table, flush_interval_seconds=0.01)
    logger.info("kept")
    worker = handler._writer._worker
    wait_until(lambda: handler.stats().last_error is not None)
    wait_until(lambda: math.isfinite(worker._next_round_at_seconds))
    assert handler.flush(30)
    assert column(table) == ["kept"]


def test_each_interval_s_records_land_without_a_flush(logger: logging.Logger, table: str) -> None:
    """A commit of one's own is no reason to wait for another process's."""
    handler = attach(logger, table, flush_interval_seconds=0.01)
    for n in range(1, 4):
        logger.info("%d", n)
        wait_until(lambda n=n: handler.stats().written == n)  # type: ignore[misc]
    assert column(table) == ["1", "2", "3"]


def test_a_flush_while_another_process_drains_waits_for_its_turn(
    logger: logging.Logger, table: str
) -> None:
    """What the other one commits need not be all that this flush is for."""
    handler = attach(logger, table)
    other = FileLock(Path(handler.stats().journal_directory, DRAIN_LOCK))
    assert other.acquire()
    logger.info("kept")
    settled: list[bool] = []
    flushing = threading.Thread(target=lambda: settled.append(handler.flush(60)))
    flushing.start()
    # The second round is one that the first, in which the lock was held, has asked for.
    wait_until(lambda: handler._writer._rounds_begun >= 2)
    other.release()
    flushing.join()
    assert settled == [True]
    assert column(table) == ["kept"]


def test_who_committed_last_goes_on_doing_it(logger: logging.Logger, table: str) -> None:
    """The others wait for two intervals, and so load no engine while it lives."""
    other = logging.Logger("other")
    first, second = attach(logger, table), attach(other, table)
    for to, handler in ((logger, first), (other, second)):
        to.warning("kept")
        assert handler.flush(30)
        # A look at what has been committed until then.
        assert 3500 < handler._writer._seconds_until_due() < 3601
    assert 7100 < first._writer._seconds_until_due() < 7201
    second.close()


def test_logging_from_a_finaliser_and_a_signal_handler_lands(
    engine: Misbehaving, logger: logging.Logger, table: str
) -> None:
    """In the middle of other log calls: nothing deadlocks, nothing is lost."""
    handler = attach(logger, table, flush_interval_seconds=0.01)
    collected: list[int] = []

    class LogsWhenCollected:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            logger.info("finaliser")
            collected.append(1)

    def on_signal(*_: object) -> None:
        logger.info("signal")

    old = signal.signal(signal.SIGALRM, on_signal)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(2000):
            LogsWhenCollected()
            logger.info("call")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)

    def all_are_collected() -> bool:
        gc.collect()  # does nothing while another thread is at it
        return len(collected) == 2000

    wait_until(all_are_collected)
    assert handler.flush(60)
    stats = handler.stats()
    landed = Counter(column(table))
    assert landed["call"] == landed["finaliser"] == 2000
    assert landed["signal"] > 0
    assert stats.written == stats.emitted == sum(landed.values())


def test_a_batch_of_awkward_records_lands_whole(table: str) -> None:
    """Wrong arguments, raising repr, cycles, surrogates, NUL, huge numbers, NaN, 50 MB of text."""

    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    cyclic: dict[str, object] = {}
    cyclic["me"] = cyclic
    mutable = {"n": 1}
    # Not one of the manager's, to which pytest adds a handler that does raise.
    logger = logging.Logger("tests.awkward")
    handler = attach(logger, table)
    logger.info("first")
    logger.info("%d %d", 1)  # noqa: PLE1206
    logger.info("%s", Unprintable())
    logger.info("cycle", extra={"cyclic": cyclic, "unprintable": Unprintable()})
    logger.info("surrogate \ud800 and NUL \0", extra={"\ud800": "\ud800"})
    logger.info("numbers", extra={"huge": 1 << 100, "nan": float("nan"), "line": 1 << 40})
    logger.info("%s", "long " + "x" * (50 << 20))
    logger.info("changed", extra={"mutable": mutable})
    mutable["n"] = 2
    logger.info("last")
    assert handler.flush(60)
    assert handler.stats().quarantined == 0
    events = column(table)
    assert [event[:9] for event in events] == [
        "first",
        "%d %d",
        "%s",
        "cycle",
        "surrogate",
        "numbers",
        "long xxxx",
        "changed",
        "last",
    ]
    assert len(events[6]) == 5 + (50 << 20)
    assert '"n":1' in column(table, "context")[7]
    handler.close()


def test_no_descriptor_or_thread_is_left_behind(logger: logging.Logger, table: str) -> None:
    """Handlers made and closed again and again leak nothing."""
    fds = Path("/proc/self/fd")
    if not fds.is_dir():
        pytest.skip("this platform does not list a process's descriptors")
    warm = attach(logger, table)
    logger.info("warm")
    assert warm.flush(30)
    logger.removeHandler(warm)
    warm.close()
    threads, descriptors = threading.active_count(), len(os.listdir(fds))
    for n in range(10):
        handler = attach(logger, table)
        logger.info("%d", n)
        logger.removeHandler(handler)
        handler.close()
    assert threading.active_count() == threads
    assert len(os.listdir(fds)) <= descriptors + 1
    assert row_count(table) == 11
