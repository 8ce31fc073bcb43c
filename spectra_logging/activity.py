"""The words that sessions log by, for those who log them and those who look for them."""

from __future__ import annotations

__all__ = ["ACTIVITY_LOGGER", "FAILED", "RECORD", "SUCCESS"]

ACTIVITY_LOGGER = "spectra_logging.activity"
"""The logger that every row of the activity log goes through."""

RECORD = "record"
"""The event of a row that says how a run went."""

SUCCESS = "Success"
FAILED = "Failed"
