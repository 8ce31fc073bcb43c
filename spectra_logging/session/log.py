"""The logger that ``initialize()`` hands to a notebook, and the session's id on all lines."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import Any, NamedTuple

import structlog
from structlog.typing import EventDict, WrappedLogger

from spectra_logging.processors import fill_in_arguments, resolve_exc_info
from spectra_logging.session import endings

__all__ = ["bind_execution_id", "notebook_logger"]

_RECORD_ATTRIBUTES = {*logging.makeLogRecord({}).__dict__, "message", "asctime"} - {
    "exc_info",
    "stack_info",
}


class _Before(NamedTuple):
    """The level that a notebook's logger had before a session in debug mode."""

    level: int


_levels_before: dict[str, _Before] = {}
"""By the logger's name, where the last session is in debug mode."""


def notebook_logger(notebook_name: str, *, debug: bool, cleanup: ExitStack) -> Any:
    """A structlog logger over the stdlib logger ``spectra.<notebook_name>``.

    It logs by the program's own structlog configuration where there is one. Otherwise keyword
    arguments become extras of stdlib records, for the handlers that the program has set up.

    Args:
        notebook_name: The notebook.
        debug: Whether the logger's level is DEBUG rather than what the program has set.
        cleanup: Takes back the logger's level.
    """
    # structlog's logger class finds the caller beyond structlog's own frames.
    logger_class = logging.getLoggerClass()
    logger = structlog.stdlib.LoggerFactory()(f"spectra.{notebook_name}")
    logging.setLoggerClass(logger_class)
    # A dictConfig since the session before has disabled the loggers it does not name.
    logger.disabled = False
    # The session before may have been dropped, or go on: the logger is this one's now.
    _end_debugging(logger)
    if debug:
        _levels_before[logger.name] = before = _Before(logger.level)
        cleanup.callback(_end_debugging, logger, before)
        logger.setLevel(logging.DEBUG)
    if structlog.is_configured():
        return structlog.stdlib.get_logger(logger.name)
    return structlog.wrap_logger(
        logger,
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.contextvars.merge_contextvars,
            fill_in_arguments,
            resolve_exc_info,
            _fit_for_record,
            structlog.stdlib.render_to_log_kwargs,
        ],
    )


def _end_debugging(logger: logging.Logger, before: _Before | None = None) -> None:
    """Take back the level of a session in debug mode, if that was the last one."""
    found = _levels_before.get(logger.name)
    if found is not None and (before is None or found is before):
        _levels_before.pop(logger.name, None)
        logger.setLevel(found.level)


def _fit_for_record(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Leave nothing that ``logging`` or structlog's renderer for it would refuse.

    Fields such as ``name`` become ``name_``, and a call without an event, or with ``None`` as
    one, has an empty event.
    """
    event_dict.setdefault("event", "")
    for name in _RECORD_ATTRIBUTES & event_dict.keys():
        event_dict[f"{name}_"] = event_dict.pop(name)
    return event_dict


def bind_execution_id(execution_id: str, cleanup: ExitStack) -> None:
    """Have lines that are logged from here on, by whichever logger, carry a session's id.

    Args:
        execution_id: The session's id.
        cleanup: Takes it from the context; that of an open session around it comes back.
    """
    around = structlog.contextvars.get_contextvars().get("execution_id")
    if around == execution_id:
        return  # initialize() is called again, and what is around the session is known
    structlog.contextvars.bind_contextvars(execution_id=execution_id)
    cleanup.callback(_unbind, execution_id, around)


def _unbind(execution_id: str, around: str | None) -> None:
    # Another session may have bound its own since.
    if structlog.contextvars.get_contextvars().get("execution_id") != execution_id:
        return
    if around is not None and endings.is_open(around):
        structlog.contextvars.bind_contextvars(execution_id=around)
    else:
        structlog.contextvars.unbind_contextvars("execution_id")
