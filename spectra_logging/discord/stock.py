"""The notices that an outbox holds: bounded, and the least severe go first."""

from __future__ import annotations

from spectra_logging.discord.notice import Key, Notice

__all__ = ["Stock"]


class Stock:
    """Notices that wait for their turn, and those in flight. For one thread at a time.

    Args:
        max_records: The most notices there are.
        max_bytes: About what they may take up together.

    Attributes:
        waiting: Those that wait, by key; read only, as is the other.
        in_flight: Those that are being sent.
    """

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._bytes = 0
        self.waiting: dict[Key, Notice] = {}
        self.in_flight: dict[Key, Notice] = {}
        self._by_level: dict[int, dict[Key, Notice]] = {}
        """Those that wait, for finding the least severe; no entry is empty."""

    def is_full(self) -> bool:
        """Whether one more takes another's room."""
        return len(self.waiting) + len(self.in_flight) >= self._max_records

    def has_room_for(self, notice: Notice) -> bool:
        """Whether it can be put without another going."""
        count = len(self.waiting) + len(self.in_flight)
        if count < self._max_records and self._bytes + notice.size <= self._max_bytes:
            return True
        # One notice larger than all the room there is: better than none.
        return not count

    def holds_less_severe(self, levelno: int) -> bool:
        """Whether something that waits would have to go before a notice of that level."""
        return min(self._by_level, default=levelno) < levelno

    def pop_less_severe(self, levelno: int) -> Notice | None:
        """Remove the newest of the least severe that wait; ``None`` if none is below that level."""
        if not self.holds_less_severe(levelno):
            return None
        newest = next(reversed(self._by_level[min(self._by_level)].values()))
        self.remove(newest)
        return newest

    def put(self, notice: Notice) -> None:
        """Let a notice wait; none with its key does."""
        self.waiting[notice.key] = notice
        self._bytes += notice.size
        self._by_level.setdefault(notice.key.levelno, {})[notice.key] = notice

    def remove(self, notice: Notice) -> None:
        """Let a notice wait no more."""
        del self.waiting[notice.key]
        self._bytes -= notice.size
        same_level = self._by_level[notice.key.levelno]
        del same_level[notice.key]
        if not same_level:
            del self._by_level[notice.key.levelno]

    def launch(self, notice: Notice) -> None:
        """A notice that waits is being sent from now on."""
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
