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

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from spectra_logging.journal.content import Content, Reject, collect, reread
from spectra_logging.journal.files import remove_file
from spectra_logging.journal.locks import FileLock
from spectra_logging.journal.segment import (
    SegmentName,
    holds_bytes,
    is_old,
    list_segments,
    owner_is_alive,
    read_range,
    segments_by_owner,
)
from spectra_logging.journal.state import (
    DRAIN_LOCK,
    SEAL_LOCK,
    BatchRange,
    JournalState,
    SealedBatch,
    SegmentProgress,
    StateFile,
    new_application_id,
)

__all__ = ["Batch", "Batches"]


@dataclass(frozen=True, kw_only=True)
class Batch(Content):
    """What one commit writes.

    Args:
        application_id: Application id of its transaction.
        number: Version of its transaction.
        recovered: It had been sealed before, by a drain that did not come to its end.
    """

    application_id: str
    number: int
    recovered: bool


class Batches:
    """The batches of one journal, for whoever holds the drain lock.

    Args:
        directory: The journal's folder.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._state_file = StateFile(directory)
        self._drain_lock = FileLock(directory / DRAIN_LOCK)

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

    def next_batch(self, after: int = 0, ahead: Content | None = None) -> Batch | None:
        """The batch left sealed by an earlier drain, else a new one; ``None`` when all is drained.

        Args:
            after: A new batch gets a number beyond this one. It is what the table itself knows of
                this journal, in case the journal's state has been lost.
            ahead: What was read ahead for it. Read anew unless it still is what comes next; whether
                so, its ``rows`` tell, which are the batch's own then.
        """
        state = self.state()
        if state.sealed is not None:
            content = reread(self._directory, state.sealed.ranges)
            return _batch(content, state.application_id, state.sealed.number, recovered=True)
        seal_lock = FileLock(self._directory / SEAL_LOCK)
        seal_lock.acquire(timeout_seconds=60.0)
        try:
            if ahead is None or not self._still_there(ahead, state):
                ahead = collect(self._directory, _offsets(state))
            if ahead is None:
                return None
            number = max(state.committed_batch, after) + 1
            state.sealed = SealedBatch(number=number, ranges=dict(ahead.ranges))
            self._state_file.save(state)
        finally:
            seal_lock.release()
        return _batch(ahead, state.application_id, number, recovered=False)

    def read_ahead(self, before: Iterable[Content]) -> Content | None:
        """Read and verify what a later call of :meth:`next_batch` may take; ``None`` if nothing.

        Args:
            before: The sealed batch, and what has been read ahead of it so far.
        """
        offsets = _offsets(self.state())
        for content in before:
            offsets.update((name, extent.end) for name, extent in content.ranges.items())
        return collect(self._directory, offsets)

    def renew_id(self, batch: Batch) -> Batch:
        """Go on under a new id, since another journal has given this batch's number to its own.

        Two copies of one journal have one id: of a machine that was copied while it ran, or where
        an earlier state has been put back.

        Args:
            batch: What has just been sealed.

        Returns:
            The same batch under the new id.
        """
        state = self.state()
        state.application_id = new_application_id()
        self._state_file.save(state)
        return replace(batch, application_id=state.application_id)

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
            # Not what was sealed: some of it may have been gone or damaged when it was read again.
            there = batch.ranges.get(name)
            written = there.rows - self._refused_rows(name, there, rejected) if there else 0
            progress.offset = extent.end
            progress.written += written
            progress.quarantined += extent.rows + extent.damaged - written
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
                if is_old(path) and not owner_is_alive(self._directory, path.stem):
                    remove_file(path)

    def _remove_drained(self, state: JournalState, segments: Sequence[SegmentName]) -> None:
        for owner, names in segments_by_owner(segments).items():
            if owner_is_alive(self._directory, owner):
                continue
            for name in names:
                path = self._directory / str(name)
                if not holds_bytes(path, state.progress(str(name)).offset):
                    remove_file(path)
            if not any(self._directory.glob(f"{owner}-*.ndjson")):
                remove_file(self._directory / f"{owner}.owner")

    def _still_there(self, content: Content, state: JournalState) -> bool:
        """Whether what was read ahead is what comes next, and no owner has given any of it up."""
        return all(
            state.progress(name).offset == extent.start and (self._directory / name).exists()
            for name, extent in content.ranges.items()
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
        # A journal that goes on under a new id may count from one again.
        name = f"batch-{batch.number:08d}-{batch.application_id[-8:]}.ndjson"
        (folder / name).write_bytes(b"\n".join(lines) + b"\n")


def _batch(content: Content, application_id: str, number: int, *, recovered: bool) -> Batch:
    return Batch(application_id=application_id, number=number, recovered=recovered, **vars(content))


def _offsets(state: JournalState) -> dict[str, int]:
    return {name: done.offset for name, done in state.segments.items()}
