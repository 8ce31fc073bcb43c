"""Backoff: how long to wait before something that failed is tried again."""

from __future__ import annotations

import time

__all__ = ["Backoff"]

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0


class Backoff:
    """Pauses between attempts, each twice as long as the one before, up to a minute."""

    def __init__(self) -> None:
        self._failures = 0
        self._over_at_seconds = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def fail(self) -> float:
        """Begin the pause after an attempt that failed; returns how long it is."""
        doubled = FIRST_PAUSE_SECONDS * (1 << min(self._failures, 10))
        pause_seconds = min(LONGEST_PAUSE_SECONDS, doubled)
        self._failures += 1
        self._over_at_seconds = time.monotonic() + pause_seconds
        return pause_seconds

    def succeed(self) -> None:
        """Have the next failure count as the first."""
        self._failures, self._over_at_seconds = 0, 0.0

    def cut_short(self) -> None:
        """End the pause, for somebody who waits; another failure is followed by a longer one."""
        self._over_at_seconds = 0.0

    def seconds_left(self) -> float:
        """How long the pause goes on; 0 when an attempt may be made."""
        return max(0.0, self._over_at_seconds - time.monotonic())
