"""The embed of a log line: what happened, where, with which error."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import msgspec

from spectra_logging._version import __version__
from spectra_logging.discord.embed import Embed
from spectra_logging.discord.notice import Notice
from spectra_logging.journal.framing import CHECKSUM_KEY
from spectra_logging.redaction import redact_text

__all__ = [
    "clock",
    "color_of",
    "event_embed",
    "in_words",
    "origin",
    "read_row",
    "seconds",
    "traceback_of",
]

_LABELS = {
    "notebook_name": "Notebook",
    "stage": "Stage",
    "source_system": "Source",
    "lakehouse_name": "Lakehouse",
    "duration_seconds": "Duration",
    "execution_id": "Execution",
}
"""Fields that come first, and what a person calls them."""

# Shown elsewhere, or of use to programs only.
_LEFT_OUT = frozenset(
    "activity_id event exception error_type error_message function host level line logger module"
    " process_id recorded_at span_id thread".split()
)

_COLORS = (
    (logging.CRITICAL, 0x8E1600),
    (logging.ERROR, 0xE03131),
    (logging.WARNING, 0xF59F00),
    (logging.INFO, 0x1C7ED6),
)
_SHOWN_LINES = 30


def read_row(notice: Notice) -> dict[str, Any]:
    """What the record said: its own columns, and its other fields beside them."""
    row = notice.row()
    del row[CHECKSUM_KEY]
    context = row.pop("context", None)
    return {**(msgspec.json.decode(context) if context else {}), **row}


def traceback_of(notice: Notice, row: Mapping[str, Any]) -> str:
    """The record's traceback, without secrets; empty when it has none."""
    text = notice.error.render() if notice.error else row.get("exception") or ""
    return redact_text(str(text)).strip()


def event_embed(notice: Notice, budget: int) -> tuple[dict[str, Any], str | None]:
    """The embed of one or many equal records.

    Args:
        notice: The records.
        budget: The code points that the embed's texts may take together.

    Returns:
        The embed, and the whole text where the embed holds only a part of it.
    """
    row = read_row(notice)
    message = str(row.get("event") or "").strip()
    first, _, rest = message.partition("\n")
    trace = traceback_of(notice, row)
    embed = Embed(color=color_of(notice.key.levelno), budget=budget, at_seconds=notice.created_at)
    embed.title(f"{row.get('level')}: {first or '(no message)'}", suffix=_times(notice))
    embed.footer(origin(row))
    if notice.is_repeat:
        embed.paragraph(
            f"{notice.count} more of these, from {clock(notice.created_at)} "
            f"to {clock(notice.last_at)}."
        )
    if len(first) > 200:
        rest = message
    if rest.strip():
        embed.paragraph(rest, share=0.3)
    if row.get("error_message"):
        embed.paragraph(in_words(row["error_message"]), bold=in_words(row.get("error_type") or ""))
    if trace:
        kind, words = _error_in_words(notice, trace)
        embed.paragraph(words, share=0.3, bold=kind)
        embed.code("\n".join(trace.splitlines()[-_SHOWN_LINES:]), share=0.6)
    embed.field("Where", f"{row.get('logger')}, {row.get('function')}:{row.get('line')}")
    for name, label in _LABELS.items():
        if row.get(name) is not None:
            value = row[name]
            embed.field(label, seconds(value) if name == "duration_seconds" else in_words(value))
    for name, value in row.items():
        if name not in _LABELS and name not in _LEFT_OUT and value is not None:
            embed.field(name, in_words(value))
    built = embed.build()
    shown = built.get("description", "")
    whole = "\n\n".join(text for text in (message, trace) if text)
    cut = "…" in built["title"] or "…" in shown or len(trace.splitlines()) > _SHOWN_LINES
    return built, redact_text(whole) if cut or (trace and "```" not in shown) else None


def _times(notice: Notice) -> str:
    if notice.is_repeat:
        return f" (×{notice.count} more)"
    return f" (×{notice.count})" if notice.count > 1 else ""


def _error_in_words(notice: Notice, trace: str) -> tuple[str, str]:
    if notice.error:
        return notice.error.type_name, notice.error.text
    last_line = trace.splitlines()[-1]
    if last_line.startswith(" "):
        return "", ""  # A line of source: a stack was asked for, and nothing raised.
    kind, _, words = last_line.partition(": ")
    return kind, words


def color_of(levelno: int) -> int:
    """The colour of a level."""
    return next((color for level, color in _COLORS if levelno >= level), 0x868E96)


def origin(row: Mapping[str, Any]) -> str:
    """Which machine and process said it, by which version."""
    return f"{row.get('host')}, process {row.get('process_id')}, spectra-logging {__version__}"


def clock(at_seconds: float) -> str:
    """A moment as a person reads it."""
    return f"{datetime.fromtimestamp(at_seconds, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def seconds(value: Any) -> str:
    """A duration as a person reads it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return in_words(value)
    if value < 60:
        return f"{value:.1f} s"
    minutes, left = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s"


def in_words(value: Any) -> str:
    """A field's value as text."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
