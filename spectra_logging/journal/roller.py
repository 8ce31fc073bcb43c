"""The segments of one process's side of a journal: made, in their turn, and given up."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from spectra_logging.journal.files import remove_file
from spectra_logging.journal.folder import IDENTITY_FILE
from spectra_logging.journal.ledger import Ledger
from spectra_logging.journal.live import LiveSegment
from spectra_logging.journal.locks import FileLock
from spectra_logging.journal.segment import (
    SegmentName,
    keep_owners_young,
    segment_bytes_on_disk,
    trim_one_left_behind,
)
from spectra_logging.journal.state import SEAL_LOCK

__all__ = ["Roller"]

SEGMENT_BYTES = 4 << 20
RETRY_SECONDS = 0.05
"""How long a full or unwritable journal is believed to be so still."""

SEAL_WAIT_SECONDS = 1.0
"""Sealing reads a batch's bytes, which takes tens of milliseconds."""


class Roller:
    """Makes one live segment after the other, as far as there is room for them.

    For one thread at a time.

    Args:
        directory: The journal's folder.
        max_bytes: What all segments in the folder may take up together.
        when_full: ``drop_oldest``, ``drop_newest`` or ``block``.
        make_folder: Makes the folder again, or what it lacks, where that has been removed; without
            it, none is made.

    Attributes:
        owner: Token under which the segments are made.
        ledger: The books of the segments.
        refused_reason: Why :meth:`roll` made none last, as records are counted that are dropped.
        why_unwritable: What the system said when the folder could last not be written to; empty
            while it could.
        is_filling: The journal was half full when a segment was asked for; for others to reset.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int,
        when_full: str,
        make_folder: Callable[[], None] | None,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max_bytes // 4)
        self._when_full = when_full
        self._make_folder = make_folder
        self.ledger = Ledger(directory)
        self.refused_reason = ""
        self.why_unwritable = ""
        self.is_filling = False
        self._refused_until = 0.0
        self._take_new_owner()

    def _take_new_owner(self) -> None:
        owner = f"{os.getpid()}-{os.urandom(6).hex()}"
        self.owner, self._owner_lock = owner, FileLock(self._directory / f"{owner}.owner")

    def roll(self, line: bytes) -> Callable[[bytes], int] | None:
        """Make a new live segment that begins with this line.

        Returns:
            What appends to it; ``None`` when none could be made.
        """
        if time.monotonic() < self._refused_until:
            return None
        size = max(self._segment_bytes, len(line))
        if size > self._max_bytes:
            # All else given up or waited for would not make room for it.
            self._refuse("journal_full", 0.0)
            return None
        try:
            # Without that file nobody finds the journal, though there may be a folder again.
            if self._make_folder is not None and not (self._directory / IDENTITY_FILE).exists():
                self._make_folder()
            if self._owner_lock.held and not self._owner_lock.path.exists():
                # Also where another process has made the folder again. Who drains would take this
                # process for dead, and remove a segment that it appends to.
                self.begin_anew()
            if not self._make_room(size):
                # "block" asks again for each record, since that is what it waits for.
                self._refuse("journal_full", 0.0 if self._when_full == "block" else RETRY_SECONDS)
                return None
            if not self._owner_lock.held:
                self._owner_lock.acquire()
            fresh = self._next_segment(size, line)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            if not full:
                self.why_unwritable = str(error)
            self._refuse("disk_full" if full else "journal_unwritable", RETRY_SECONDS)
            return None
        self.ledger.retire_live_segment()
        self.ledger.live = fresh
        if fresh.name.sequence > 1:
            # A process that has filled one segment will fill most of the next.
            fresh.fault_in()
        return fresh.write

    def _next_segment(self, size: int, line: bytes) -> LiveSegment:
        # Whoever drains takes an owner's newest segment alone for one that is still appended to,
        # so the others must have come to their end before there is a newer one.
        live = self.ledger.live
        if live is not None:
            live.end_here()
        self.ledger.sequence += 1
        name = SegmentName(self.owner, self.ledger.sequence)
        try:
            fresh = LiveSegment(self._directory, name, size)
            fresh.write(line)
        except BaseException:
            remove_file(self._directory / str(name))
            if live is not None:
                live.go_on()
            raise
        return fresh

    def _refuse(self, reason: str, for_seconds: float) -> None:
        # Asking the disk again for every record of a flood would cost more than the record.
        self.refused_reason = reason
        self._refused_until = time.monotonic() + for_seconds

    def _make_room(self, size: int) -> bool:
        while True:
            needed = segment_bytes_on_disk(self._directory) + size
            if needed > self._max_bytes // 2:
                self.is_filling = True
            if needed <= self._max_bytes:
                return True
            if self.ledger.reclaim() or trim_one_left_behind(self._directory):
                continue
            if self._when_full != "drop_oldest" or not self._drop_oldest():
                return False

    def _drop_oldest(self) -> bool:
        """Give up this process's oldest full segment that is in no batch."""
        seal_lock = FileLock(self._directory / SEAL_LOCK)
        if not seal_lock.acquire(SEAL_WAIT_SECONDS):
            return False
        try:
            return self.ledger.give_up_oldest()
        finally:
            seal_lock.release()

    def keep_alive(self) -> bool:
        """Hold cleaners off the locks by which a process is taken for alive.

        Returns:
            Whether this process's own is still there, if it has one.
        """
        keep_owners_young(self._directory)
        return not self._owner_lock.held or self._owner_lock.keep_young()

    def begin_anew(self) -> None:
        """Give the segments up, and count as dropped what others have removed."""
        self.ledger.retire_live_segment()
        self.ledger.give_up_removed()
        self.give_up_segments()

    def give_up_segments(self) -> None:
        """Leave the segments to whoever drains next; the next one made is another owner's."""
        self.ledger.retire_live_segment()
        self.ledger.reclaim()
        self.ledger.give_up_full_segments()
        given_up, leaves_segments = self._owner_lock, self.ledger.has_full_segments
        # Who drains may hold the old lock for an instant, to see whether its owner lives, and then
        # takes the owner for dead: that must stay so for good.
        self._take_new_owner()
        given_up.release()
        if not leaves_segments:
            remove_file(given_up.path)
