"""structlog's event dict, as it comes through the stdlib with a record."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, NamedTuple

from structlog.processors import StackInfoRenderer

__all__ = ["EventDict", "event_dict_of"]

_render_stack = StackInfoRenderer(additional_ignores=["logging", "spectra_logging"])
_TRACEBACK = "Traceback (most recent call last):\n"


class EventDict(NamedTuple):
    """An event dict taken apart.

    Attributes:
        event: The message.
        fields: Every field that is not below.
        exc_info: As given to the log call.
        exc_text: The traceback, where it comes as text.
        stack: The stack, where one was asked for.
    """

    event: object
    fields: Mapping[str, Any]
    exc_info: object
    exc_text: str | None
    stack: str | None


def event_dict_of(fields: Mapping[str, Any]) -> EventDict | None:
    """The event dict that ``ProcessorFormatter.wrap_for_formatter`` sent as a record's message.

    Also where a ``QueueHandler`` has turned it into its ``repr`` since, as far as that reads back.

    Args:
        fields: The record's attributes.

    Returns:
        ``None`` when the message is no such thing.
    """
    message, exc_text = fields["msg"], None
    if "_name" not in fields:
        return None
    if isinstance(message, str) and message.startswith("{"):
        # The handler has put the traceback behind it.
        shown, traceback_begins, rest = message.partition(f"}}\n{_TRACEBACK}")
        try:
            message = ast.literal_eval(shown + "}" if traceback_begins else shown)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
        exc_text = _TRACEBACK + rest if traceback_begins else None
    if not isinstance(message, dict):
        return None
    event_dict = _render_stack(None, "", dict(message))
    return EventDict(
        event=event_dict.pop("event", ""),
        exc_info=event_dict.pop("exc_info", None),
        exc_text=exc_text,
        stack=event_dict.pop("stack", None),
        fields=event_dict,
    )
