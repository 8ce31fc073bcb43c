"""The writer under engines that misbehave: real tables, with one thing gone wrong at a time."""

from __future__ import annotations

import asyncio
import gc
import logging
import logging.config
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import spectra_logging.lakehouse
from spectra_logging.errors import TableUnavailableError
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.lakehouse.base import Commit
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
    monkeypatch.setattr("spectra_logging.writer.FIRST_RETRY_SECONDS", 0.01)
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


def test_an_unreachable_table_is_told_once_and_when_it_is_back(
    engine: Misbehaving, logger: logging.Logger, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not once a retry."""
    engine.before = failing(5, TableUnavailableError("events: no route to host"))
    handler = attach(logger, table)
    logger.info("kept")
    assert handler.flush(30)
    told = [r.getMessage() for r in caplog.records if r.name == "spectra_logging"]
    assert len([message for message in told if "no route to host" in message]) == 1
    assert len([message for message in told if "can be written to again" in message]) == 1
    assert handler.stats().last_error is None


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
                "shutdown_timeout_seconds": 0.5,
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
        thread = threading.Thread(
            target=lambda: (logging.config.dictConfig(nothing), finished.set()), daemon=True
        )
        thread.start()
        assert finished.wait(30)
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


def test_the_handler_is_not_fed_with_its_own_thread_s_records(
    engine: Misbehaving, table: str
) -> None:
    """What the worker logs is counted and goes no further; other threads' records land.

    With root at DEBUG, an engine that logs on every append, and a table that fails.
    """
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
