"""The figures a handler gives of itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CommitFigures", "HandlerStats"]


@dataclass(frozen=True, kw_only=True)
class CommitFigures:
    """A commit to a table.

    Args:
        version: The table's version after it.
        batch: Number of the journal's batch it wrote.
        rows: Rows it wrote, those of other processes on the same journal included.
        at: When, in UTC.
    """

    version: int
    batch: int
    rows: int
    at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class HandlerStats:
    """What became of the records that this process gave a handler.

    At any moment ``emitted == written + pending + quarantined + sum(dropped.values())``.

    Args:
        emitted: Log calls that reached the handler.
        written: Their rows that are in the table, whichever process committed them.
        pending: Those that are journalled and not yet known to be in the table.
        quarantined: Those that could not be delivered and were set aside.
        dropped: Those that were given up, by reason: ``journal_full``, ``disk_full``,
            ``journal_unwritable``, ``own_thread`` for what a handler's own thread logged, or
            ``internal_error``.
        engine: The lakehouse engine in use; ``None`` until this process has drained.
        engine_reason: In words, why it is that one; ``None`` until then.
        delivery: How often a row may land: ``exactly once``; or ``at least once``, where all that
            reaches the table is a Spark Connect server that ignores Delta's transactions. ``None``
            until this process has drained.
        journal_directory: Folder of the journal.
        last_error: What the last attempt to commit failed with; ``None`` once one succeeds.
        last_commit: The newest commit by this process; ``None`` before the first.
    """

    emitted: int
    written: int
    pending: int
    quarantined: int
    dropped: Mapping[str, int]
    engine: str | None
    engine_reason: str | None
    delivery: str | None
    journal_directory: str
    last_error: str | None
    last_commit: CommitFigures | None
