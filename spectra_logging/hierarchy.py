"""Loggers and handlers that a record passes on its way up logging's tree."""

from __future__ import annotations

import logging
from collections.abc import Iterator

__all__ = ["handlers_above", "loggers_above"]


def loggers_above(logger: logging.Logger) -> Iterator[logging.Logger]:
    """The logger itself, and those whose handlers get its records too."""
    current: logging.Logger | None = logger
    while current is not None:
        yield current
        current = current.parent if current.propagate else None


def handlers_above(logger: logging.Logger) -> Iterator[logging.Handler]:
    """The handlers that get the logger's records: its own first, the root's last."""
    for each in loggers_above(logger):
        yield from each.handlers
