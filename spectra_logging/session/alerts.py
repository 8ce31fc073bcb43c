"""The way of a session's critical events to Discord: users' handlers, else one of our own."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import TYPE_CHECKING, NamedTuple

from spectra_logging.activity import ACTIVITY_LOGGER
from spectra_logging.forks import at_fork
from spectra_logging.hierarchy import handlers_above
from spectra_logging.redaction import describe_error, redact_text
from spectra_logging.values import safe_text
from spectra_logging.variables import VariableLibrary

if TYPE_CHECKING:
    from spectra_logging.handlers.discord import DiscordHandler

__all__ = ["connect", "disconnect", "reconnect"]


class _Own(NamedTuple):
    """A handler opened for a session, where it listens, and what opens another."""

    handler: DiscordHandler
    notebook_logger: logging.Logger
    variables: VariableLibrary

    def listen(self) -> None:
        """Attach the handler where users have none."""
        activity_logger = logging.getLogger(ACTIVITY_LOGGER)
        if self.handler not in activity_logger.handlers and not _is_served(activity_logger):
            activity_logger.addHandler(self.handler)
        # As a filter: any handler would take the notebook's lines from stderr, where they are shown
        # as long as nobody has configured one.
        if not _is_served(self.notebook_logger):
            self.notebook_logger.addFilter(self.overhear)

    def overhear(self, record: logging.LogRecord) -> bool:
        """Show the handler what the notebook logs, and let it pass."""
        if record.levelno >= self.handler.level:
            self.handler.handle(record)
        return True

    def leave(self) -> None:
        """Detach the handler."""
        logging.getLogger(ACTIVITY_LOGGER).removeHandler(self.handler)
        self.notebook_logger.removeFilter(self.overhear)


_logger = logging.getLogger("spectra_logging.session")

_own: dict[str, _Own] = {}
"""By execution id."""

_made_here: weakref.WeakSet[DiscordHandler] = weakref.WeakSet()
"""All handlers opened for sessions: one that is on its way out is no user's either."""

_PATIENCE_SECONDS = 5.0
"""How long a session's end waits for a message that is on its way."""

_lingering: list[DiscordHandler] = []
"""Handlers of sessions that have ended, whose messages Discord makes wait."""

_lock = threading.Lock()


def connect(execution_id: str, notebook_logger: str, variables: VariableLibrary) -> str | None:
    """Make sure that a session's critical events reach Discord, if a webhook is configured.

    A :class:`~spectra_logging.handlers.discord.DiscordHandler` that users put on the activity log's
    logger, on the notebook's, or above them takes what passes there. To those without one, the
    session's own is attached, where the variables name a webhook.

    Args:
        execution_id: The session's id.
        notebook_logger: Name of the notebook's logger.
        variables: Where the webhook is looked for.

    Returns:
        ``None``, or in words what keeps the events from being sent.
    """
    try:
        logger = logging.getLogger(notebook_logger)
        if not (_is_served(logger) and _is_served(logging.getLogger(ACTIVITY_LOGGER))):
            _open(execution_id, logger, variables)
    except Exception as error:  # noqa: BLE001 - notification never fails a stage
        return describe_error(error)
    return None


def reconnect(execution_id: str) -> None:
    """Open the session's own handler again, where a ``dictConfig`` since has closed it."""
    with _lock:
        own = _own.get(execution_id)
    if own is not None and own.handler.is_closed:
        own.leave()
        try:
            _open(execution_id, own.notebook_logger, own.variables)
        except Exception as error:  # noqa: BLE001 - notification never fails a stage
            _logger.warning("Discord is told no more: %s", redact_text(safe_text(error)))


def disconnect(execution_id: str) -> None:
    """Send what waits, and close the handler attached for a session.

    Where Discord makes it wait, the handler goes on until all is sent or the process ends.
    """
    with _lock:
        own = _own.pop(execution_id, None)
        handlers, _lingering[:] = _lingering[:], []
    if own is not None:
        own.leave()
        own.handler.flush()
        handlers.append(own.handler)
    for handler in handlers:
        if handler.stats().pending:
            with _lock:
                _lingering.append(handler)
        else:
            handler.close()


def _open(execution_id: str, notebook_logger: logging.Logger, variables: VariableLibrary) -> None:
    from spectra_logging.discord.notice import bound_fields, execution_id_of
    from spectra_logging.handlers.discord import DiscordHandler

    handler = DiscordHandler(
        variable_library=variables,
        mention_role_id=variables.get("DISCORD_MENTION_ROLE_ID"),
        notify_success=variables.get_bool("DISCORD_NOTIFY_SUCCESS"),
        shutdown_timeout_seconds=_PATIENCE_SECONDS,
    )
    if not handler.is_on:
        handler.close()
        return
    _made_here.add(handler)
    # Sessions at the same time share the activity log's logger.
    handler.addFilter(lambda record: execution_id_of(record, bound_fields()) == execution_id)
    own = _Own(handler, notebook_logger, variables)
    with _lock:
        _own[execution_id] = own
    own.listen()


def _is_served(logger: logging.Logger) -> bool:
    """Whether users have put a handler for Discord there, or above it."""
    from spectra_logging.handlers.discord import DiscordHandler

    return any(
        isinstance(handler, DiscordHandler) and handler not in _made_here
        for handler in handlers_above(logger)
    )


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()


at_fork(after_in_child=_after_fork_in_child)
