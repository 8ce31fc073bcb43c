"""Python's standard logging, landing in Delta Lake, with nothing lost."""

import importlib as _importlib
import typing as _typing

from spectra_logging._version import __version__
from spectra_logging.config import configure, logging_config
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.redaction import RedactionFilter, register_secret
from spectra_logging.tables import ACTIVITY_LOG, EVENT_LOG, Column, TableSpec

if _typing.TYPE_CHECKING:
    from spectra_logging.drain import DrainReport, drain_journals
    from spectra_logging.handlers.discord import DiscordHandler
    from spectra_logging.session import NotebookSession
    from spectra_logging.stats import DiscordStats, HandlerStats
    from spectra_logging.variables import VariableLibrary

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


_LATER = {
    "DiscordHandler": "handlers.discord",
    "DiscordStats": "stats",
    "DrainReport": "drain",
    "HandlerStats": "stats",
    "NotebookSession": "session",
    "VariableLibrary": "variables",
    "drain_journals": "drain",
}
"""What most programs have no use for, and the modules that are imported when it is asked for."""


# Type checkers would take any name for ours.
if not _typing.TYPE_CHECKING:

    def __getattr__(name: str) -> _typing.Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_importlib.import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
