"""The append side of a journal: one process's live segment and what becomes of full ones."""

from __future__ import annotations

import errno
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from spectra_logging.feedback import worker_idents
from spectra_logging.journal.ledger import AppenderFigures, Ledger, Position
from spectra_logging.journal.live import LiveSegment
from spectra_logging.journal.locks import FileLock
from spectra_logging.journal.segment import (
    SegmentName,
    keep_owners_young,
    segment_bytes_on_disk,
    trim_one_left_behind,
)
from spectra_logging.journal.state import SEAL_LOCK

__all__ = ["Appender", "append_early"]

_T = TypeVar("_T")

SEGMENT_BYTES = 4 << 20
RETRY_SECONDS = 0.05
"""How long a full or unwritable journal is believed to be so still, and how often "block" looks."""

SEAL_WAIT_SECONDS = 1.0
"""Sealing reads a batch's bytes, which takes tens of milliseconds."""


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
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max_bytes // 4)
        self._when_full = when_full
        self._block_timeout_seconds = block_timeout_seconds
        self._on_segment = on_segment
        self._on_filling = on_filling
        self._make_folder = make_folder
        self._begin()
        _appenders.add(self)

    def _begin(self) -> None:
        """The state of a process that has appended nothing yet."""
        self._process_id = os.getpid()
        self._early: deque[bytes] = deque()
        self._take_new_owner()
        self._lock = threading.RLock()
        self._calls: dict[int, threading.RLock] = {}
        self._reentered: deque[bytes] = deque()
        self._write: Callable[[bytes], int] = _no_segment
        self._ledger = Ledger(self._directory)
        self._refused_until = 0.0
        self._refused_reason = ""
        self._is_filling = False
        self._times_closed = 0

    def _take_new_owner(self) -> None:
        owner = f"{os.getpid()}-{os.urandom(6).hex()}"
        self.owner, self._owner_lock = owner, FileLock(self._directory / f"{owner}.owner")

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
        waits = self._when_full == "block"
        deadline = time.monotonic() + self._block_timeout_seconds if waits else 0.0
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
            time.sleep(RETRY_SECONDS)

    def _see_to_draining(self) -> None:
        self._on_segment()
        if self._is_filling:
            self._is_filling = False
            self._on_filling()

    def _append_or_roll(self, line: bytes, *, may_wait: bool) -> bool:
        """Append or drop a line; ``False`` when there is no room yet, and it may wait for some."""
        try:
            self._write(line)  # another thread may have made the next segment meanwhile
        except ValueError:
            if not self._roll(line):
                fits = len(line) <= self._max_bytes
                if may_wait and fits and self._refused_reason == "journal_full":
                    return False
                self.count_dropped(self._refused_reason)
        return True

    def _append_reentered(self) -> None:
        """Append what came in the middle of something, or from a thread that must not wait.

        A worker thread leaves it to whoever holds the lock, and calls this when it has let go.
        """
        while self._reentered and not self._is_busy_here():
            if not self._alone(self._append_all_reentered, otherwise=False):
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

    def _alone(self, do: Callable[[], _T], *, otherwise: _T) -> _T:
        """Do something with the lock held; on a worker thread only if nobody else holds it."""
        if threading.get_ident() not in worker_idents:
            with self._lock:
                return do()
        lock = self._lock
        if not lock.acquire(blocking=False):
            return otherwise
        try:
            return do()
        finally:
            lock.release()

    def _roll(self, line: bytes) -> bool:
        """Make a new live segment that begins with this line; ``False`` when there is no room."""
        if time.monotonic() < self._refused_until:
            return False
        size = max(self._segment_bytes, len(line))
        if size > self._max_bytes:
            # All else given up or waited for would not make room for it.
            self._refuse("journal_full", 0.0)
            return False
        try:
            if self._make_folder is not None and not self._directory.is_dir():
                self._make_folder()
            if self._owner_lock.held and not self._owner_lock.path.exists():
                # Also where another process has made the folder again. Who drains would take this
                # process for dead, and remove a segment that it appends to.
                self._begin_anew()
            if not self._make_room(size):
                # "block" asks again for each record, since that is what it waits for.
                self._refuse("journal_full", 0.0 if self._when_full == "block" else RETRY_SECONDS)
                return False
            if not self._owner_lock.held:
                self._owner_lock.acquire()
            fresh = self._next_segment(size, line)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            self._refuse("disk_full" if full else "journal_unwritable", RETRY_SECONDS)
            return False
        self._ledger.retire_live_segment()
        self._ledger.live, self._write = fresh, fresh.write
        if fresh.name.sequence > 1:
            # A process that has filled one segment will fill most of the next.
            fresh.fault_in()
        return True

    def _next_segment(self, size: int, line: bytes) -> LiveSegment:
        # Whoever drains takes an owner's newest segment alone for one that is still appended to,
        # so the others must have come to their end before there is a newer one.
        live = self._ledger.live
        if live is not None:
            live.end_here()
        self._ledger.sequence += 1
        name = SegmentName(self.owner, self._ledger.sequence)
        try:
            fresh = LiveSegment(self._directory, name, size)
            fresh.write(line)
        except BaseException:
            (self._directory / str(name)).unlink(missing_ok=True)
            if live is not None:
                live.go_on()
            raise
        return fresh

    def _refuse(self, reason: str, for_seconds: float) -> None:
        # Asking the disk again for every record of a flood would cost more than the record.
        self._refused_reason = reason
        self._refused_until = time.monotonic() + for_seconds

    def count_dropped(self, reason: str, records: int = 1) -> None:
        """Count records that were given up."""
        self._ledger.count_dropped(reason, records)

    def dropped(self) -> dict[str, int]:
        """How many records were given up so far, by reason; cheaper than all figures."""
        return self._ledger.dropped()

    # -- room --------------------------------------------------------------------------------

    def _make_room(self, size: int) -> bool:
        while True:
            needed = segment_bytes_on_disk(self._directory) + size
            if needed > self._max_bytes // 2:
                self._is_filling = True
            if needed <= self._max_bytes:
                return True
            if self._ledger.reclaim() or trim_one_left_behind(self._directory):
                continue
            if self._when_full != "drop_oldest" or not self._drop_oldest():
                return False

    def _drop_oldest(self) -> bool:
        """Give up this process's oldest full segment that is in no batch."""
        seal_lock = FileLock(self._directory / SEAL_LOCK)
        if not seal_lock.acquire(SEAL_WAIT_SECONDS):
            return False
        try:
            return self._ledger.give_up_oldest()
        finally:
            seal_lock.release()

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
            return self._alone(self._ledger.reclaim, otherwise=False)
        finally:
            self._append_reentered()

    def stay_alive(self) -> None:
        """Hold cleaners off the locks by which a process is taken for alive; call it now and then.

        Where this process's own has been removed already, others take it for dead: the segments are
        given up as by :meth:`close`, and the next record begins anew. What was in segments that
        have been removed likewise is counted as dropped.
        """
        keep_owners_young(self._directory)
        if not self._owner_lock.held or self._owner_lock.keep_young():
            return
        try:
            with self._lock:
                self._begin_anew()
        finally:
            self._append_reentered()

    def _begin_anew(self) -> None:
        self._ledger.retire_live_segment()
        self._ledger.give_up_removed()
        self._give_up_segments()

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
                self._give_up_segments()
        finally:
            self._append_reentered()

    def _give_up_segments(self) -> None:
        self._ledger.retire_live_segment()
        self._ledger.reclaim()
        self._ledger.give_up_full_segments()
        if not self._ledger.has_full_segments:
            self._owner_lock.path.unlink(missing_ok=True)
        given_up = self._owner_lock
        # Who drains may hold the old lock for an instant, to see whether its owner lives, and then
        # takes the owner for dead: that must stay so for good.
        self._take_new_owner()
        given_up.release()

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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
