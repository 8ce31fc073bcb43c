"""What the tests of Discord share."""

from __future__ import annotations

import logging
from typing import Any

from spectra_logging.handlers.discord import DiscordHandler
from spectra_logging.testing import FakeDiscord

__all__ = ["TOKEN", "balance", "handler_for", "posts", "titles"]

TOKEN = "t0ken-of-the-Webhook_0123456789-abcdefghijklmnop"


def handler_for(discord: FakeDiscord, **options: Any) -> DiscordHandler:
    """A handler for the fake's webhook."""
    options.setdefault("shutdown_timeout_seconds", 30.0)
    options.setdefault("api_base_url", discord.api_base_url)
    return DiscordHandler(discord.webhook_url, **options)


def balance(handler: logging.Handler) -> int:
    """What the figures leave unexplained; always 0."""
    assert isinstance(handler, DiscordHandler)
    stats = handler.stats()
    told = stats.delivered + stats.pending + stats.unknown + stats.failed
    return stats.emitted - told - sum(stats.dropped.values())


def posts(discord: FakeDiscord) -> int:
    """How many requests to post there were."""
    return sum(request.method == "POST" for request in discord.requests)


def titles(discord: FakeDiscord) -> list[str]:
    """The titles of all embeds posted, in order."""
    return [embed["title"] for message in list(discord.messages) for embed in message.embeds]
