"""A notebook's session: seven steps, one execution id, a row for everything that counts."""

from spectra_logging.activity import ACTIVITY_LOGGER
from spectra_logging.session.notebook import NotebookSession
from spectra_logging.session.result import ErrorSummary, SessionResult

__all__ = ["ACTIVITY_LOGGER", "ErrorSummary", "NotebookSession", "SessionResult"]
