"""Python's standard logging, landing in Delta Lake, with nothing lost."""

from spectra_logging._version import __version__
from spectra_logging.config import configure, logging_config
from spectra_logging.drain import DrainReport, drain_journals
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.redaction import RedactionFilter, register_secret
from spectra_logging.session import NotebookSession
from spectra_logging.stats import HandlerStats
from spectra_logging.tables import ACTIVITY_LOG, EVENT_LOG, Column, TableSpec
from spectra_logging.variables import VariableLibrary

__all__ = [
    "ACTIVITY_LOG",
    "EVENT_LOG",
    "Column",
    "DeltaHandler",
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
