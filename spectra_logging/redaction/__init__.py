"""Secrets registered once, and values under telling keys, scrubbed from every sink.

Two rules decide what is hidden. A **registered secret** is hidden wherever it occurs, also in the
forms that JSON, ``repr``, URLs and base64 give it. A **value under a secret key**, such as
``token`` or ``clientSecret``, is hidden whatever it is, in structures and in text alike, unless it
only says whether there is a secret: ``None``, booleans, empty text, and in text ``none``, ``null``,
``true``, ``false``. Everything else stays readable.
"""

from __future__ import annotations

from spectra_logging.redaction.filters import RedactionFilter
from spectra_logging.redaction.keys import is_secret_key
from spectra_logging.redaction.registry import REDACTED, register_secret, secret_bytes_pattern
from spectra_logging.redaction.text import (
    describe_error,
    is_suspect,
    may_hold_secret,
    redact_text,
)
from spectra_logging.redaction.values import redact_value

__all__ = [
    "REDACTED",
    "RedactionFilter",
    "describe_error",
    "is_secret_key",
    "is_suspect",
    "may_hold_secret",
    "redact_text",
    "redact_value",
    "register_secret",
    "secret_bytes_pattern",
]
