"""The writer: when this process drains, on which thread, and what happens when it fails."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

from spectra_logging.errors import SpectraError
from spectra_logging.journal.appender import Appender
from spectra_logging.journal.ledger import Position
from spectra_logging.journal.state import StateFile
from spectra_logging.lakehouse.choice import EngineChoice
from spectra_logging.stats import CommitFigures
from spectra_logging.worker import POLL_SECONDS, Signal, Worker, log_from_worker

if TYPE_CHECKING:
    from spectra_logging.drain import Drainer, DrainReport

__all__ = ["Writer"]

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 60.0

_VOLATILE = re.compile(r"[0-9a-fA-F]*\d[\w.:-]*")
"""What differs in an error's text from one attempt to the next: times taken, ids of requests."""


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
        self._seen_batch = -1
        self._committed_here = True
        self._last_commit_seconds = time.monotonic()
        self._failures = 0
        self._retry_at_seconds = 0.0
        self._told_kind: str | None = None
        self._told_choice: EngineChoice | None = None
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

    def ensure_started(self) -> bool:
        """Start the thread unless it runs; ``False`` where Python starts no more threads."""
        return self._worker.ensure_started()

    def request_commit(self) -> None:
        """Commit now rather than at the interval's end; returns at once."""
        self._urgent = True
        self._worker.wake()

    def wait_until_settled(self, position: Position, timeout_seconds: float) -> bool:
        """Have everything before a position committed, by whichever process.

        Returns:
            Whether that has happened within the time-out.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._changed.lock:
            self._waiting += 1
        try:
            if self._worker.running:
                self._retry_at_seconds = 0.0  # somebody waits: don't sit out the pause
                self.request_commit()
            while not self._appender.is_settled(position):
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
        wait_seconds = self._seconds_until_due()
        if wait_seconds > 0:
            return wait_seconds
        self._urgent = False
        self._draining = True
        try:
            busy = self._drain()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - Rust panics derive from BaseException
            return self._note_failure(error)
        finally:
            self._tell_choice()
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
        if now < self._retry_at_seconds:
            return self._retry_at_seconds - now
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
                log_from_worker(
                    logging.WARNING,
                    f"{report.quarantined} damaged or unfit pieces of the journal were set aside "
                    "in its folder quarantine",
                )
            if report.left_behind:
                self._note_left_behind(report)
            self._appender.reclaim()
        if self._failures:
            log_from_worker(logging.WARNING, "the table can be written to again")
        self._failures, self._retry_at_seconds = 0, 0.0
        self.last_error = self._told_kind = None
        self._committed_here = True
        self._last_commit_seconds = time.monotonic()
        return False

    def _note_left_behind(self, report: DrainReport) -> None:
        self.left_behind += report.left_behind
        self.unrecorded_runs += report.unrecorded_runs
        # No warning: forked and short-lived processes leave their records to others as a rule.
        log_from_worker(
            logging.INFO,
            f"{report.left_behind} records that a process had left in the journal when it ended "
            "are in the table now",
        )

    def _tell_choice(self) -> None:
        choice = self._drainer.choice
        if choice is not None and choice != self._told_choice:
            self._told_choice = choice
            log_from_worker(
                logging.DEBUG if choice.is_usual else logging.INFO,
                f"{self._drainer.table} is written by engine {choice.engine}: {choice.reason}",
            )

    def _note_failure(self, error: BaseException) -> float:
        """Say what failed, once per kind of failure, and when it is tried again."""
        told = f"{type(error).__name__}: {error}"
        kind = _VOLATILE.sub("", told)
        if kind != self._told_kind:
            kept = "the records stay journalled and the commit is tried again"
            log_from_worker(
                logging.WARNING,
                f"{told}; {kept}",
                exc_info=not isinstance(error, SpectraError),
            )
        self.last_error, self._told_kind = told, kind
        doubled = FIRST_RETRY_SECONDS * (1 << min(self._failures, 10))
        pause_seconds = min(LAST_RETRY_SECONDS, doubled)
        self._failures += 1
        self._retry_at_seconds = time.monotonic() + pause_seconds
        self._urgent = True
        return pause_seconds

    def _do_upkeep(self) -> None:
        try:
            self._drainer.upkeep()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - Rust panics derive from BaseException
            log_from_worker(
                logging.WARNING, f"upkeep of the table failed: {type(error).__name__}: {error}"
            )
