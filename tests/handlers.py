"""Handlers on loggers, for tests."""

from __future__ import annotations

import logging
from typing import Any

from spectra_logging.handlers.delta import DeltaHandler

__all__ = ["attach"]


def attach(logger: logging.Logger, table: str, **options: Any) -> DeltaHandler:
    """A handler on the logger that commits when told to."""
    handler = DeltaHandler(table, **{"flush_interval_seconds": 3600.0, **options})
    logger.addHandler(handler)
    return handler
