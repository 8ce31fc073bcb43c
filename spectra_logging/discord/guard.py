"""A lock that a signal handler or a finaliser may come upon in the midst of what it guards."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

__all__ = ["Guard"]


class Guard:
    """Keeps threads apart, and what runs in the midst of a guarded block out of it.

    A signal handler may log while the thread below it on the stack holds the lock: it must neither
    wait for it, nor change what that thread is about to change. It asks
    :meth:`is_busy_here`, and has itself :meth:`put off <put_off>`.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._owner: int | None = None
        self._put_off: deque[Callable[[], None]] = deque()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1
        self._owner = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        put_off = None
        if not self._depth:
            self._owner = None
            if self._put_off:
                # Taken out, so that the blocks these calls enter don't go on with them, each within
                # the one before.
                put_off, self._put_off = self._put_off, deque()
        self._lock.release()
        while put_off:
            put_off.popleft()()

    def is_busy_here(self) -> bool:
        """Whether this thread is in the midst of a guarded block; others may be in one."""
        return self._owner == threading.get_ident()

    def put_off(self, call: Callable[[], None]) -> None:
        """Call a function behind the guarded block that this thread is in the midst of."""
        self._put_off.append(call)
