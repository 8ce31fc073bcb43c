"""Sessions that end in another way than by ``record()`` still leave their Failed row.

Three ways are covered: the interpreter's exit, an uncaught exception among its causes; a session
object that nobody holds any more; and, through
:meth:`~spectra_logging.session.NotebookSession.__exit__`, an exception inside a ``with`` block.
``os._exit`` and a signal that kills the process leave no such row, since no Python code runs any
more; rows logged before are in the journal.
"""

from __future__ import annotations

import atexit
import logging
import sys
import weakref
from collections import deque
from typing import Any

from spectra_logging.session import alerts, routing
from spectra_logging.session.run import SessionRun

__all__ = ["close", "is_open", "opened"]

_logger = logging.getLogger(__name__)

_open_runs: dict[str, tuple[SessionRun, int]] = {}
"""Execution id → the run, and the id of what was the last uncaught exception when it began."""

_abandoned_ids: deque[str] = deque()


def opened(session: object, run: SessionRun) -> None:
    """Watch over a run until :func:`close`.

    Args:
        session: The object whose end is the run's end; only a weak reference is kept.
        run: The run.
    """
    _release_abandoned()
    _open_runs[run.execution_id] = run, id(_last_uncaught_exception())
    weakref.finalize(session, _session_abandoned, run).atexit = False
    # Exit functions run last in, first out: ours goes before those of logging and of the handlers
    # that exist by now.
    atexit.unregister(_interpreter_exits)
    atexit.register(_interpreter_exits)


def close(run: SessionRun) -> None:
    """Watch no longer over a run, and close the handler attached for it."""
    _forget(run)
    _disconnect(run.execution_id)
    _release_abandoned()


def is_open(execution_id: str) -> bool:
    """Whether a run of this process has not ended."""
    return execution_id in _open_runs


def _forget(run: SessionRun) -> bool:
    """Whether the run was open until now."""
    return _open_runs.pop(run.execution_id, None) is not None


def _session_abandoned(run: SessionRun) -> None:
    # Runs wherever the garbage collector happens to: it logs, and takes no lock and waits for
    # nothing. The handler writes the row in its own time and is closed by who comes next.
    if run.is_this_process and _forget(run):
        if not run.recorded:
            run.log_ending("the session object was dropped before finalise()")
        _abandoned_ids.append(run.execution_id)


def _release_abandoned() -> None:
    while _abandoned_ids:
        _disconnect(_abandoned_ids.popleft())


def _disconnect(execution_id: str) -> None:
    alerts.disconnect(execution_id)
    routing.disconnect(execution_id)


def _interpreter_exits() -> None:
    exception = _last_uncaught_exception()
    for run, exception_before in list(_open_runs.values()):
        if not run.is_this_process:
            continue
        happened_since = id(exception) != exception_before
        try:
            if not run.recorded:
                routing.connect(run.execution_id, run.table)
                alerts.reconnect(run.execution_id)
                run.log_ending("the interpreter exited", exception if happened_since else None)
            close(run)
        except Exception:  # one session's trouble must not cost the next one its row
            _logger.exception("session %s could not be ended", run.execution_id)
    _release_abandoned()


def _last_uncaught_exception() -> BaseException | None:
    """The exception Python last printed as uncaught; it keeps it for debuggers."""
    last: Any = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return last if isinstance(last, BaseException) else None
