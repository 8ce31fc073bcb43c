"""The figures a handler gives of itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CommitFigures", "DiscordStats", "HandlerStats"]


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
        left_behind: Rows that this process committed for others that had ended, killed or not.
        unrecorded_runs: Of the activity log, the runs among these that had not recorded how they
            went.
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
    left_behind: int = 0
    unrecorded_runs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DiscordStats:
    """What became of the records that this process gave a handler for Discord.

    At any moment ``emitted == delivered + pending + unknown + failed + sum(dropped.values())``.
    Each of these counts records; equal ones that became one message are counted one by one.

    Args:
        emitted: Log calls that reached the handler.
        delivered: Those that Discord took, in whatever message.
        pending: Those that wait, or are on their way.
        unknown: Those that were sent and got no answer: they may be posted or not.
        failed: Those that Discord refused, or that were redirected elsewhere.
        dropped: Those that were given up, by reason: ``queue_full``, ``shutdown``,
            ``webhook_gone``, ``off`` where there is no webhook, ``own_thread`` for what a handler's
            own thread logged, or ``internal_error``.
        messages: Messages that Discord took.
        webhook_id: The webhook's public number; ``None`` where there is no webhook.
        is_on: Whether records are sent: there is a webhook, and it has not been refused.
        last_error: What the last attempt failed with; ``None`` once one succeeds.
    """

    emitted: int
    delivered: int
    pending: int
    unknown: int
    failed: int
    dropped: Mapping[str, int]
    messages: int
    webhook_id: str | None
    is_on: bool
    last_error: str | None
