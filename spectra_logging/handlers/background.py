"""What handlers whose slow part runs on a background thread have in common."""

from __future__ import annotations

import logging
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from spectra_logging.feedback import TakesNoFeedback
from spectra_logging.forks import at_fork, catch_up_with_fork

__all__ = ["BackgroundHandler", "level_of"]

_JUST_NOW_SECONDS = 1.0


class BackgroundHandler(logging.Handler, TakesNoFeedback, ABC):
    """A handler whose :meth:`emit` only keeps the record; a background thread delivers it.

    It holds no lock while a record is taken, waits with deadlines only, and begins anew in a forked
    child. A subclass calls this class's ``__init__`` at the end of its own: ``logging`` knows a
    handler from there on, and flushes and closes it at exit, also one that an option refused has
    left half built.

    Args:
        level: Lowest level to handle, as a number.
        shutdown_timeout_seconds: The longest that :meth:`close` takes.
    """

    def __init__(self, level: int, shutdown_timeout_seconds: float) -> None:
        self._shutdown_timeout_seconds = shutdown_timeout_seconds
        self._gave_up_at_seconds = 0.0
        super().__init__(level)
        _handlers.add(self)

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """Have no lock: none is held while a record is taken, nor may one be held while waiting."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record, unless a filter stops it.

        Unlike the base class's, this holds no lock: what ``emit`` appends to has its own.
        """
        if self.filters:
            passed = self.filter(record)
            if not passed:
                return False
            if isinstance(passed, logging.LogRecord):
                record = passed
        self.emit(record)
        return True

    def flush(self, timeout_seconds: float | None = None) -> bool:  # type: ignore[override]
        """Wait until every record emitted so far has been delivered.

        Args:
            timeout_seconds: How long to wait; by default ``shutdown_timeout_seconds``.

        Returns:
            Whether they have.
        """
        catch_up_with_fork()
        with _module_lock_let_go():
            done = self._deliver(timeout_seconds)
        # After a shorter wait than its own time-out, close() waits for itself.
        whole = timeout_seconds is None or timeout_seconds >= self._shutdown_timeout_seconds
        self._gave_up_at_seconds = time.monotonic() if whole and not done else 0.0
        return done

    def close(self) -> None:
        """Flush and end the background thread, both within the shutdown time-out."""
        catch_up_with_fork()
        deadline = time.monotonic() + self._shutdown_timeout_seconds
        # logging.shutdown() flushes and then closes; what was waited for in vain by the one is not
        # waited for again by the other.
        if time.monotonic() - self._gave_up_at_seconds > _JUST_NOW_SECONDS:
            self.flush()
        gave_up = self._gave_up_at_seconds > 0
        with _module_lock_let_go():
            self._end(0.0 if gave_up else deadline - time.monotonic())
        super().close()

    def _after_fork_in_child(self) -> None:
        """Forget what is the parent's."""
        self._gave_up_at_seconds = 0.0

    def _after_fork_in_parent(self) -> None:
        """See to what the child may leave."""

    @abstractmethod
    def _deliver(self, timeout_seconds: float | None) -> bool:
        """Have what was emitted delivered; ``None`` is the handler's own time-out."""

    @abstractmethod
    def _end(self, timeout_seconds: float) -> None:
        """End the background thread and say what was not delivered."""


@contextmanager
def _module_lock_let_go() -> Iterator[None]:
    """Hold ``logging``'s module lock no more until the block's end, however often it is held.

    ``logging.config.dictConfig`` holds it while it closes handlers. Others want it while they hold
    what a handler waits for: a library that the background thread loads or calls, and the garbage
    collector, which takes it for each handler that it frees, on whichever thread it runs.
    """
    lock = logging._lock  # type: ignore[attr-defined] # noqa: SLF001 - dictConfig uses it so
    times = 0
    try:
        while True:
            try:
                lock.release()
            except RuntimeError:  # this thread holds it no more
                break
            times += 1
        yield
    finally:
        for _ in range(times):
            lock.acquire()


def level_of(record: logging.LogRecord) -> int:
    """A record's level, also where ``makeLogRecord`` or a subclass has left it no number."""
    level: object = record.levelno
    if not isinstance(level, int):
        name = record.levelname
        level = logging.getLevelName(name) if isinstance(name, str) else 0
    return level if isinstance(level, int) else 0


_handlers: weakref.WeakSet[BackgroundHandler] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for handler in list(_handlers):
        handler._after_fork_in_child()  # noqa: SLF001 - the registry belongs to the class


def _after_fork_in_parent() -> None:
    for handler in list(_handlers):
        handler._after_fork_in_parent()  # noqa: SLF001 - the registry belongs to the class


at_fork(after_in_child=_after_fork_in_child, after_in_parent=_after_fork_in_parent)
