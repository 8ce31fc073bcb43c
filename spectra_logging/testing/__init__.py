"""The fakes that this distribution's own tests use: Fabric's utilities and a source system."""

from spectra_logging.testing.notebookutils import FakeNotebookUtils, storage_token
from spectra_logging.testing.source_system import FakeSourceSystem

__all__ = ["FakeNotebookUtils", "FakeSourceSystem", "storage_token"]
