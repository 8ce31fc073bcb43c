"""Python's standard logging, landing in Delta Lake, with nothing lost."""

from spectra_logging._version import __version__
from spectra_logging.handlers.delta import DeltaHandler

__all__ = ["DeltaHandler", "__version__"]
