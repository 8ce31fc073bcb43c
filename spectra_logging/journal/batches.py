"""The drain side of a journal: batches are sealed, committed by the caller, and noted as done.

One process at a time drains a journal, for all that append to it. Its steps, in order:

1. **seal**: the state file, replaced by rename, names the ranges of segments that batch *n* takes;
2. **commit**: the caller writes those rows with the transaction (application id, *n*);
3. **note**: the state file, replaced again, counts the ranges as consumed;
4. **remove** the segments that nobody needs any more.

A crash between 1 and 3 leaves a sealed batch: the next drainer rebuilds it from the same bytes and
hands it to the same transaction, which the table takes or has already. A crash between 3 and 4
leaves a consumed segment to remove.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from spectra_logging.journal.framing import VerifiedRange, verify
from spectra_logging.journal.locks import FileLock
from spectra_logging.journal.segment import (
    SegmentName,
    holds_bytes,
    list_segments,
    read_range,
)
from spectra_logging.journal.state import (
    DRAIN_LOCK,
    SEAL_LOCK,
    BatchRange,
    JournalState,
    SealedBatch,
    SegmentProgress,
    StateFile,
)

__all__ = ["Batch", "Batches", "Reject"]

BATCH_BYTES = 8 << 20
"""About what one commit writes; a batch ends with the segment that reaches it."""

LEFT_BEHIND_BYTES = 1 << 20
"""Up to how much of what processes left is looked into, for the runs that left it."""


@dataclass(frozen=True)
class Reject:
    """Something that will never be a row, and why."""

    data: bytes
    reason: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one commit writes.

    Args:
        application_id: Application id of its transaction.
        number: Version of its transaction.
        rows: Newline-delimited JSON.
        row_count: Lines in ``rows``.
        damaged: What the journal held in between that is no sound record.
        recovered: It had been sealed before, by a drain that did not come to its end.
        more: Whether there may be another after it already.
        left_behind: How many of the rows were left by processes that are gone.
        left_behind_rows: Those rows, unless they are many.
    """

    application_id: str
    number: int
    rows: bytes
    row_count: int
    damaged: tuple[Reject, ...]
    recovered: bool
    more: bool
    left_behind: int
    left_behind_rows: bytes


@dataclass(frozen=True)
class _Piece:
    """A verified range of one segment."""

    name: SegmentName
    extent: BatchRange
    found: VerifiedRange
    owner_is_gone: bool


