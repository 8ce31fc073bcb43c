"""What a handler has for Discord: kept in memory, bounded, and folded where it repeats itself."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence

from spectra_logging.discord.guard import Guard
from spectra_logging.discord.ledger import Ledger, OutboxFigures
from spectra_logging.discord.limits import EMBEDS_MAX
from spectra_logging.discord.notice import Key, Notice, bound_fields, freeze, key_of
from spectra_logging.discord.queue import NoticeQueue
from spectra_logging.exc_info import exc_info_triple

__all__ = ["Outbox"]

REMEMBERED_KEYS = 2000


class Outbox:
    """The notices of one handler that wait for their turn, most severe first.

    Equal records are one notice: those that come while it waits are counted on it, those that come
    after it was sent are counted on a second one, which is due when the storm's window ends. What a
    session logs waits a little for the record of the session's end and is sent within it.

    Safe to call from any thread, from a signal handler and from a finaliser that runs in the middle
    of a call. What is guarded takes microseconds and waits for nothing.

    Args:
        storm_window_seconds: How long equal records are folded.
        run_window_seconds: How long a session's records wait for the session's end.
        max_records: The most notices that wait.
        max_bytes: About what they may take up together.
        on_new: Called with each notice more, holding no lock.
    """

    def __init__(
        self,
        *,
        storm_window_seconds: float,
        run_window_seconds: float,
        max_records: int,
        max_bytes: int,
        on_new: Callable[[Notice], None],
    ) -> None:
        self._storm_window_seconds = storm_window_seconds
        self._run_window_seconds = run_window_seconds
        self._queue = NoticeQueue(max_records, max_bytes)
        self._on_new = on_new
        self.begin()

    def begin(self) -> None:
        """Be as new: also in a forked child, where what waits is the parent's to send."""
        self._guard = Guard()
        self._ledger = Ledger()
        self._queue.clear()
        self._sent_at: OrderedDict[Key, float] = OrderedDict()
        self._last_number = 0
        self._hurried_number = 0
        self._closed_for: str | None = None
        self._untold: dict[str, int] = {}

    @property
    def closed_for(self) -> str | None:
        """Why no record is taken any more, as it is counted; ``None`` while they are."""
        return self._closed_for

    # -- taking records ------------------------------------------------------------------------

    def add(self, record: logging.LogRecord) -> None:
        """Take a record; what it says is frozen here.

        Raises:
            Exception: Whatever the record itself raises when it is looked at. It is counted.
        """
        if self._guard.is_busy_here():
            self._guard.put_off(lambda: self._add_later(record))
            return
        try:
            bound = bound_fields()
            exc_info = exc_info_triple(record.exc_info) if record.exc_info else None
            key = key_of(record, bound, exc_info)
            if self._may_be_settled_at_once(key):
                with self._guard:
                    if self._is_settled_at_once(key, record):
                        return
            notice = freeze(record, key, bound, exc_info)
        except BaseException:
            self.count_dropped("internal_error")
            raise
        with self._guard:
            # While it was frozen another thread may have brought its equal.
            if self._is_settled_at_once(key, record) or not self._make_room(notice):
                return
            self._ledger.emitted += 1
            self._last_number += 1
            notice.number = self._last_number
            notice.due_at_seconds = self._due_at(notice)
            if key.is_run:
                self._take_along(notice)
            self._queue.put(notice)
        self._on_new(notice)

    def _add_later(self, record: logging.LogRecord) -> None:
        try:
            self.add(record)
        except Exception:  # noqa: BLE001, S110 - it is counted, and this log call is not its own
            pass

    def _may_be_settled_at_once(self, key: Key) -> bool:
        """A look without the guard, which is for saving a record's freezing, and so may err."""
        return (
            key in self._queue.waiting
            or key.is_run
            or self._closed_for is not None
            or self._queue.is_full
        )

    def _is_settled_at_once(self, key: Key, record: logging.LogRecord) -> bool:
        """Whether the record needs no notice of its own; it is counted then."""
        if self._closed_for is not None:
            self._ledger.drop(self._closed_for, 1)
        elif not self._fold(key, record):
            if not self._queue.is_full or key.levelno > self._queue.lowest_level(default=0):
                return False
            self._drop_full(1)
        self._ledger.emitted += 1
        return True

    def count_dropped(self, reason: str) -> None:
        """Count a record that was not taken at all."""
        if self._guard.is_busy_here():
            self._guard.put_off(lambda: self.count_dropped(reason))
            return
        with self._guard:
            self._ledger.emitted += 1
            self._ledger.drop(reason, 1)

    def _fold(self, key: Key, record: logging.LogRecord) -> bool:
        """Whether the record is one more of what waits, or of what needs no second telling."""
        waiting = self._queue.waiting.get(key)
        if waiting is not None:
            waiting.count += 1
            waiting.last_at = record.created
            return True
        if key.is_run:
            # One run is one message, however often its end is recorded.
            if (in_flight := self._queue.in_flight.get(key)) is not None:
                in_flight.count += 1
                return True
            if key in self._sent_at:
                self._ledger.delivered += 1
                return True
        return False

    def _due_at(self, notice: Notice) -> float:
        now = time.monotonic()
        sent_at = now if notice.key in self._queue.in_flight else self._sent_at.get(notice.key)
        if sent_at is not None and now < sent_at + self._storm_window_seconds:
            notice.is_repeat = True
            return sent_at + self._storm_window_seconds
        if notice.key.execution_id and not notice.key.is_run:
            return now + self._run_window_seconds
        return now

    def _take_along(self, run: Notice) -> None:
        """Make what a session has logged before its end part of the notice of its end."""
        mine = [
            notice
            for notice in self._queue.waiting.values()
            if notice.key.execution_id == run.key.execution_id and not notice.key.is_run
        ]
        if run.key.failed:
            for notice in mine:
                self._queue.remove(notice)
            run.along = tuple(sorted(mine, key=lambda notice: notice.number))
            run.size += sum(notice.size for notice in mine)
        else:
            # Errors in a run that succeeded are told as errors, but need wait no longer.
            for notice in mine:
                notice.due_at_seconds = min(notice.due_at_seconds, run.due_at_seconds)

    # -- room ------------------------------------------------------------------------------------

    def _make_room(self, notice: Notice) -> bool:
        """Whether there is room, made by dropping what is less severe, the newest first."""
        while not self._queue.has_room_for(notice):
            least = self._queue.lowest_level(default=notice.key.levelno)
            if least >= notice.key.levelno:
                if self._queue.is_empty:
                    return True  # One notice larger than all the room there is: better than none.
                self._ledger.emitted += 1
                self._drop_full(1)
                return False
            newest = self._queue.newest_of(least)
            self._queue.remove(newest)
            self._drop_full(newest.total)
        return True

    def _drop_full(self, count: int) -> None:
        self._ledger.drop("queue_full", count)
        self._untold["queue_full"] = self._untold.get("queue_full", 0) + count

    # -- giving them to the sender -----------------------------------------------------------------

    def seconds_until_due(self) -> float | None:
        """How long until a notice is due; ``None`` while there is none."""
        with self._guard:
            if not self._queue.waiting:
                return None
            due = min(self._due(notice) for notice in self._queue.waiting.values())
        return max(0.0, due - time.monotonic())

    def _due(self, notice: Notice) -> float:
        return 0.0 if notice.number <= self._hurried_number else notice.due_at_seconds

    def take(self) -> list[Notice]:
        """The notices for the next message, most severe first; they are in flight from here on."""
        now = time.monotonic()
        with self._guard:
            self._forget_old(now)
            due = [notice for notice in self._queue.waiting.values() if self._due(notice) <= now]
            due.sort(key=lambda notice: (-notice.key.levelno, notice.number))
            taken = due[:EMBEDS_MAX]
            for notice in taken:
                self._queue.take_off(notice)
        return taken

    def give_back(self, notices: Sequence[Notice]) -> None:
        """Let notices wait again; what has come of their kind since is counted on them."""
        with self._guard:
            for notice in reversed(notices):
                if not self._queue.land(notice):
                    continue  # The outbox has been closed since.
                since = self._queue.waiting.get(notice.key)
                if since is not None:
                    self._queue.remove(since)
                    notice.count += since.total
                    notice.last_at = since.last_at
                self._queue.put_back(notice)

    def settle(self, notices: Collection[Notice], outcome: str) -> None:
        """Book notices as ``delivered``, ``unknown``, ``failed`` or, by another word, dropped."""
        now = time.monotonic()
        with self._guard:
            for notice in notices:
                if not self._queue.land(notice):
                    continue
                self._ledger.book(notice.total, outcome)
                if not notice.key.is_run or outcome in {"delivered", "unknown"}:
                    self._sent_at[notice.key] = now
                    self._sent_at.move_to_end(notice.key)

    def _forget_old(self, now: float) -> None:
        sent_at = self._sent_at
        while sent_at:
            key, moment = next(iter(sent_at.items()))
            # A run's end is told once, however late it is told again.
            over = not key.is_run and now - moment > self._storm_window_seconds
            if not over and len(sent_at) <= REMEMBERED_KEYS:
                return
            del sent_at[key]

    # -- waiting for them, and the end -------------------------------------------------------------

    def hurry(self) -> int:
        """Make all that waits due now; returns the number to ask :meth:`is_settled` for."""
        with self._guard:
            self._hurried_number = self._last_number
            return self._last_number

    def is_settled(self, number: int) -> bool:
        """Whether nothing of what there was at that number waits or is in flight."""
        with self._guard:
            return all(
                notice.number > number
                for notices in (self._queue.waiting, self._queue.in_flight)
                for notice in notices.values()
            )

    def take_no_more(self, reason: str) -> None:
        """Take no more records, which count as dropped for that; what waits is sent yet."""
        with self._guard:
            self._closed_for = self._closed_for or reason

    def close(self, reason: str) -> int:
        """Take no more, and give up what waits; what is in flight may arrive or not.

        Args:
            reason: What both are counted as.

        Returns:
            How many records were given up.
        """
        with self._guard:
            self._closed_for = self._closed_for or reason
            given_up = sum(notice.total for notice in self._queue.waiting.values())
            if given_up:
                self._ledger.drop(reason, given_up)
            for notice in self._queue.in_flight.values():
                self._ledger.book(notice.total, "unknown")
                given_up += notice.total
            self._queue.clear()
        return given_up

    def untold_drops(self) -> dict[str, int]:
        """Drops that no message has told of, by reason."""
        with self._guard:
            return dict(self._untold)

    def note_told(self, drops: Mapping[str, int]) -> None:
        """Take down that a message has told of drops."""
        with self._guard:
            for reason, count in drops.items():
                self._untold[reason] -= count
                if not self._untold[reason]:
                    del self._untold[reason]

    def figures(self) -> OutboxFigures:
        """What became of the records."""
        with self._guard:
            return self._ledger.figures()
