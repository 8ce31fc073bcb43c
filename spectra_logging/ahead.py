"""A drain's batches, made ready while those before them are committed."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from spectra_logging.journal.batches import Batch, Batches
from spectra_logging.journal.content import Content
from spectra_logging.lakehouse.base import Staged, Stager
from spectra_logging.parallel import Task, usable_cores

__all__ = ["Ahead"]

MOST_AT_ONCE = 4
"""The program that logs needs cores too."""


class _Ready(NamedTuple):
    """What a batch takes, and the writing of it, which may have begun."""

    content: Content
    staging: Task[Staged | None] | None


class Ahead:
    """Gives a journal's batches in order, and reads and stages several ahead of the one asked for.

    Parsing JSON takes longer than all the rest of a commit, and one stream of it runs on one core.
    So as many batches are parsed and written side by side as there are cores, up to four, each
    beside its table; committing one is then a matter of a millisecond. One more has been read, and
    begins when one is written: all at once, the first would be late. A backlog of one batch is
    staged by nobody: whoever appends it writes it.

    Args:
        batches: The journal's batches; the drain lock is held.
        open_stager: Gives what stages rows, ``None`` where the engine has no such thing. Called
            once, for a backlog of several batches.
    """

    def __init__(self, batches: Batches, open_stager: Callable[[], Stager | None]) -> None:
        self._batches = batches
        self._stager = functools.cache(open_stager)
        self._ready: deque[_Ready] = deque()
        self._at_once = min(usable_cores(), MOST_AT_ONCE)
        self._turns = threading.Semaphore(self._at_once)

    @contextlib.contextmanager
    def open(self) -> Iterator[Ahead]:
        """For as long as batches are taken; what is staged and not taken goes with the end."""
        try:
            yield self
        finally:
            self._discard()

    def next_batch(self, after: int) -> Batch | None:
        """The next batch, sealed; ``None`` when all is drained. As :meth:`Batches.next_batch`."""
        ahead = self._ready[0].content if self._ready else None
        batch = self._batches.next_batch(after, ahead)
        if batch is None or ahead is None or batch.rows is not ahead.rows:
            # Its owner has given up some of what was read; what follows is in doubt, too.
            self._discard()
            if batch is not None:
                self._ready.append(_Ready(batch, self._stage(batch) if batch.more else None))
        return batch

    @contextlib.contextmanager
    def staged(self) -> Iterator[Staged | None]:
        """What is staged of the batch given last, if anything; those after it have been begun."""
        while len(self._ready) <= self._at_once and self._ready[-1].content.more and self._stager():
            content = self._batches.read_ahead(ready.content for ready in self._ready)
            if content is None:
                break
            self._ready.append(_Ready(content, self._stage(content)))
        staged = _outcome(self._ready.popleft())
        try:
            yield staged
        finally:
            if staged:
                staged.discard()

    def _stage(self, content: Content) -> Task[Staged | None] | None:
        stager, rows = self._stager(), content.rows
        return Task(lambda: self._in_turn(stager, rows)) if stager and rows else None

    def _in_turn(self, stager: Stager, rows: bytes) -> Staged | None:
        with self._turns:
            return stager(rows)

    def _discard(self) -> None:
        while self._ready:
            if staged := _outcome(self._ready.popleft()):
                staged.discard()


def _outcome(ready: _Ready) -> Staged | None:
    try:
        return ready.staging.result() if ready.staging else None
    except Exception:  # noqa: BLE001 - the append meets it again, and tells of it
        return None
