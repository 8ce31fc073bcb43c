"""The last resort: a line on stderr, for what no log record can tell."""

from __future__ import annotations

import sys

from spectra_logging.redaction import redact_text

__all__ = ["tell"]


def tell(message: str) -> None:
    """Write a line to stderr, if there is one, without the secrets in it."""
    try:
        sys.stderr.write(f"spectra_logging: {redact_text(message)}\n")
    except Exception:  # noqa: BLE001, S110 - a stderr of the program's own raises what it likes
        pass  # None, or one that is closed, or a window's that is: there is nobody left to tell.
