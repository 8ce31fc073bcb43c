"""structlog and the standard library's logging, set up in one call."""

from __future__ import annotations

import copy
import inspect
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, overload

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from spectra_logging.errors import ConfigurationError
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.handlers.options import check_level
from spectra_logging.processors import (
    add_record_origin,
    add_trace_ids,
    brief_activity,
    fill_in_arguments,
    redact,
)
from spectra_logging.record.encoder import has_its_own_message
from spectra_logging.record.rules import NO_FIELDS

__all__ = ["configure", "console_formatter", "logging_config"]


def _wrap(logger: Any, method: str, event_dict: EventDict) -> tuple[Any, Any]:
    """Wrap for the formatter, without the traceback that ``Logger.exception`` adds to the record.

    The event dict holds it already, scrubbed, and as text that can cross a queue.
    """
    arguments, keywords = ProcessorFormatter.wrap_for_formatter(logger, method, event_dict)
    return arguments, {**keywords, "exc_info": False}


def _add_extras(_logger: Any, _method: str, event_dict: EventDict) -> EventDict:
    """Add a record's extras as structlog's ``ExtraAdder`` does, and no attribute besides.

    Such as ``message`` and ``asctime``, which another handler's formatter leaves on the record.
    """
    for name, value in event_dict["_record"].__dict__.items():
        if name not in NO_FIELDS:
            event_dict[name] = value
    return event_dict


# Handlers get the event dict whole (wrap_for_formatter): rendering it to `extra` instead would make
# a field called "name" or "module" raise in the caller. Exceptions become text at once, so that
# records can cross a queue or a thread. Level, logger and time are the record's own.
_STRUCTLOG_PROCESSORS: list[Processor] = [
    structlog.stdlib.filter_by_level,
    structlog.contextvars.merge_contextvars,
    fill_in_arguments,
    add_trace_ids,
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    structlog.processors.UnicodeDecoder(),
    redact,
    _wrap,
]

_STDLIB_PROCESSORS: list[Processor] = [
    fill_in_arguments,
    structlog.contextvars.merge_contextvars,
    add_trace_ids,
    _add_extras,
    structlog.processors.format_exc_info,
    redact,
]


_levels_set: dict[str, tuple[int, int]] = {}
"""Logger -> the level that it had before the last :func:`configure`, and what that made of it."""


@overload
def configure(
    *,
    table: str | os.PathLike[str],
    level: int | str = ...,
    levels: Mapping[str, int | str] | None = ...,
    console: bool = ...,
    **handler_options: Any,
) -> DeltaHandler: ...
@overload
def configure(
    *,
    table: str | os.PathLike[str] | None = ...,
    level: int | str = ...,
    levels: Mapping[str, int | str] | None = ...,
    console: bool = ...,
    **handler_options: Any,
) -> DeltaHandler | None: ...
def configure(
    *,
    table: str | os.PathLike[str] | None = None,
    level: int | str = "INFO",
    levels: Mapping[str, int | str] | None = None,
    console: bool = True,
    **handler_options: Any,
) -> DeltaHandler | None:
    """Set up structlog and the standard library's logging in one call.

    Afterwards ``structlog.get_logger()`` and ``logging.getLogger()`` go the same way: to the
    console, readable, and to a Delta table, with every field. Secrets are hidden in both.

    Call it once, where the program starts. Calling it again replaces what it set up before: old
    handlers are flushed and closed, single loggers get back the levels that they had, loggers you
    hold follow the new levels and handlers. A logger that structlog made is kept from its first
    call on, for speed; it follows further calls of ``configure``, but not a ``structlog.configure``
    of your own after that.

    Args:
        table: Where records go, as for :class:`DeltaHandler`; without it there is only the console.
        level: Lowest level of records to handle, by name or number.
        levels: Levels of single loggers, for those that talk too much or too little:
            ``{"urllib3": "WARNING", "my_notebook": "DEBUG"}``.
        console: Whether records are also shown on stderr, in colours when it is a terminal; where
            there is no stderr, as under ``pythonw``, they are not.
        **handler_options: Further options of :class:`DeltaHandler`, such as
            ``flush_interval_seconds``.

    Returns:
        The handler that writes to the table, for its ``flush()`` and ``stats()``; ``None`` without
        a table.

    Raises:
        ConfigurationError: An option is unknown or holds nonsense. Mistakes in the handler's own
            options are found while it is built, when the old handlers are closed already.
    """
    config = logging_config(
        table=table, level=level, levels=levels, console=console, **handler_options
    )
    from logging.config import dictConfig  # loads a server for sockets, among others

    # dictConfig would take the handlers from these, and handlers and levels from those below them.
    config["loggers"] = {}
    _take_back_levels()
    try:
        dictConfig(config)
    except ValueError as error:
        # dictConfig says only which handler it could not build, and keeps why as the cause.
        if isinstance(error.__cause__, ConfigurationError):
            raise error.__cause__ from None
        raise
    for name, its_level in (levels or {}).items():
        logger = logging.getLogger(name)
        before = logger.level
        logger.setLevel(its_level)
        _levels_set[name] = before, logger.level
    structlog.configure(
        processors=_STRUCTLOG_PROCESSORS,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    for handler in logging.getLogger().handlers:
        if isinstance(handler, DeltaHandler):
            return handler
    return None


def _take_back_levels() -> None:
    """Give single loggers the levels that they had before, unless the program set others since."""
    while _levels_set:
        name, (before, level) = _levels_set.popitem()
        logger = logging.getLogger(name)
        if logger.level == level:
            logger.setLevel(before)


def logging_config(
    *,
    table: str | os.PathLike[str] | None = None,
    level: int | str = "INFO",
    levels: Mapping[str, int | str] | None = None,
    console: bool = True,
    **handler_options: Any,
) -> dict[str, Any]:
    """What :func:`configure` sets up of the standard library, as a mapping for ``dictConfig``.

    For those who want to see it, or to change it and apply it themselves. It holds plain values
    only, so it can be written out as YAML or JSON. Takes the arguments of :func:`configure`.
    ``dictConfig`` itself removes the handlers of loggers that ``levels`` names, and handlers and
    levels of those below them; ``configure`` leaves all these.

    Raises:
        ConfigurationError: An option is unknown, or a level is none.
    """
    check_level("level", level)
    _check_levels(levels)
    if not isinstance(console, bool):
        raise ConfigurationError(f"console={console!r} may be True or False")
    _check_handler_options(table, handler_options)

    handlers: dict[str, Any] = {}
    if table is not None:
        # Before the console, so that a record is safe before it is seen.
        handlers["delta"] = {
            "class": f"{DeltaHandler.__module__}.{DeltaHandler.__qualname__}",
            **{
                name: os.fspath(value) if isinstance(value, os.PathLike) else value
                for name, value in {"table": table, **handler_options}.items()
            },
        }
    formatters: dict[str, Any] = {}
    if console and sys.stderr is not None:  # pythonw has none
        formatters["console"] = {"()": f"{__name__}.{console_formatter.__name__}"}
        handlers["console"] = {
            "class": "logging.StreamHandler",
            "formatter": "console",
            "stream": "ext://sys.stderr",
        }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": handlers,
        "loggers": {name: {"level": its_level} for name, its_level in (levels or {}).items()},
        "root": {"level": level, "handlers": list(handlers)},
    }


