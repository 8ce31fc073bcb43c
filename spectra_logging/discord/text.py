"""Text of strangers made fit for a message: no mention, no markup, no longer than allowed."""

from __future__ import annotations

import re

from spectra_logging.redaction import redact_text

__all__ = ["fenced", "one_line", "plain"]

ELLIPSIS = "…"
_ZERO_WIDTH = "\u200b"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_MARKUP = re.compile(r"([\\*_~|`<>\[\]#])")
_FENCE = re.compile(r"`(?=`)")


def plain(text: str, limit: int) -> str:
    """The text shown as it is: secrets hidden, markup escaped, mentions broken.

    Args:
        text: Any text.
        limit: The most code points that may come out; a longer text ends in an ellipsis.

    Returns:
        The text; empty when there is nothing to see in it.
    """
    # Secrets first: neither an escape nor a cut may leave a part of one.
    text = _visible(redact_text(text))
    if len(text) > limit:
        text = text[: limit - 1].rstrip() + ELLIPSIS
    text = _MARKUP.sub(r"\\\1", text).replace("@", "@" + _ZERO_WIDTH)
    if len(text) > limit:
        text = text[: limit - 1]
        escapes = len(text) - len(text.rstrip("\\"))
        # Half an escape would take the ellipsis with it.
        text = text[: len(text) - escapes % 2] + ELLIPSIS
    return text


def one_line(text: str, limit: int) -> str:
    """Like :func:`plain`, with line breaks and runs of spaces as single spaces."""
    return plain(" ".join(redact_text(text).split()), limit)


def fenced(text: str, limit: int) -> str:
    """The text in a code fence that nothing in it can close; a longer one keeps its end.

    Args:
        text: Any text; its secrets are hidden.
        limit: The most code points that may come out, the fence included.

    Returns:
        The fence; empty when there is nothing to see in it, or no room.
    """
    text = _FENCE.sub("`" + _ZERO_WIDTH, _visible(redact_text(text)))
    room = limit - len("```py\n\n```")
    if not text or room < 2:
        return ""
    if len(text) > room:
        text = ELLIPSIS + text[1 - room :]
    return f"```py\n{text}\n```"


def _visible(text: str) -> str:
    return _CONTROL.sub(" ", text.replace("\r\n", "\n")).strip()
