"""Notices between the log call and Discord's answer, no more of them than there is room for."""

from __future__ import annotations

from spectra_logging.discord.notice import Key, Notice

__all__ = ["NoticeQueue"]


class NoticeQueue:
    """The notices that wait and those that are in flight; for one thread at a time.

    Args:
        max_records: The most notices.
        max_bytes: About what they may take up together.

    Attributes:
        waiting: Those that wait, by key.
        in_flight: Those that are being sent, by key.
    """

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self.clear()

    def clear(self) -> None:
        """Forget all notices."""
        self.waiting: dict[Key, Notice] = {}
        self.in_flight: dict[Key, Notice] = {}
        self._bytes = 0
        self._by_level: dict[int, dict[Key, Notice]] = {}
        """Those that wait, for finding the least severe; no entry is empty."""

    @property
    def is_full(self) -> bool:
        """Whether there are as many notices as there may be."""
        return len(self.waiting) + len(self.in_flight) >= self._max_records

    @property
    def is_empty(self) -> bool:
        """Whether no notice waits or is in flight."""
        return not self.waiting and not self.in_flight

    def has_room_for(self, notice: Notice) -> bool:
        """Whether one more notice stays within the bounds."""
        return not self.is_full and self._bytes + notice.size <= self._max_bytes

    def lowest_level(self, default: int) -> int:
        """The level of the least severe notices that wait; ``default`` where none does."""
        return min(self._by_level, default=default)

    def newest_of(self, level: int) -> Notice:
        """The notice of a level that came last of those that wait."""
        return next(reversed(self._by_level[level].values()))

    def put(self, notice: Notice) -> None:
        """Have a notice wait."""
        self.waiting[notice.key] = notice
        self._bytes += notice.size
        self._by_level.setdefault(notice.key.levelno, {})[notice.key] = notice

    def put_back(self, notice: Notice) -> None:
        """Have a notice wait again, as one that came before all others of its level."""
        self.put(notice)
        same_level = self._by_level[notice.key.levelno]
        del same_level[notice.key]
        self._by_level[notice.key.levelno] = {notice.key: notice, **same_level}

    def remove(self, notice: Notice) -> None:
        """Take out a notice that waits."""
        del self.waiting[notice.key]
        self._bytes -= notice.size
        same_level = self._by_level[notice.key.levelno]
        del same_level[notice.key]
        if not same_level:
            del self._by_level[notice.key.levelno]

    def take_off(self, notice: Notice) -> None:
        """Have a notice that waits be in flight."""
        self.remove(notice)
        self.in_flight[notice.key] = notice
        self._bytes += notice.size

    def land(self, notice: Notice) -> bool:
        """Whether a notice was in flight; it no longer is."""
        if self.in_flight.get(notice.key) is not notice:
            return False
        del self.in_flight[notice.key]
        self._bytes -= notice.size
        return True
