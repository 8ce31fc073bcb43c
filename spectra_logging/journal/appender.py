"""The append side of a journal: who appends when, whatever comes in the middle of it."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from spectra_logging.feedback import worker_idents
from spectra_logging.forks import at_fork
from spectra_logging.journal.ledger import AppenderFigures, Position
from spectra_logging.journal.roller import Roller

__all__ = ["Appender", "append_early"]

_T = TypeVar("_T")

LOOK_SECONDS = 0.05
"""How often "block" looks whether there is room."""


class Appender:
    """Appends lines to this process's segments in a journal folder.

    Safe to call from any thread, from a signal handler and from a finaliser that runs in the
    middle of an append. A forked child gets a segment and figures of its own.

    Args:
        directory: The journal's folder; it must exist.
        max_bytes: What all segments in the folder may take up together.
        when_full: ``drop_oldest``, ``drop_newest`` or ``block``.
        block_timeout_seconds: How long ``block`` waits before the record is dropped after all.
        on_segment: Called, with no lock held, when a record has not found room in the segment at
            hand: the moment to see that somebody will drain it, or make room, or tell of it.
        on_filling: Called thereafter when the journal is half full: the moment to drain it, while
            nothing has to give way yet.
        make_folder: Makes the folder again where it has been removed; without it, records are
            dropped from then on.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int,
        when_full: str,
        block_timeout_seconds: float,
        on_segment: Callable[[], None],
        on_filling: Callable[[], None] = lambda: None,
        make_folder: Callable[[], None] | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._longest_wait_seconds = block_timeout_seconds if when_full == "block" else 0.0
        self._on_segment = on_segment
        self._on_filling = on_filling
        self._make_roller = partial(
            Roller, directory, max_bytes=max_bytes, when_full=when_full, make_folder=make_folder
        )
        self._begin()
        _appenders.add(self)

    def _begin(self) -> None:
        """The state of a process that has appended nothing yet."""
        self._process_id = os.getpid()
        self._early: deque[bytes] = deque()
        self._roller = self._make_roller()
        self._ledger = self._roller.ledger
        self._lock = threading.RLock()
        self._calls: dict[int, threading.RLock] = {}
        self._reentered: deque[bytes] = deque()
        self._write: Callable[[bytes], int] = _no_segment
        self._times_closed = 0

    # -- appending ---------------------------------------------------------------------------

    def append(self, line: bytes) -> None:
        """Append one record: when this returns, ``kill -9`` can't lose it any more.

        Args:
            line: As :func:`~spectra_logging.journal.framing.frame` makes it.
        """
        try:
            self._write(line)
        except ValueError:  # the segment is full, or there is none
            self._append_to_next_segment(line)

    def _append_to_next_segment(self, line: bytes) -> None:
        if os.getpid() != self._process_id:
            self._early.append(line)  # a forked child's; what is here is its parent's yet
            return
        if self._is_busy_here():
            # A signal handler or a finaliser logs in the middle of this. What is below it on the
            # stack appends its line too.
            self._reentered.append(line)
            return
        try:
            if threading.get_ident() in worker_idents:
                # A finaliser on the thread that drains must wait neither for room, which that one
                # makes, nor for somebody who waits for the seal lock, which it may hold.
                self._reentered.append(line)
            else:
                # Signal handlers that come while this one waits for room wait with it: each on top
                # of the one before, they would keep it for as long as they come.
                with self._calls.setdefault(threading.get_ident(), threading.RLock()):
                    self._append_and_wait(line)
        finally:
            self._append_reentered()

    def _append_and_wait(self, line: bytes) -> None:
        deadline = time.monotonic() + self._longest_wait_seconds
        times_closed = self._times_closed
        done = False
        while True:
            may_wait = time.monotonic() < deadline and self._times_closed == times_closed
            with self._lock:
                done = done or self._append_or_roll(line, may_wait=may_wait)
                all_done = done and self._append_all_reentered(may_wait=may_wait)
            self._see_to_draining()
            if all_done:
                break
            # Whoever drains may be another process, which has no way to wake this one.
            time.sleep(LOOK_SECONDS)

    def _see_to_draining(self) -> None:
        self._on_segment()
        if self._roller.is_filling:
            self._roller.is_filling = False
            self._on_filling()

    def _append_or_roll(self, line: bytes, *, may_wait: bool) -> bool:
        """Append or drop a line; ``False`` when there is no room yet, and it may wait for some."""
        try:
            self._write(line)  # another thread may have made the next segment meanwhile
        except ValueError:
            write = self._roller.roll(line)
            if write is None:
                reason, fits = self._roller.refused_reason, len(line) <= self._max_bytes
                if may_wait and fits and reason == "journal_full":
                    return False
                self.count_dropped(reason)
            else:
                self._write = write
        return True

    def _append_reentered(self) -> None:
        """Append what came in the middle of something, or from a thread that must not wait.

        A worker thread leaves it to whoever holds the lock, and calls this when it has let go.
        """
        while self._reentered and not self._is_busy_here():
            if not self._alone(self._append_all_reentered):
                return
            self._see_to_draining()

    def _append_all_reentered(self, *, may_wait: bool = False) -> bool:
        """Append or drop all lines that came so; ``False`` when some are left to wait for room."""
        while self._reentered:
            line = self._reentered.popleft()
            if not self._append_or_roll(line, may_wait=may_wait):
                self._reentered.appendleft(line)
                return False
        return True

    def _is_busy_here(self) -> bool:
        """Whether this thread is in the middle of a log call that has not found room, or a look."""
        call = self._calls.get(threading.get_ident())
        return _is_owned(self._lock) or (call is not None and _is_owned(call))

    def _alone(self, do: Callable[[], bool]) -> bool:
        """Do something with the lock held; on a worker thread only if nobody else holds it.

        Returns:
            What it returns; ``False`` where it was not done.
        """
        if threading.get_ident() not in worker_idents:
            with self._lock:
                return do()
        lock = self._lock
        if not lock.acquire(blocking=False):
            return False
        try:
            return do()
        finally:
            lock.release()

    def count_dropped(self, reason: str, records: int = 1) -> None:
        """Count records that were given up."""
        self._ledger.count_dropped(reason, records)

    def dropped(self) -> dict[str, int]:
        """How many records were given up so far, by reason; cheaper than all figures."""
        return self._ledger.dropped()

    def why_unwritable(self) -> str:
        """What the system said when the folder could last not be written to; empty if it could."""
        return self._roller.why_unwritable

    def reclaim(self) -> bool:
        """Remove this process's full segments that are in the table whole.

        Left to the next call in the middle of something; and on a worker thread while another holds
        the lock, on which a signal handler may wait for the worker.

        Returns:
            Whether there was one.
        """
        if _is_owned(self._lock):
            return False
        try:
            return self._alone(self._ledger.reclaim)
        finally:
            self._append_reentered()

    def stay_alive(self) -> None:
        """Hold cleaners off the locks by which a process is taken for alive; call it now and then.

        Where this process's own has been removed already, others take it for dead: the segments are
        given up as by :meth:`close`, and the next record begins anew. What was in segments that
        have been removed likewise is counted as dropped.
        """
        if self._roller.keep_alive():
            return
        try:
            with self._lock:
                self._roller.begin_anew()
        finally:
            self._append_reentered()

    # -- figures -----------------------------------------------------------------------------

    def position(self) -> Position:
        """Where the next record goes."""
        return self._look(self._ledger.position)

    def is_settled(self, position: Position) -> bool:
        """Whether every record before that position is in the table, quarantined or dropped."""
        self.reclaim()
        return self._look(lambda: self._ledger.is_settled(position))

    def figures(self) -> AppenderFigures:
        """What became of the records so far."""
        self.reclaim()
        return self._look(self._ledger.figures)

    def _look(self, look: Callable[[], _T]) -> _T:
        try:
            with self._lock:
                return look()
        finally:
            self._append_reentered()

    def close(self) -> None:
        """Give the segments up: what is not in the table yet is the next drainer's.

        Appending again afterwards works and begins anew. A log call that waits for room waits no
        longer: who would have made some may have ended. Called by a signal handler in the middle
        of something, this leaves all to the process's end, which gives the segments up likewise.
        """
        if _is_owned(self._lock):
            return
        try:
            with self._lock:
                self._times_closed += 1
                self._roller.give_up_segments()
        finally:
            self._append_reentered()

    def before_fork(self) -> None:
        """Have nothing stored by a child that has not begun anew.

        Another library's hook may log there before ours is called, or a finaliser. Where it does,
        it would store over what the parent stores meanwhile.
        """
        write, process_id = self._write, os.getpid()

        def write_unless_forked(line: bytes) -> int:
            if os.getpid() != process_id:
                raise ValueError("this process has no segment yet")
            return write(line)

        self._write = write_unless_forked

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        live = self._ledger.live
        self._write = _no_segment if live is None else live.write

    def after_fork_in_child(self) -> None:
        """Begin anew; what was appended so far is the parent's.

        :func:`append_early` is to be called next.
        """
        if self._ledger.live is not None:
            # The child may be in the middle of an append. It must fail, not store into what is the
            # parent's.
            self._ledger.live.close()
        early = self._early
        self._begin()
        self._reentered.extend(early)

    def append_early(self) -> None:
        """Append what a forked child has logged before it had begun anew."""
        self._append_reentered()


def append_early() -> None:
    """Append what a forked child has logged so, to whichever appenders."""
    for appender in list(_appenders):
        appender.append_early()


def _is_owned(lock: threading.RLock) -> bool:
    """Whether this thread holds a lock.

    A flag of our own would stay set if an exception from a signal handler came at the wrong moment.
    """
    owned: bool = lock._is_owned()  # type: ignore[attr-defined] # noqa: SLF001 - Condition does so
    return owned


def _no_segment(_line: bytes) -> int:
    raise ValueError("there is no segment")


_appenders: weakref.WeakSet[Appender] = weakref.WeakSet()


def _before_fork() -> None:
    for appender in list(_appenders):
        appender.before_fork()


def _after_fork_in_parent() -> None:
    for appender in list(_appenders):
        appender.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for appender in list(_appenders):
        appender.after_fork_in_child()


at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
