"""The last resort: a line on stderr, for what no log record can tell."""

from __future__ import annotations

import sys

__all__ = ["tell"]


def tell(message: str) -> None:
    """Write a line to stderr, if there is one."""
    try:
        sys.stderr.write(f"spectra_logging: {message}\n")
    except (AttributeError, OSError, ValueError):
        pass  # No stderr, or one that is closed: there is nobody left to tell.