class Batches:
    """The batches of one journal, for whoever holds the drain lock.

    Args:
        directory: The journal's folder.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._state_file = StateFile(directory)
        self._drain_lock = FileLock(directory / DRAIN_LOCK)
        self._ahead: list[_Piece] = []

    @contextmanager
    def draining(self, timeout_seconds: float = 0.0) -> Iterator[bool]:
        """Hold the drain lock; yields whether it could be had."""
        acquired = self._drain_lock.acquire(timeout_seconds)
        try:
            yield acquired
        finally:
            if acquired:
                self._drain_lock.release()

    def state(self) -> JournalState:
        """The journal's state; only the holder of the drain lock may ask, as it may be created."""
        return self._state_file.load_or_create()

    def has_records(self) -> bool:
        """Whether anything waits to be drained; needs no lock and may be a moment out of date."""
        state = self._state_file.load()
        if state is not None and state.sealed is not None:
            return True
        return any(
            holds_bytes(
                self._directory / str(name), state.progress(str(name)).offset if state else 0
            )
            for name in list_segments(self._directory)
        )

    def next_batch(self, after: int = 0) -> Batch | None:
        """The batch left sealed by an earlier drain, else a new one; ``None`` when all is drained.

        Args:
            after: A new batch gets a number beyond this one. It is what the table itself knows of
                this journal, in case the journal's state has been lost.
        """
        state = self.state()
        ahead, self._ahead = self._ahead, []
        if state.sealed is not None:
            pieces = [
                piece
                for name, extent in state.sealed.ranges.items()
                if (piece := self._read(SegmentName.parse(name), extent.start, extent.end))
            ]
            return self._batch(state, pieces, recovered=True)
        seal_lock = FileLock(self._directory / SEAL_LOCK)
        seal_lock.acquire(timeout_seconds=60.0)
        try:
            if not ahead or not self._still_there(ahead, state):
                ahead = self._collect(_offsets(state))
            pieces = ahead
            if not pieces:
                return None
            state.sealed = SealedBatch(
                number=max(state.committed_batch, after) + 1,
                ranges={str(piece.name): piece.extent for piece in pieces},
            )
            self._state_file.save(state)
        finally:
            seal_lock.release()
        return self._batch(state, pieces, recovered=False)

    def read_ahead(self, batch: Batch) -> None:
        """Read and verify what comes after a sealed batch, for the next call of :meth:`next_batch`.

        It may run on another thread while the batch is committed, but must have ended before it is
        noted as committed.
        """
        state = self.state()
        if state.sealed is not None and state.sealed.number == batch.number:
            offsets = _offsets(state)
            offsets.update((name, extent.end) for name, extent in state.sealed.ranges.items())
            self._ahead = self._collect(offsets)

    def note_committed(self, batch: Batch, rejected: Sequence[Reject]) -> None:
        """Book a batch as done and remove the segments of processes that are gone.

        Args:
            batch: What is in the table now.
            rejected: Those of its rows that the table could not take.
        """
        self._quarantine(batch, rejected)
        state = self.state()
        if state.sealed is None or state.sealed.number != batch.number:
            return
        for name, extent in state.sealed.ranges.items():
            progress = state.segments.setdefault(name, SegmentProgress())
            refused = self._refused_rows(name, extent, rejected)
            progress.offset = extent.end
            progress.written += extent.rows - refused
            progress.quarantined += extent.damaged + refused
        taken = [SegmentName.parse(name) for name in state.sealed.ranges]
        names = {str(name) for name in list_segments(self._directory)}
        state.segments = {name: done for name, done in state.segments.items() if name in names}
        state.sealed = None
        state.committed_batch = batch.number
        self._state_file.save(state)
        self._remove_drained(state, [name for name in taken if name])

    def remove_leavings(self) -> None:
        """Remove what processes that are gone left behind and is drained."""
        segments = list_segments(self._directory)
        self._remove_drained(self.state(), segments)
        owners = {name.owner for name in segments}
        for path in self._directory.glob("*.owner"):
            if path.stem in owners:
                continue
            # An owner makes its lock's file an instant before it holds the lock, and removes it
            # when it ends.
            with suppress(FileNotFoundError):
                old = path.stat().st_mtime < time.time() - 3600
                if old and not self._is_alive(path.stem):
                    path.unlink()

    def _remove_drained(self, state: JournalState, segments: Sequence[SegmentName]) -> None:
        for owner, names in _by_owner(segments).items():
            if self._is_alive(owner):
                continue
            for name in names:
                path = self._directory / str(name)
                if not holds_bytes(path, state.progress(str(name)).offset):
                    path.unlink(missing_ok=True)
            if not any(self._directory.glob(f"{owner}-*.ndjson")):
                (self._directory / f"{owner}.owner").unlink(missing_ok=True)

    # -- reading -----------------------------------------------------------------------------

    def _still_there(self, pieces: Sequence[_Piece], state: JournalState) -> bool:
        """Whether pieces read ahead are what comes next, and no owner has given one up."""
        return all(
            state.progress(str(piece.name)).offset == piece.extent.start
            and (self._directory / str(piece.name)).exists()
            for piece in pieces
        )

    def _collect(self, offsets: Mapping[str, int]) -> list[_Piece]:
        """What a batch takes now, where so many bytes of each segment have been taken before."""
        pieces: list[_Piece] = []
        for owner, names in _by_owner(list_segments(self._directory)).items():
            alive = self._is_alive(owner)
            for name in names:
                # Only an owner's newest segment is still appended to.
                live = alive and name is names[-1]
                piece = self._read(name, offsets.get(str(name), 0), None, live=live)
                if piece is None:
                    continue
                pieces.append(piece)
                if _size(pieces) >= BATCH_BYTES:
                    return pieces
        return pieces

    def _read(
        self, name: SegmentName | None, start: int, end: int | None, *, live: bool = False
    ) -> _Piece | None:
        """A segment's bytes from ``start``, verified; ``None`` when there are none."""
        assert name is not None
        path = self._directory / str(name)
        try:
            if end is None and not live:
                end = path.stat().st_size
            data = read_range(path, start, end)
        except FileNotFoundError:
            return None
        data = data[: data.rfind(b"\n") + 1] if live else data.rstrip(b"\0")
        if not data:
            return None
        found = verify(data)
        size, damaged = len(data), found.damaged
        if live and found.torn:
            # Being written this very moment: it belongs to the next batch.
            size -= len(damaged[-1])
            damaged = damaged[:-1]
            found = VerifiedRange(found.rows, found.row_count, damaged)
            if size == 0:
                return None
        extent = BatchRange(
            start=start, end=start + size, rows=found.row_count, damaged=len(damaged)
        )
        return _Piece(name, extent, found, owner_is_gone=not (live or self._is_alive(name.owner)))

    def _is_alive(self, owner: str) -> bool:
        """Whether the process that appends under this token still runs."""
        path = self._directory / f"{owner}.owner"
        if not path.exists():
            return False
        lock = FileLock(path)
        if not lock.acquire():
            return True
        lock.release()
        return False

    def _batch(self, state: JournalState, pieces: list[_Piece], *, recovered: bool) -> Batch:
        assert state.sealed is not None
        left = [piece for piece in pieces if piece.owner_is_gone]
        size = sum(len(piece.found.rows) for piece in left)
        few = size <= LEFT_BEHIND_BYTES
        return Batch(
            application_id=state.application_id,
            number=state.sealed.number,
            rows=b"".join(piece.found.rows for piece in pieces),
            row_count=sum(piece.found.row_count for piece in pieces),
            damaged=tuple(
                Reject(data, f"damaged in journal segment {piece.name}")
                for piece in pieces
                for data in piece.found.damaged
            ),
            recovered=recovered,
            more=recovered or _size(pieces) >= BATCH_BYTES,
            left_behind=sum(piece.found.row_count for piece in left),
            left_behind_rows=b"".join(piece.found.rows for piece in left) if few else b"",
        )

    def _refused_rows(self, name: str, extent: BatchRange, rejected: Sequence[Reject]) -> int:
        if not rejected:
            return 0
        data = read_range(self._directory / name, extent.start, extent.end)
        return sum(reject.data in data for reject in rejected)

    def _quarantine(self, batch: Batch, rejected: Sequence[Reject]) -> None:
        """Keep what is no row where a person can look at it; doing it twice changes nothing."""
        rejects = [*batch.damaged, *rejected]
        if not rejects:
            return
        folder = self._directory / "quarantine"
        folder.mkdir(exist_ok=True)
        lines = [
            msgspec.json.encode(
                {"reason": reject.reason, "data": reject.data.decode("utf-8", "backslashreplace")}
            )
            for reject in rejects
        ]
        (folder / f"batch-{batch.number:08d}.ndjson").write_bytes(b"\n".join(lines) + b"\n")


def _size(pieces: Sequence[_Piece]) -> int:
    return sum(piece.extent.end - piece.extent.start for piece in pieces)


def _offsets(state: JournalState) -> dict[str, int]:
    return {name: done.offset for name, done in state.segments.items()}


def _by_owner(segments: Sequence[SegmentName]) -> dict[str, list[SegmentName]]:
    grouped: dict[str, list[SegmentName]] = {}
    for name in segments:
        grouped.setdefault(name.owner, []).append(name)
    return grouped
