"""Python's standard logging, landing in Delta Lake, with nothing lost."""

import typing as _typing

from spectra_logging._version import __version__
from spectra_logging.config import configure, logging_config
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.redaction import RedactionFilter, register_secret
from spectra_logging.session import NotebookSession
from spectra_logging.tables import ACTIVITY_LOG, EVENT_LOG, Column, TableSpec
from spectra_logging.variables import VariableLibrary

if _typing.TYPE_CHECKING:
    from spectra_logging.drain import DrainReport, drain_journals
    from spectra_logging.handlers.discord import DiscordHandler
    from spectra_logging.stats import DiscordStats, HandlerStats

__all__ = [
    "ACTIVITY_LOG",
    "EVENT_LOG",
    "Column",
    "DeltaHandler",
    "DiscordHandler",
    "DiscordStats",
    "DrainReport",
    "HandlerStats",
    "NotebookSession",
    "RedactionFilter",
    "TableSpec",
    "VariableLibrary",
    "__version__",
    "configure",
    "drain_journals",
    "logging_config",
    "register_secret",
]


def __getattr__(name: str) -> _typing.Any:
    # Most programs have no use for these.
    if name == "DiscordHandler":
        from spectra_logging.handlers.discord import DiscordHandler

        return DiscordHandler
    if name in ("DrainReport", "drain_journals"):
        from spectra_logging import drain

        return getattr(drain, name)
    if name in ("DiscordStats", "HandlerStats"):
        from spectra_logging import stats

        return getattr(stats, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
