"""The way of the activity log's rows: the handlers that users configured, else one of our own."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spectra_logging.activity import ACTIVITY_LOGGER
from spectra_logging.forks import at_fork
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.hierarchy import handlers_above
from spectra_logging.journal.folder import drain_command
from spectra_logging.redaction import redact_text
from spectra_logging.values import safe_text

__all__ = ["Watch", "connect", "disconnect"]


@dataclass
class _OwnHandler:
    """A handler that sessions attached, and the sessions it serves."""

    handler: DeltaHandler
    execution_ids: set[str] = field(default_factory=set)

    def accepts(self, record: logging.LogRecord) -> bool:
        """The handler's filter: sessions with different tables share one logger."""
        return getattr(record, "execution_id", None) in self.execution_ids


_own_handlers: dict[str, _OwnHandler] = {}
_made_here: weakref.WeakSet[DeltaHandler] = weakref.WeakSet()
"""All handlers that sessions attached: one that is being closed is no user's either."""

_runs_told: weakref.WeakKeyDictionary[DeltaHandler, int] = weakref.WeakKeyDictionary()
"""How many of a handler's runs without a record have been told."""

_lock = threading.Lock()


def connect(execution_id: str, table: str) -> str | None:
    """Make sure that a session's rows reach a table; cheap where they do already.

    A :class:`~spectra_logging.handlers.delta.DeltaHandler` for the activity log that users put on
    the logger ``spectra_logging.activity`` or above it takes the rows. Without one, a handler for
    ``table`` is attached until the last session that needs it disconnects.

    Args:
        execution_id: The session's id.
        table: Where the rows go unless users configured otherwise, as path or URI.

    Returns:
        ``None``, or in words what keeps the rows from being written.
    """
    logger = logging.getLogger(ACTIVITY_LOGGER)
    # A dictConfig disables the loggers it does not name, and takes level and handlers from those
    # below one it names. Under the root's WARNING the rows would be dropped.
    logger.disabled = False
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    configured = list(_configured_handlers(logger))
    if configured:
        # The session's only row may be the one that its end leaves, at interpreter exit.
        for handler in configured:
            handler.start()
        disconnect(execution_id)
    else:
        try:
            _attach(logger, execution_id, table)
        except Exception as error:  # noqa: BLE001 - activity logging never fails a stage
            return f"no journal can be opened for {table}: {redact_text(safe_text(error))}"
    if logger.manager.disable >= logging.INFO:
        return "logging.disable() lets no INFO record pass; call logging.disable(logging.NOTSET)"
    if not logger.isEnabledFor(logging.INFO):
        return f"the logger {ACTIVITY_LOGGER!r} lets no INFO record pass; set its level to INFO"
    return None


def _attach(logger: logging.Logger, execution_id: str, table: str) -> None:
    with _lock:
        own = _own_handlers.get(table)
        if own is None:
            own = _own_handlers[table] = _OwnHandler(DeltaHandler(table, spec="activity"))
            own.handler.addFilter(own.accepts)
            _made_here.add(own.handler)
        own.execution_ids.add(execution_id)
        if own.handler not in logger.handlers:
            logger.addHandler(own.handler)
    own.handler.start()


def disconnect(execution_id: str) -> None:
    """Close the handler attached for a session, once no other session needs it."""
    unneeded = []
    with _lock:
        for table, own in list(_own_handlers.items()):
            own.execution_ids.discard(execution_id)
            if not own.execution_ids:
                unneeded.append(_own_handlers.pop(table).handler)
    # Closing waits for the table: other sessions must not wait with it, and who interrupts the wait
    # leaves nothing attached.
    for handler in unneeded:
        logging.getLogger(ACTIVITY_LOGGER).removeHandler(handler)
        handler.close()


class Watch:
    """Whether what a session logs from now on reaches its tables.

    Args:
        execution_id: The session's id.
    """

    def __init__(self, execution_id: str) -> None:
        logger = logging.getLogger(ACTIVITY_LOGGER)
        handlers = [*_configured_handlers(logger), *_own_handlers_of(execution_id)]
        self._taken_before = {handler: _taken(handler) for handler in handlers}
        self._lost_before = {handler: _lost(handler) for handler in handlers}

    @property
    def has_taken(self) -> bool:
        """Whether a handler has taken anything since."""
        return any(_taken(handler) > before for handler, before in self._taken_before.items())

    def wait(self, timeout_seconds: float) -> str | None:
        """Wait until it has.

        Args:
            timeout_seconds: The longest wait, for all tables together.

        Returns:
            ``None`` when it has, else what is wrong, in words.
        """
        deadline = time.monotonic() + timeout_seconds
        problems = []
        for handler, lost_before in self._lost_before.items():
            in_table = handler.flush(max(0.0, deadline - time.monotonic()))
            stats = handler.stats()
            if _lost(handler) > lost_before:
                problems.append(
                    f"it was dropped or set aside on its way to {handler.table}: dropped "
                    f"{dict(stats.dropped)}, set aside {stats.quarantined}"
                )
            elif not in_table:
                error = f" ({stats.last_error})" if stats.last_error else ""
                problems.append(
                    f"it waits for {handler.table} in the journal {stats.journal_directory}"
                    f"{error}. The next process that logs there commits it, and so does: "
                    f"{drain_command(handler.table, Path(stats.journal_directory))}"
                )
        return "; ".join(problems) or None

    def unrecorded_runs(self) -> list[str]:
        """Runs whose rows the handlers have found in the journal, and no record; each told once."""
        news: list[str] = []
        for handler in self._lost_before:
            runs = handler.stats().unrecorded_runs
            news += runs[_runs_told.get(handler, 0) :]
            _runs_told[handler] = len(runs)
        return news


def _taken(handler: DeltaHandler) -> int:
    """Rows that have passed its filters; what the handler's own thread logs is no session's."""
    stats = handler.stats()
    return stats.emitted - stats.dropped.get("own_thread", 0)


def _lost(handler: DeltaHandler) -> int:
    """Those of them that will not reach the table."""
    stats = handler.stats()
    dropped = sum(count for reason, count in stats.dropped.items() if reason != "own_thread")
    return stats.quarantined + dropped


def _configured_handlers(logger: logging.Logger) -> Iterator[DeltaHandler]:
    """The users' handlers for the activity log, here and above, that take an INFO record."""
    for handler in handlers_above(logger):
        if (
            isinstance(handler, DeltaHandler)
            and handler not in _made_here
            and handler.level <= logging.INFO
            and any(column.name == "activity_id" for column in handler.spec.columns)
        ):
            yield handler


def _own_handlers_of(execution_id: str) -> list[DeltaHandler]:
    with _lock:
        return [own.handler for own in _own_handlers.values() if execution_id in own.execution_ids]


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


at_fork(after_in_child=_after_fork_in_child)
