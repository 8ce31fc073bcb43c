"""What a session logs, brought to its table: a problem is told, and never raised."""

from __future__ import annotations

import logging
from collections.abc import Callable

from spectra_logging.activity import ACTIVITY_LOGGER
from spectra_logging.redaction import describe_error
from spectra_logging.session import alerts, endings, routing
from spectra_logging.session.run import SessionRun

__all__ = ["connect", "log_and_wait", "warn"]

_logger = logging.getLogger("spectra_logging.session")


def connect(run: SessionRun) -> None:
    """See that handlers write the run's rows; what is in the way is warned of once."""
    problem = _why_unconnected(run)
    if problem is not None and problem != run.told_problem:
        run.told_problem = problem
        warn(f"the activity log is not written: {problem}")


def log_and_wait(run: SessionRun, log_row: Callable[[], None], timeout_seconds: float) -> bool:
    """Log a row and wait until it is in the table.

    Args:
        run: The run.
        log_row: Logs the row.
        timeout_seconds: The longest wait.

    Returns:
        Whether it is there. If not, a warning says where it is, or what stopped it.
    """
    try:
        unconnected = _why_unconnected(run)
        watch = routing.Watch(run.execution_id)
        log_row()
        if watch.has_taken:
            # Also where rows of a lower level would not have passed.
            problem = watch.wait(timeout_seconds)
        else:
            problem = unconnected or (
                f"no handler took it; a filter of the logger {ACTIVITY_LOGGER!r}, or of the "
                "DeltaHandler there or above it, stops it"
            )
        _tell_of_killed_runs(run, watch)
    except Exception as error:  # noqa: BLE001 - recording never fails the stage
        problem = describe_error(error)
    if problem is not None:
        warn(f"the session's record is not in its table: {problem}")
    return problem is None


def warn(message: str) -> None:
    """Warn the notebook, also after a ``dictConfig`` there, which disables loggers it omits."""
    _logger.disabled = False
    _logger.warning(message)


def _why_unconnected(run: SessionRun) -> str | None:
    """Connect the run's handlers; what keeps its rows from being written, if anything does."""
    problem = routing.connect(run.execution_id, run.table)
    alerts.reconnect(run.execution_id)
    return problem


def _tell_of_killed_runs(run: SessionRun, watch: routing.Watch) -> None:
    """Say which runs had ended without a word: nobody else is there any more to say so."""
    killed = [name for name in watch.unrecorded_runs() if not endings.is_open(name)]
    if killed:
        # Where no logging is configured, the message is all that is shown.
        event = (
            "an earlier run was killed before it recorded how it went; the rows that it had logged "
            f"are in the table now: {', '.join(killed)}"
        )
        run.log.error(event, execution_id=run.execution_id, killed_runs=killed)
