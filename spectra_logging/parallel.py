"""Several calls at once, for work that lets the GIL go."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from spectra_logging.worker import worker_idents

__all__ = ["call_all", "usable_cores"]

_T = TypeVar("_T")


class _Call(Generic[_T]):
    """A call, and what came of it."""

    def __init__(self, function: Callable[[], _T], *, for_worker: bool) -> None:
        self._function = function
        self._for_worker = for_worker
        self._error: BaseException | None = None
        self._result: list[_T] = []

    def __call__(self) -> None:
        ident = threading.get_ident()
        adopts = self._for_worker and ident not in worker_idents
        if adopts:
            worker_idents.add(ident)
        try:
            self._result = [self._function()]
        except BaseException as error:  # noqa: BLE001 - raised to whoever asks for the result
            self._error = error
        finally:
            if adopts:
                worker_idents.discard(ident)

    def result(self) -> _T:
        if self._error is not None:
            raise self._error
        return self._result[0]


def call_all(functions: Sequence[Callable[[], _T]]) -> list[_T]:
    """Call functions at the same time: the first on this thread, each other on one of its own.

    The threads are daemons, end before this returns, and are worker threads if this one is. Where
    Python starts no more threads, as at the interpreter's exit, the calls are made one by one.

    Returns:
        What each returned, in their order.

    Raises:
        BaseException: What the first of those that failed raised, when all have ended.
    """
    for_worker = threading.get_ident() in worker_idents
    calls = [_Call(function, for_worker=for_worker) for function in functions]
    here, threads = calls[:1], list[threading.Thread]()
    for call in calls[1:]:
        thread = threading.Thread(target=call, name="spectra-logging-helper", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            here.append(call)
        else:
            threads.append(thread)
    for call in here:
        call()
    for thread in threads:
        thread.join()
    return [call.result() for call in calls]


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
