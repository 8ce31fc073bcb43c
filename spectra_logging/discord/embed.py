"""An embed in the making, within Discord's limits at every step."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from spectra_logging.discord import limits
from spectra_logging.discord.text import fenced, one_line, plain

__all__ = ["Embed"]

_NAME_MAX = 60
_VALUE_MAX = 200


class Embed:
    """An embed; what no longer fits is cut or left out.

    Args:
        color: Of the bar at its side.
        budget: The code points that all its texts may take together.
        at_seconds: The moment it is about, in seconds since 1970; what is none becomes now.
    """

    def __init__(self, *, color: int, budget: int, at_seconds: float) -> None:
        try:
            moment = datetime.fromtimestamp(at_seconds, timezone.utc)
        except (TypeError, ValueError, OverflowError, OSError):
            moment = datetime.now(timezone.utc)
        self._embed: dict[str, Any] = {
            "color": color,
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        self._left = budget
        self._description: list[str] = []
        self._description_length = 0
        self._fields: list[dict[str, Any]] = []

    def title(self, text: str, suffix: str = "") -> None:
        """Set the title: one line, with a suffix that is never cut."""
        room = min(limits.TITLE_MAX, self._left // 3) - len(suffix)
        self._embed["title"] = one_line(text, room) + suffix
        self._left -= len(self._embed["title"])

    def footer(self, text: str) -> None:
        """Set the small line at the end."""
        text = one_line(text, min(100, self._left // 6))
        self._embed["footer"] = {"text": text}
        self._left -= len(text)

    def paragraph(self, text: str, *, share: float = 1.0, bold: str = "") -> None:
        """Add a paragraph of plain text.

        Args:
            text: The text; its markup is shown as it is.
            share: How much of the room that is left it may take.
            bold: What stands before it in bold.
        """
        # Escapes may double what they escape.
        bold = f"**{plain(bold, 120)}** " if bold else ""
        self._describe(bold + plain(text, max(0, int(self._room * share) - len(bold))))

    def code(self, text: str, *, share: float = 1.0) -> None:
        """Add a paragraph of code; a longer text keeps its end."""
        self._describe(fenced(text, int(self._room * share)))

    def field(self, name: str, value: str, *, inline: bool = True, limit: int = _VALUE_MAX) -> None:
        """Add a field, if there is something to see in it and room for it."""
        name = one_line(name, _NAME_MAX)
        value = plain(value, limit)
        length = len(name) + len(value)
        if name and value and length <= self._left and len(self._fields) < limits.FIELDS_MAX:
            self._fields.append({"name": name, "value": value, "inline": inline})
            self._left -= length

    @property
    def _room(self) -> int:
        """What a further paragraph may take, the empty line before it left out."""
        return min(limits.DESCRIPTION_MAX - self._description_length, self._left) - 1

    def _describe(self, text: str) -> None:
        if text.strip() and len(text) <= self._room:
            self._description.append(text)
            self._description_length += len(text) + 1
            self._left -= len(text) + 1

    def build(self) -> dict[str, Any]:
        """The embed as Discord takes it."""
        embed = dict(self._embed)
        if self._description:
            embed["description"] = "\n".join(self._description)
        if self._fields:
            embed["fields"] = self._fields
        return embed
