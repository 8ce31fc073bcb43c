"""When Discord allows the next request, as its answers say."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["EDGE_COOLDOWN_SECONDS", "RateLimit"]

EDGE_COOLDOWN_SECONDS = 900.0
"""How long to be silent after a 429 that does not say: it comes from the network's edge, which bans
an address that goes on asking."""

_TOO_MANY_REQUESTS = 429
_SHORTEST_WAIT_SECONDS = 0.1
_LONGEST_SHORTEST_WAIT_SECONDS = 60.0


class RateLimit:
    """The rate limit of one webhook, on the monotonic clock, which nobody sets."""

    def __init__(self) -> None:
        self._free_at_seconds = 0.0
        self._refusals = 0
        """Answers of 429 in a row."""

    def note(self, status: int, headers: Mapping[str, str], body: Any) -> None:
        """Take down what an answer says.

        Args:
            status: Its HTTP status.
            headers: Its headers, their names in any case.
            body: Its body, read as JSON; anything where it was none.
        """
        seconds = 0.0
        retry_after = [_seconds(headers.get("Retry-After"))]
        if status == _TOO_MANY_REQUESTS:
            retry_after.append(
                _seconds(body.get("retry_after") if isinstance(body, dict) else None)
            )
        told = [wait for wait in retry_after if wait is not None]
        if told:
            seconds = max(told)
        elif status == _TOO_MANY_REQUESTS:
            seconds = EDGE_COOLDOWN_SECONDS
        elif _seconds(headers.get("X-RateLimit-Remaining")) == 0:
            seconds = _seconds(headers.get("X-RateLimit-Reset-After")) or 0.0
        self._refusals = self._refusals + 1 if status == _TOO_MANY_REQUESTS else 0
        if self._refusals:
            # A server that says 0 again and again must not be asked in a loop.
            doubled = _SHORTEST_WAIT_SECONDS * (1 << min(self._refusals - 1, 10))
            seconds = max(seconds, min(doubled, _LONGEST_SHORTEST_WAIT_SECONDS))
        if seconds:
            self._free_at_seconds = max(self._free_at_seconds, time.monotonic() + seconds)

    def seconds_until_free(self) -> float:
        """How long to wait; 0 when a request may be made."""
        return max(0.0, self._free_at_seconds - time.monotonic())


def _seconds(value: Any) -> float | None:
    """The value as a number of seconds; ``None`` for anything that is none."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