class _ConsoleFormatter(ProcessorFormatter):
    """Shows what a record's class makes of its arguments, where it has a way of its own."""

    def format(self, record: logging.LogRecord) -> str:
        if has_its_own_message(record) and isinstance(record.msg, str) and record.args:
            try:
                message = record.getMessage()
            except Exception:  # noqa: BLE001, S110 - the chain shows that they don't fit
                pass
            else:
                record = copy.copy(record)
                record.msg, record.args = message, ()
        return super().format(record)


def console_formatter(*, colors: bool | None = None) -> ProcessorFormatter:
    """A formatter that shows records of structlog and of the stdlib alike, with secrets hidden.

    For handlers of your own; in a ``dictConfig`` it is
    ``{"()": "spectra_logging.config.console_formatter"}``.

    Args:
        colors: Whether to use colours; by default when stderr is a terminal and the environment
            variable ``NO_COLOR`` is not set.
    """
    if colors is None:
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        colors = is_terminal and not os.environ.get("NO_COLOR") and os.name != "nt"
    return _ConsoleFormatter(
        # The message is filled in by the chain, which survives arguments that don't fit.
        use_get_message=False,
        pass_foreign_args=True,
        foreign_pre_chain=_STDLIB_PROCESSORS,
        processors=[
            add_record_origin,
            brief_activity,
            ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(
                colors=colors,
                sort_keys=False,
                # structlog's own default shows local variables, and with them what they hold.
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ],
    )


def _check_levels(levels: Mapping[str, int | str] | None) -> None:
    if levels is None:
        return
    if not isinstance(levels, Mapping):
        raise ConfigurationError(
            f"levels={levels!r} must be a mapping of logger name to level, "
            "such as {'urllib3': 'WARNING'}"
        )
    for name, level in levels.items():
        # Which of the two would hold? logging knows the root by that name, too.
        if not isinstance(name, str) or name in {"", "root"}:
            raise ConfigurationError(
                f"levels: {name!r} is no logger's name; the root's level is set by level="
            )
        check_level(f"levels[{name!r}]", level)


def _check_handler_options(
    table: str | os.PathLike[str] | None, options: Mapping[str, Any]
) -> None:
    parameters = inspect.signature(DeltaHandler).parameters
    known = [name for name in parameters if name not in ("table", "level")]
    for name in options:
        if name not in known:
            raise ConfigurationError(
                f"{name} is no option of configure(), nor of DeltaHandler, whose options are: "
                f"{', '.join(known)}"
            )
    if options and table is None:
        raise ConfigurationError(
            f"{next(iter(options))} is an option of the handler for a Delta table; give table= too"
        )
