"""Following a log table as rows land in it."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from spectra_logging.errors import TableNotFoundError, TableUnavailableError
from spectra_logging.lakehouse.base import Lakehouse
from spectra_stage.cli.options import Level
from spectra_stage.cli.rows import as_json, newest_rows, rows_since

__all__ = ["Follower"]

LATENESS = dt.timedelta(minutes=10)
"""Rows land in another order than they were recorded in, a process's commit apart at least."""


class Follower:
    """The rows of a log table, each once, as they land.

    Args:
        lakehouse: What the table is read through.
        table: Its path or URI; it need not exist yet.
        limit: How many of the rows already there come first.
        level: The lowest level, or ``None`` for all.
    """

    def __init__(
        self, lakehouse: Lakehouse, table: str, *, limit: int, level: Level | None
    ) -> None:
        self._lakehouse = lakehouse
        self._table = table
        self._limit = limit
        self._level = level
        self._newest: dt.datetime | None = None
        # Rows may be equal in every column, so they are counted.
        self._seen: Counter[str] = Counter()

    def batches(self, interval_seconds: float) -> Iterator[list[dict[str, Any]]]:
        """New rows, looked for at every interval; never ends."""
        waiting = threading.Event()
        while True:
            if rows := self.new_rows():
                yield rows
            waiting.wait(interval_seconds)

    def new_rows(self) -> list[dict[str, Any]]:
        """The rows that have landed since the last call, oldest first.

        A table that can't be reached just now has none; the next call asks again.
        """
        try:
            return self._read()
        except (TableNotFoundError, TableUnavailableError):
            return []

    def _read(self) -> list[dict[str, Any]]:
        if self._newest is None:
            return self._read_first()
        new = self._unseen(self._rows_within_lateness(self._newest))
        if new:
            self._newest = max(self._newest, new[-1]["recorded_at"])
        return new

    def _read_first(self) -> list[dict[str, Any]]:
        newest = newest_rows(self._lakehouse, self._table, limit=1, level=self._level)
        if not newest:
            return []
        self._newest = newest[0]["recorded_at"]
        recent = self._unseen(self._rows_within_lateness(self._newest))
        if len(recent) >= self._limit:
            return recent[-self._limit :]
        rows = newest_rows(self._lakehouse, self._table, limit=self._limit, level=self._level)
        older = [row for row in rows if row["recorded_at"] < recent[0]["recorded_at"]]
        return older[len(recent) - self._limit :] + recent

    def _unseen(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        counted: Counter[str] = Counter()
        unseen = []
        for row in rows:
            key = as_json(row)
            counted[key] += 1
            if counted[key] > self._seen[key]:
                unseen.append(row)
        self._seen = counted
        return unseen

    def _rows_within_lateness(self, newest: dt.datetime) -> list[dict[str, Any]]:
        # A machine whose clock is ahead must not hide the rows of the others.
        since = min(newest, dt.datetime.now(dt.timezone.utc)) - LATENESS
        return rows_since(self._lakehouse, self._table, since, level=self._level)
