"""Locks between processes, as files, that a fork neither shares nor drops.

By the standard library alone. The package filelock adds an audit hook to the interpreter as it is
imported (4.2, from Python 3.12 on), which CPython calls for every ``sys._getframe``, and so slows
every log call of the program, to whatever handler, by a quarter.
"""

from __future__ import annotations

import errno
import os
import sys
import time
import weakref
from pathlib import Path

from spectra_logging.forks import at_fork

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # One byte from the descriptor's position, which nobody moves from the file's start.
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


__all__ = ["FileLock", "is_held_here"]

_HELD_ELSEWHERE = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK})
if sys.platform == "win32":
    _HELD_ELSEWHERE |= {errno.EDEADLOCK, 0}  # Wine's C library tells no number


class FileLock:
    """An exclusive lock on a file, held by this process until released or dead.

    The operating system drops it when the process ends, however it ends. A forked child never
    holds it: the inherited descriptor is closed there, which leaves the parent's lock alone.

    Args:
        path: The lock's file; it is created when missing. The lock never removes it, though a
            journal removes those of owners that are gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        _locks.add(self)

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, timeout_seconds: float = 0.0) -> bool:
        """Take the lock, waiting at most that long.

        Returns:
            Whether it is held now; ``False`` when somebody else holds it.

        Raises:
            OSError: The file can't be opened or the file system can't lock.
        """
        deadline = time.monotonic() + timeout_seconds
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            while not _taken(descriptor):
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(0.001)
        except BaseException:
            os.close(descriptor)
            raise
        _held.add(self.path)
        self._descriptor = descriptor
        return True

    def keep_young(self) -> bool:
        """Set the file's times to now: what cleans folders for temporary files goes by its age.

        Returns:
            Whether it is still there.
        """
        try:
            os.utime(self.path)
        except FileNotFoundError:
            return False
        except OSError:
            pass  # It only grows older.
        return True

    def release(self) -> None:
        """Let the lock go; without effect when it isn't held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _held.discard(self.path)
            # Closing alone would leave it locked while a child just forked still has a copy.
            _unlock(descriptor)
            os.close(descriptor)

    def _forget_in_child(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in _HELD_ELSEWHERE:
            return False
        raise
    return True


def is_held_here(path: Path) -> bool:
    """Whether this process holds the lock of that file, which may have been removed meanwhile."""
    return path in _held


_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()
_held = set[Path]()


def _after_fork_in_child() -> None:
    _held.clear()
    for lock in list(_locks):
        lock._forget_in_child()  # noqa: SLF001 - the registry belongs to the class


at_fork(after_in_child=_after_fork_in_child)
