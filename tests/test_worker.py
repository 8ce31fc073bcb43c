"""A worker begins its rounds when it is asked to, and is not disturbed for nothing."""

from __future__ import annotations

import logging
import logging.handlers
import math
import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spectra_logging.feedback import is_from_worker, log_from_worker
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.worker import Signal, Worker
from tests.programs import run_program, wait_until
from tests.tables import column

HOUR_SECONDS = 3600.0


class Rounds:
    """A worker that tells of its rounds, and waits after each, for an hour by default."""

    def __init__(self, delay_seconds: float = HOUR_SECONDS) -> None:
        self._delay_seconds = delay_seconds
        self._begun: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.count = 0
        self.worker = Worker("tests", self._round)

    def _round(self) -> float:
        self.count += 1
        self._begun.put(self.count)
        return self._delay_seconds

    def wait_for_next(self) -> None:
        """Until a round is over and the thread waits."""
        self._begun.get(timeout=30)
        wait_until(lambda: math.isfinite(self.worker._next_round_at_seconds))


@pytest.fixture
def rounds() -> Iterator[Rounds]:
    made = Rounds()
    yield made
    assert made.worker.stop(30)


def test_who_asks_for_a_round_starts_the_thread(rounds: Rounds) -> None:
    """Nobody has to start it before."""
    rounds.worker.wake_by(time.monotonic() + 2 * HOUR_SECONDS)
    rounds.wait_for_next()
    assert rounds.worker.running


def test_a_thread_that_waits_for_longer_is_woken(rounds: Rounds) -> None:
    """Its next round would begin after the moment asked for."""
    rounds.worker.ensure_started()
    rounds.wait_for_next()
    rounds.worker.wake_by(time.monotonic() + HOUR_SECONDS / 2)
    rounds.wait_for_next()
    assert rounds.count == 2


def test_a_thread_that_looks_in_time_anyway_is_not_woken(rounds: Rounds) -> None:
    """Not once in a thousand calls: waking takes as long as much of a log call."""
    rounds.worker.ensure_started()
    rounds.wait_for_next()
    for _ in range(1000):
        rounds.worker.wake_by(time.monotonic() + 2 * HOUR_SECONDS)
        assert rounds.worker._wakes.empty()
    assert rounds.count == 1


def test_a_thread_that_was_stopped_is_started_anew(rounds: Rounds) -> None:
    """By the next who asks for a round."""
    rounds.worker.ensure_started()
    rounds.wait_for_next()
    assert rounds.worker.stop(30)
    rounds.worker.wake_by(time.monotonic() + 2 * HOUR_SECONDS)
    rounds.wait_for_next()
    assert rounds.worker.running


def test_what_a_dead_thread_or_another_process_logged_under_a_worker_s_ident_is_not_the_worker_s(
    rounds: Rounds,
) -> None:
    """The system gives a worker the ident of a thread that has ended."""
    rounds.worker.ensure_started()
    rounds.wait_for_next()
    (worker,) = (thread for thread in threading.enumerate() if thread.name == "tests")
    own = {"thread": worker.ident, "threadName": "tests", "process": os.getpid()}
    assert is_from_worker(logging.makeLogRecord(own))
    assert is_from_worker(logging.makeLogRecord({**own, "process": None}))
    assert not is_from_worker(logging.makeLogRecord({**own, "threadName": "Thread-1"}))
    assert not is_from_worker(logging.makeLogRecord({**own, "process": os.getpid() + 1}))


def test_a_thread_that_is_to_wait_for_ages_waits_and_can_be_woken() -> None:
    """Python's own waits overflow there."""
    rounds = Rounds(delay_seconds=1e12)
    rounds.worker.ensure_started()
    rounds.wait_for_next()
    rounds.worker.wake()
    rounds.wait_for_next()
    assert rounds.worker.stop(30)
    assert rounds.count == 2


