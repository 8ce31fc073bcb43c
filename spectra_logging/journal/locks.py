"""Locks between processes, as files, that a fork neither shares nor drops."""

from __future__ import annotations

import os
import time
import weakref
from pathlib import Path

__all__ = ["FileLock"]


class FileLock:
    """An exclusive lock on a file, held by this process until released or dead.

    The operating system drops it when the process ends, however it ends. A forked child never
    holds it: the inherited descriptor is closed there, which leaves the parent's lock alone.

    Args:
        path: The lock's file; it is created when missing and never removed.
    """

    def __init__(self, path: Path) -> None:
        # Not at this module's import, since the package takes longer to load than all of ours, and
        # no later than this: at interpreter exit it can't be loaded any more.
        from filelock import lock_descriptor, unlock_descriptor

        self._lock_descriptor, self._unlock_descriptor = lock_descriptor, unlock_descriptor
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
            while not self._lock_descriptor(descriptor, blocking=False):
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(0.001)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let the lock go; without effect when it isn't held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Closing alone would leave it locked while a child just forked still has a copy.
            self._unlock_descriptor(descriptor)
            os.close(descriptor)

    def _forget_in_child(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for lock in list(_locks):
        lock._forget_in_child()  # noqa: SLF001 - the registry belongs to the class


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
