"""The books of one process's side of a journal: its segments, and what became of their records."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from spectra_logging.journal.files import remove_file
from spectra_logging.journal.live import LiveSegment
from spectra_logging.journal.segment import SegmentName
from spectra_logging.journal.state import JournalState, StateFile

__all__ = ["AppenderFigures", "Ledger", "Position"]


class Position(NamedTuple):
    """A place in one process's stream of records: segment sequence, then byte."""

    sequence: int
    offset: int


class AppenderFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the records that this process appended.

    ``emitted == written + pending + quarantined + sum(dropped.values())``.
    """

    emitted: int
    written: int
    pending: int
    quarantined: int
    dropped: dict[str, int]


class Ledger:
    """The segments of one owner, and what became of the records in them.

    For one thread at a time, but for the counts of what was dropped. What a signal handler may ask
    for in the middle of a change is :meth:`position`, :meth:`is_settled` and :meth:`figures`.

    Args:
        directory: The journal's folder.

    Attributes:
        live: The segment that is appended to; ``None`` before the first and after the last.
        sequence: The number of the newest segment, also of one that could not be made.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._state_file = StateFile(directory)
        self._known_state: JournalState | None = None
        self._dropped_lock = threading.RLock()
        self.live: LiveSegment | None = None
        self.sequence = 0
        self._full_segments: dict[SegmentName, tuple[int, int]] = {}
        self._given_up: set[SegmentName] = set()
        self._settled_written = 0
        self._settled_quarantined = 0
        self._dropped: defaultdict[str, int] = defaultdict(int)

    @property
    def has_full_segments(self) -> bool:
        """Whether there are any that are not yet in the table whole."""
        return bool(self._full_segments)

    def retire_live_segment(self) -> None:
        """Move the live segment, if there is one, to the full ones."""
        live = self.live
        if live is None:
            return
        live.end_here()
        end = live.end
        self._full_segments[live.name] = (end, live.row_count)
        self.live = None
        live.close()
        try:
            os.truncate(self._directory / str(live.name), end)
        except OSError:
            pass  # Only the zeros stay longer.

    def give_up_full_segments(self) -> None:
        """Leave the full segments to whoever drains next, who also removes them."""
        self._given_up.update(self._full_segments)

    def count_dropped(self, reason: str, records: int = 1) -> None:
        """Count records that were given up."""
        with self._dropped_lock:
            self._dropped[reason] += records

    def dropped(self) -> dict[str, int]:
        """How many records were given up so far, by reason."""
        with self._dropped_lock:
            return dict(self._dropped)

    def give_up_oldest(self) -> bool:
        """Remove the oldest full segment that is in no batch; the caller holds the seal lock.

        Returns:
            Whether there was one. What it held and is not in the table is counted as dropped.
        """
        try:
            state = self._state_file.load()
        except OSError:
            return False  # Who knows what is in a batch.
        in_flight = state.sealed.ranges if state and state.sealed else {}
        for name in sorted(self._full_segments):
            if str(name) not in in_flight:
                self.count_dropped("journal_full", self._settle(name, state))
                return True
        return False

    def give_up_removed(self) -> None:
        """Count as dropped what full segments held that somebody else has removed."""
        state = self._state()
        # Those given up before are removed by whoever drains them.
        removed = [
            name
            for name in self._full_segments.keys() - self._given_up
            if not (self._directory / str(name)).exists()
        ]
        self._lose(removed, state)

    def _lose(self, removed: Iterable[SegmentName], state: JournalState | None) -> None:
        lost = sum(self._settle(name, state) for name in removed)
        if lost:
            self.count_dropped("journal_unwritable", lost)

    def reclaim(self) -> bool:
        """Remove the full segments that are in the table whole.

        Returns:
            Whether there was one.
        """
        if not self._full_segments:
            return False
        # Whoever drained one has removed it. Looked for before the state is read, which forgets a
        # segment only when it is gone.
        gone = [name for name in self._given_up if not (self._directory / str(name)).exists()]
        try:
            state = self._state_file.load()
        except OSError:
            return False
        if state is None:
            # Whoever drained one would have written it: the journal was removed.
            self._lose(gone, self._known_state)
            return bool(gone)
        done = [
            name
            for name, (end, _) in self._full_segments.items()
            if name in gone or state.progress(str(name)).offset >= end
        ]
        for name in done:
            left = self._settle(name, state)
            if str(name) in state.segments:
                # What a merged or split line makes the drainer miscount shows here at last.
                self._settled_quarantined += left
            else:
                self._settled_written += left
        return bool(done)

    def _state(self) -> JournalState | None:
        """The journal's state; where it can't be read now, or is gone, what it last was.

        A segment's progress only ever grows, so that an old one makes nobody forget a record.
        """
        try:
            self._known_state = self._state_file.load() or self._known_state
        except OSError:
            pass
        return self._known_state

    def _settle(self, name: SegmentName, state: JournalState | None) -> int:
        """Remove a full segment and book its records; returns how many are not accounted for."""
        _, rows = self._full_segments.pop(name)
        self._given_up.discard(name)
        written, quarantined = _consumed(state, name, rows)
        self._settled_written += written
        self._settled_quarantined += quarantined
        remove_file(self._directory / str(name))
        return rows - written - quarantined

    def position(self) -> Position:
        """Where the next record goes."""
        live = self.live
        if live is None:
            return Position(self.sequence + 1, 0)
        return Position(live.name.sequence, live.end)

    def is_settled(self, position: Position) -> bool:
        """Whether every record before that position is in the table, quarantined or dropped."""
        state = self._state()
        open_segments = {name: end for name, (end, _) in self._full_segments.items()}
        if self.live is not None:
            open_segments[self.live.name] = self.live.end
        for name, end in open_segments.items():
            if name.sequence > position.sequence:
                continue
            asked = min(end, position.offset) if name.sequence == position.sequence else end
            if (state.progress(str(name)).offset if state else 0) < asked:
                return False
        return True

    def figures(self) -> AppenderFigures:
        """What became of the records so far."""
        # Read before the segments: what was drained in between then counts as pending, never as
        # more than was appended.
        state = self._state()
        segments = {name: rows for name, (_, rows) in self._full_segments.items()}
        if self.live is not None:
            segments[self.live.name] = self.live.row_count
        dropped = self.dropped()
        written, quarantined, pending = self._settled_written, self._settled_quarantined, 0
        emitted = written + quarantined + sum(segments.values()) + sum(dropped.values())
        for name, rows in segments.items():
            segment_written, segment_quarantined = _consumed(state, name, rows)
            written += segment_written
            quarantined += segment_quarantined
            pending += rows - segment_written - segment_quarantined
        return AppenderFigures(
            emitted=emitted,
            written=written,
            pending=pending,
            quarantined=quarantined,
            dropped=dropped,
        )


def _consumed(state: JournalState | None, name: SegmentName, rows: int) -> tuple[int, int]:
    """How many of a segment's records are written and quarantined."""
    if state is None:
        return 0, 0
    progress = state.progress(str(name))
    written = min(progress.written, rows)
    return written, min(progress.quarantined, rows - written)
