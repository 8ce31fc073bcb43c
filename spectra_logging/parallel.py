"""Several calls at once, for work that lets the GIL go."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from spectra_logging.feedback import as_worker, worker_idents

__all__ = ["Task", "call_all", "usable_cores"]

_T = TypeVar("_T")


class Task(Generic[_T]):
    """A call on a thread of its own, which is a daemon, and what comes of it.

    The thread is a worker thread if the one that made the task is. Where Python starts no more
    threads, as at the interpreter's exit, the call is made when its end is waited for.

    Args:
        function: What to call.
        at_once: Whether to begin now. Else the call is made, too, when its end is waited for, on
            the thread that waits.
    """

    def __init__(self, function: Callable[[], _T], *, at_once: bool = True) -> None:
        self._function = function
        self._for_worker = threading.get_ident() in worker_idents
        self._results: list[_T] = []
        self._error: BaseException | None = None
        self._wait: Callable[[], None] = self._call
        if at_once:
            thread = threading.Thread(
                target=self._call_beside, name="spectra-logging-helper", daemon=True
            )
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._wait = thread.join

    def _call_beside(self) -> None:
        with as_worker() if self._for_worker else contextlib.nullcontext():
            self._call()

    def _call(self) -> None:
        if self._results or self._error:
            return
        try:
            self._results.append(self._function())
        except BaseException as error:  # noqa: BLE001 - raised to whoever asks for the result
            self._error = error

    def wait(self) -> None:
        """Wait for the call's end."""
        self._wait()

    def result(self) -> _T:
        """What the call returned, once it has.

        Raises:
            BaseException: What the call raised.
        """
        self.wait()
        if self._error is not None:
            raise self._error
        return self._results[0]


def call_all(functions: Sequence[Callable[[], _T]]) -> list[_T]:
    """Call functions at the same time: the first on this thread, each other on one of its own.

    Returns:
        What each returned, in their order.

    Raises:
        BaseException: What the first of those that failed raised, when all have ended.
    """
    tasks = [Task(function, at_once=number > 0) for number, function in enumerate(functions)]
    for task in tasks:
        task.wait()
    return [task.result() for task in tasks]


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