def test_a_filter_that_raises_on_a_worker_s_own_warning_does_not_reach_the_worker(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was to be logged is told on stderr instead."""

    def needs_tenant(record: logging.LogRecord) -> bool:
        return bool(record.tenant)  # type: ignore[attr-defined]

    logger = logging.getLogger("spectra_logging")
    logger.addFilter(needs_tenant)
    try:
        log_from_worker(logging.WARNING, "the table is away")
    finally:
        logger.removeFilter(needs_tenant)
    assert "the table is away" in capsys.readouterr().err


def test_a_filter_that_lets_no_message_pass_twice_lets_a_worker_s_warning_be_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It counts a warning as one, whether handlers show it or stderr does."""
    seen = set[str]()

    def is_new(record: logging.LogRecord) -> bool:
        known = record.getMessage() in seen
        seen.add(record.getMessage())
        return not known

    logger = logging.getLogger("spectra_logging")
    handler = DeltaHandler(str(tmp_path / "events"))
    logger.propagate = False
    logger.addFilter(is_new)
    logger.addHandler(handler)
    try:
        for _ in range(2):
            log_from_worker(logging.WARNING, "the table is away")
    finally:
        logger.propagate = True
        logger.removeFilter(is_new)
        logger.removeHandler(handler)
        handler.close()
    assert capsys.readouterr().err == "spectra_logging: the table is away\n"


@pytest.mark.parametrize("passes_on_by", ["target", "listener"])
def test_a_worker_s_warning_is_told_where_another_handler_passes_on_to_ours_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], passes_on_by: str
) -> None:
    """A buffer, or a queue as ``dictConfig`` makes it from Python 3.12 on, shows nobody a thing."""
    ours = DeltaHandler(str(tmp_path / "events"))
    front: logging.Handler
    if passes_on_by == "target":
        front = logging.handlers.MemoryHandler(10, target=ours)
    else:
        front = logging.handlers.QueueHandler(queue.SimpleQueue())
        # An attribute from Python 3.12 on.
        vars(front)["listener"] = logging.handlers.QueueListener(front.queue, ours)
    logger = logging.getLogger("spectra_logging")
    logger.propagate = False
    logger.addHandler(front)
    try:
        log_from_worker(logging.WARNING, "the table is away")
    finally:
        logger.propagate = True
        logger.removeHandler(front)
        front.close()
        ours.close()
    assert capsys.readouterr().err == "spectra_logging: the table is away\n"


class Window:
    """A stderr that shows what is written to it, and takes nothing from other threads."""

    def write(self, _text: str) -> None:
        raise RuntimeError("main thread is not in main loop")


def test_a_stderr_that_raises_costs_no_thread_and_no_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tkinter's widgets do, which some programs put in its place."""
    (tmp_path / "file").touch()
    handler = DeltaHandler(
        str(tmp_path / "file" / "events"), flush_interval_seconds=0.01, shutdown_timeout_seconds=0.1
    )
    logger = logging.getLogger("spectra_logging")
    logger.propagate = False
    logger.addHandler(handler)
    monkeypatch.setattr("sys.stderr", Window())
    try:
        handler.emit(logging.makeLogRecord({"msg": "first", "levelno": logging.INFO}))
        wait_until(lambda: handler.stats().last_error is not None)
    finally:
        logger.propagate = True
        logger.removeHandler(handler)
        handler.close()


def test_a_worker_is_silent_where_logging_is_disabled(caplog: pytest.LogCaptureFixture) -> None:
    """By ``logging.disable``, as for any other call of a level that it names."""
    logging.disable(logging.WARNING)
    try:
        log_from_worker(logging.WARNING, "the table is away")
        log_from_worker(logging.ERROR, "a round failed")
    finally:
        logging.disable(logging.NOTSET)
    assert caplog.messages == ["a round failed"]


@pytest.mark.parametrize("others", [[], [logging.NullHandler()]])
def test_a_worker_s_warning_that_only_our_handlers_would_get_is_told_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], others: list[logging.Handler]
) -> None:
    """They take no record of a worker's; any other handler is the program's own choice."""
    logger = logging.getLogger("spectra_logging")
    handlers = [DeltaHandler(str(tmp_path / "events")), *others]
    logger.propagate, logger.disabled = False, True
    try:
        for handler in handlers:
            logger.addHandler(handler)
        log_from_worker(logging.INFO, "the engine was chosen")
        log_from_worker(logging.WARNING, "the table is away: password=correct-horse")
    finally:
        logger.propagate = True
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
    told = "" if others else "spectra_logging: the table is away: password=***\n"
    assert capsys.readouterr().err == told


def test_a_signal_handler_may_wait_for_a_worker_while_its_thread_holds_the_lock() -> None:
    """It runs on top of whatever the thread was at, and would wait for it for ever."""
    signal = Signal()

    def hold_and_wait() -> None:
        with signal.lock:
            signal.notify()
            signal.wait(0.0)

    thread = threading.Thread(target=hold_and_wait, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


PATCHED_LATE = """
handler = DeltaHandler(table, flush_interval_seconds=3600)
from gevent import monkey
monkey.patch_all()
logger.addHandler(handler)
logger.info("first")
assert handler.flush(30), handler.stats()
logger.info("second")
"""


def test_a_thread_that_gevent_makes_a_greenlet_stops_nobody_else(tmp_path: Path) -> None:
    """As in gunicorn, which loads a program before it forks workers that gevent has patched."""
    done = run_program(PATCHED_LATE, tmp_path / "events")
    assert done.returncode == 0, done.stderr
    assert column(tmp_path / "events") == ["first", "second"]
