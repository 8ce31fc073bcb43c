"""Feedback: what worker threads log, which must not be fed to the sinks that they serve.

Handlers tell it from the program's own records, and take none of it; so it is seen to that users
hear of trouble all the same.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from spectra_logging.forks import at_fork
from spectra_logging.hierarchy import handlers_above
from spectra_logging.redaction import redact_text
from spectra_logging.stderr import tell

__all__ = [
    "TakesNoFeedback",
    "as_worker",
    "is_from_worker",
    "log_from_worker",
    "worker_idents",
]

worker_idents: dict[int | None, str] = {}
"""The names of the worker threads that run, by their idents.

What a sink's own thread and the libraries below it log must not be fed to the sink again.
"""


@contextmanager
def as_worker() -> Iterator[None]:
    """Have this thread be a worker thread meanwhile."""
    ident = threading.get_ident()
    worker_idents[ident] = threading.current_thread().name
    try:
        yield
    finally:
        worker_idents.pop(ident, None)


def is_from_worker(record: logging.LogRecord) -> bool:
    """Whether a worker thread logged a record in the course of its work.

    The ident alone does not tell: the system gives a new thread that of one which has ended, and
    what that one logged may come late, through a queue, or from another process. And what a
    finaliser logs there is the program's: the garbage collector runs finalisers on whichever thread
    happens to need memory.
    """
    here = threading.get_ident()
    # A program may have logging leave the thread out: then it is the one that hands it on.
    ident = here if record.thread is None else record.thread
    name = worker_idents.get(ident)
    if name is None or record.process not in (None, os.getpid()):
        return False
    if record.threadName != name and record.thread is not None:
        return False
    return ident != here or not _is_in_finaliser()


def _is_in_finaliser() -> bool:
    frame = sys._getframe(1)  # noqa: SLF001 - documented, and all that there is
    while frame is not None:
        name, module = frame.f_code.co_name, frame.f_globals.get("__name__")
        # asyncio's tasks, written in C, tell so what nobody has asked them for.
        if name == "__del__" or (name, module) in _FINALISERS:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


_FINALISERS = {("call_exception_handler", "asyncio.base_events"), ("__call__", "weakref")}


class TakesNoFeedback:
    """Marks handlers that take no record for which :func:`is_from_worker` is true."""


def log_from_worker(level: int, message: str, *, exc_info: bool = False) -> None:
    """Log to ``spectra_logging`` without taking ``logging``'s module lock.

    ``logging.config.dictConfig`` holds that lock while it waits for a handler to close; a worker
    that asked ``Logger.isEnabledFor`` then would wait for it in turn. It also disables each logger
    that it does not name, unless told not to: this one is enabled again.

    Our own handlers take no record of a worker's. Where there are no others, a warning goes to
    stderr, as ``logging.lastResort`` shows those of a program without handlers.
    """
    # It may name a table, and a store's address may hold a password.
    message = redact_text(message)
    logger = logging.getLogger("spectra_logging")
    logger.disabled = False
    if level >= logger.getEffectiveLevel() and level > logger.manager.disable:
        record = logger.makeRecord(
            logger.name,
            level,
            __file__,
            0,
            message,
            (),
            sys.exc_info() if exc_info else None,
        )
        try:
            # As Logger.handle() does, asking the filters once: one may let no message pass twice.
            passed = logger.filter(record)
            if not passed:
                return
            if isinstance(passed, logging.LogRecord):
                record = passed
            logger.callHandlers(record)
            if level >= logging.WARNING and _is_heard_by_ours_alone(logger):
                tell(logging.Formatter().format(record))
        except Exception as error:  # noqa: BLE001 - a user's filter or handler may raise
            tell(f"{message} ({type(error).__name__})")


def _is_heard_by_ours_alone(logger: logging.Logger) -> bool:
    """Whether there are handlers on the logger's way to the root, and all take no feedback."""
    handlers = [each for above in handlers_above(logger) for each in _behind(above)]
    return bool(handlers) and all(isinstance(each, TakesNoFeedback) for each in handlers)


def _behind(handler: logging.Handler) -> Sequence[logging.Handler]:
    """What a handler passes records on to, as far as it tells; else itself."""
    target = getattr(handler, "target", None)  # MemoryHandler
    if isinstance(target, logging.Handler):
        return [target]
    listener = getattr(handler, "listener", None)  # QueueHandler, by dictConfig since Python 3.12
    return getattr(listener, "handlers", None) or [handler]


def _after_fork_in_child() -> None:
    worker_idents.clear()


at_fork(after_in_child=_after_fork_in_child)
