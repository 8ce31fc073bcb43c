"""What a fake Discord answers, and what it keeps of what it was asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["HANG", "RESET", "DiscordAnswer", "DiscordMessage", "DiscordRequest"]

HANG, RESET = "hang", "reset"


@dataclass(frozen=True, kw_only=True)
class DiscordAnswer:
    """What a request is answered with, whatever it holds.

    Args:
        status: The HTTP status.
        body: Sent as JSON, or as it is where it is text.
        headers: Further headers.
        behaviour: ``hang``: no answer until :meth:`FakeDiscord.let_go`, or the client leaves;
            ``reset``: the whole request is read, and the connection reset.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    behaviour: str | None = None

    @staticmethod
    def hang() -> DiscordAnswer:
        """No answer, until :meth:`let_go`."""
        return DiscordAnswer(behaviour=HANG)

    @staticmethod
    def reset() -> DiscordAnswer:
        """The request is read to its end, and the connection reset."""
        return DiscordAnswer(behaviour=RESET)

    @staticmethod
    def too_many_requests(
        retry_after_seconds: float, headers: Mapping[str, str] | None = None
    ) -> DiscordAnswer:
        """Discord's own 429; ``headers`` replace the ones it would have."""
        told = {"Retry-After": str(math.ceil(retry_after_seconds)), "X-RateLimit-Scope": "user"}
        return DiscordAnswer(
            status=429,
            body={
                "message": "You are being rate limited.",
                "retry_after": retry_after_seconds,
                "global": False,
            },
            headers=told if headers is None else headers,
        )

    @staticmethod
    def edge_ban(body: Any = "<html><body>error code: 1015</body></html>") -> DiscordAnswer:
        """The 429 of the network's edge, which says nothing of when."""
        return DiscordAnswer(status=429, body=body)

    @staticmethod
    def unknown_webhook() -> DiscordAnswer:
        """The webhook has been removed."""
        return DiscordAnswer(status=404, body={"message": "Unknown Webhook", "code": 10015})

    @staticmethod
    def invalid_token() -> DiscordAnswer:
        """The token is none of this webhook's."""
        return DiscordAnswer(status=401, body={"message": "Invalid Webhook Token", "code": 50027})

    @staticmethod
    def redirect(status: int, location: str) -> DiscordAnswer:
        """Go elsewhere."""
        return DiscordAnswer(status=status, headers={"Location": location})


@dataclass(frozen=True, kw_only=True)
class DiscordMessage:
    """A message that was posted.

    Args:
        payload: Its JSON.
        files: Name and content of each attached file.
        query: The request's query.
        headers: The request's headers.
        at_seconds: When it came, on the monotonic clock.
    """

    payload: dict[str, Any]
    files: tuple[tuple[str, bytes], ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    at_seconds: float

    @property
    def embeds(self) -> list[dict[str, Any]]:
        """Its embeds."""
        embeds: list[dict[str, Any]] = self.payload.get("embeds") or []
        return embeds

    @property
    def text(self) -> str:
        """All that a person reads in it, its files left out."""
        parts = [self.payload.get("content") or ""]
        for embed in self.embeds:
            parts += [embed.get("title", ""), embed.get("description", "")]
            parts += [f"{part['name']}: {part['value']}" for part in embed.get("fields", ())]
            parts.append(embed.get("footer", {}).get("text", ""))
        return "\n".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class DiscordRequest:
    """A request, whether or not a message was posted by it.

    Args:
        method: Its method.
        path: Its path without the query; the token in it is left out.
        status: What it was answered with; ``None`` for no answer.
        at_seconds: When it had been read, on the monotonic clock.
    """

    method: str
    path: str
    status: int | None
    at_seconds: float
