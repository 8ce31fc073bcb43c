"""The writer: when this process drains, on which thread, and what happens when it fails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from spectra_logging.backoff import Backoff
from spectra_logging.journal.appender import Appender
from spectra_logging.journal.ledger import Position
from spectra_logging.journal.state import StateFile
from spectra_logging.lakehouse.choice import EngineChoice
from spectra_logging.reporter import Reporter
from spectra_logging.worker import POLL_SECONDS, Signal, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from spectra_logging.drain import Drainer
    from spectra_logging.lakehouse.base import Lakehouse
    from spectra_logging.stats import CommitFigures

__all__ = ["Writer"]


class Writer:
    """Drains a journal from a background thread, in turn with the other processes that do.

    All processes on a journal have such a thread, and one commit an interval serves them all: who
    committed last goes on doing it, and the others step in when an interval has passed without a
    commit. So a killed process's part is taken over, and only one process loads an engine.

    Args:
        appender: This process's side of the journal.
        drainer: Its way to the table.
        state_file: The journal's state, to see what other processes have committed.
        flush_interval_seconds: Longest that a record waits, other than for a table that fails.
    """

    def __init__(
        self,
        appender: Appender,
        drainer: Drainer,
        state_file: StateFile,
        *,
        flush_interval_seconds: float,
    ) -> None:
        self._appender = appender
        self._drainer = drainer
        self._state_file = state_file
        self._interval_seconds = flush_interval_seconds
        self._worker = Worker("spectra-logging-writer", self._round)
        self._begin()

    def _begin(self) -> None:
        self._changed = Signal()
        self._waiting = 0
        self._urgent = False
        self._draining = False
        self._rounds_begun = 0
        self._drained_round = 0
        self.has_forked = False  # set by the handler: children may have left records
        self._seen_batch = -1
        self._committed_here = True
        self._last_commit_seconds = time.monotonic()
        self._backoff = Backoff()
        self._reporter = Reporter(self._drainer.table, self._drainer.directory)
        self.last_error: str | None = None
        self.last_commit: CommitFigures | None = None
        self.left_behind = 0
        self.unrecorded_runs: tuple[str, ...] = ()

    def after_fork_in_child(self) -> None:
        """Begin anew: the parent's waiters, failures and commits are not the child's."""
        self._begin()

    @property
    def choice(self) -> EngineChoice | None:
        """The engine in use and why; ``None`` until this process has drained."""
        return self._drainer.choice

    @property
    def delivery(self) -> str | None:
        """What that engine promises of a row; ``None`` until this process has drained."""
        return self._drainer.delivery

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self._worker.running

    @property
    def stopped(self) -> bool:
        """Whether the thread has been told to stop, and has not been started since."""
        return self._worker.stopped

    def reopen(self, open_engine: Callable[[], Lakehouse]) -> None:
        """Reach the table through another engine from the next commit on, and don't put that off.

        The last one may have failed for what this engine has anew.
        """
        self._drainer.reopen(open_engine)
        self._backoff.cut_short()
        self._worker.wake()

    def ensure_started(self) -> bool:
        """Start the thread unless it runs; ``False`` where Python starts no more threads."""
        return self._worker.ensure_started()

    def request_commit(self) -> None:
        """Commit now rather than at the interval's end; returns at once."""
        self._urgent = True
        self._worker.wake()

    def bring_forward(self) -> None:
        """As :meth:`request_commit`, unless one is due anyway: where commits fail, it is no use."""
        if not self._urgent:
            self.request_commit()

    def wait_until_settled(self, position: Position, timeout_seconds: float) -> bool:
        """Have everything before a position committed, by whichever process.

        After a fork the children's records are waited for too: all that the journal holds by now.

        Returns:
            Whether that has happened within the time-out.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._changed.lock:
            self._waiting += 1
        wanted_round = self._rounds_begun + 1 if self.has_forked else 0
        try:
            if self._worker.running:
                self._backoff.cut_short()
                self.request_commit()
            while not self._appender.is_settled(position) or (
                self._drained_round < wanted_round and self._worker.running
            ):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, POLL_SECONDS))
            # The figures are renewed a moment after the commit.
            while self._draining and time.monotonic() < deadline:
                self._changed.wait(POLL_SECONDS)
            return True
        finally:
            with self._changed.lock:
                self._waiting -= 1

    def stop(self, timeout_seconds: float) -> bool:
        """End the thread; ``False`` when it is still in a commit after that time."""
        return self._worker.stop(timeout_seconds)

    # -- on the thread -----------------------------------------------------------------------

    def _round(self) -> float:
        """One look at the journal; returns the seconds until the next."""
        self._appender.reclaim()
        self._appender.stay_alive()
        self._reporter.tell_dropped(self._appender.dropped(), self._appender.why_unwritable())
        try:
            wait_seconds = self._seconds_until_due()
        except OSError as error:  # too many files are open, say
            return self._note_failure(error)
        if wait_seconds > 0:
            return wait_seconds
        self._urgent = False
        self._draining = True
        self._rounds_begun += 1
        try:
            busy = self._drain()
            if not busy:
                self._drained_round = self._rounds_begun
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - Rust panics derive from BaseException
            return self._note_failure(error)
        finally:
            self._reporter.tell_choice(self._drainer.choice)
            self._draining = False
            self._changed.notify()
        if busy:
            self._urgent |= self._waiting > 0
            return POLL_SECONDS if self._waiting else self._interval_seconds
        self._do_upkeep()
        return self._interval_seconds

    def _seconds_until_due(self) -> float:
        now = time.monotonic()
        state = self._state_file.load()
        newest = state.committed_batch if state else 0
        if newest != self._seen_batch:
            self._committed_here = self._seen_batch < 0
            self._seen_batch = newest
            self._last_commit_seconds = now
        if pause_seconds := self._backoff.seconds_left():
            return pause_seconds
        if self._urgent:
            return 0.0
        patience_seconds = self._interval_seconds * (1 if self._committed_here else 2)
        return self._last_commit_seconds + patience_seconds - now

    def _drain(self) -> bool:
        """Drain if there is anything; returns whether another process is at it."""
        if self._drainer.has_records():
            report = self._drainer.drain()
            if report.busy:
                return True
            if report.last_commit is not None:
                self.last_commit = report.last_commit
                self._seen_batch = report.last_commit.batch
            if report.quarantined:
                self._reporter.tell_set_aside(report.quarantined)
            if report.left_behind:
                self.left_behind += report.left_behind
                self.unrecorded_runs += report.unrecorded_runs
                self._reporter.tell_left_behind(report.left_behind)
            self._appender.reclaim()
        if self._backoff.failing:
            self._reporter.tell_recovery()
        self._backoff.succeed()
        self.last_error = None
        self._committed_here = True
        self._last_commit_seconds = time.monotonic()
        return False

    def _note_failure(self, error: BaseException) -> float:
        """Have it told what failed; returns the seconds until it is tried again."""
        self.last_error = self._reporter.tell_failure(error)
        self._urgent = True
        return self._backoff.fail()

    def _do_upkeep(self) -> None:
        try:
            self._drainer.upkeep()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - Rust panics derive from BaseException
            self._reporter.tell_upkeep_failure(error)
