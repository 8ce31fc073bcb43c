"""The two ids of a row in the activity log."""

from __future__ import annotations

import os
import time
import uuid
from datetime import datetime, timedelta

__all__ = ["new_activity_id", "new_execution_id"]

REMEMBERED_IDS = 10_000
"""A tick of the coarsest clock is over by then; a program of many sessions must not grow us."""

_last_stamp = 0
_execution_ids: dict[str, object] = {}


def new_execution_id(notebook_name: str, started_at: datetime) -> str:
    """One session's id: ``<notebook_name>_<YYYYMMDD>_<HHMMSS>_<microseconds>``.

    Args:
        notebook_name: The notebook.
        started_at: When the session began, in UTC. Where another of this process has that id, as
            within one tick of a coarse clock, the microseconds are counted on.
    """
    if len(_execution_ids) >= REMEMBERED_IDS:
        _execution_ids.clear()
    own = object()
    while True:
        execution_id = f"{notebook_name}_{started_at:%Y%m%d_%H%M%S_%f}"
        # In one call, which no thread gets in between of, and without a lock, as below.
        if _execution_ids.setdefault(execution_id, own) is own:
            return execution_id
        started_at += timedelta(microseconds=1)


def new_activity_id() -> str:
    """One row's id: a UUID of version 7 (RFC 9562), unique everywhere and sorting by time.

    The 48 bits of milliseconds are followed by 12 bits of their fraction, so that ids made one
    after the other sort in that order also within a millisecond, and when the clock steps back.
    """
    global _last_stamp  # noqa: PLW0603 - the last stamp of this process
    # No lock: one held by another thread during a fork would hang the child. Two threads that
    # draw the same stamp still differ in 62 random bits.
    stamp = max((time.time_ns() << 12) // 1_000_000, _last_stamp + 1)
    _last_stamp = stamp
    random = int.from_bytes(os.urandom(8), "big") >> 2
    milliseconds, fraction = stamp >> 12, stamp & 0xFFF
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 0b10 << 62 | random))
