"""Those of Discord's limits that what is sent can come near to, in code points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "AVATAR_URL_MAX",
    "DESCRIPTION_MAX",
    "EMBEDS_MAX",
    "FIELDS_MAX",
    "FORBIDDEN_IN_USERNAME",
    "MESSAGE_EMBEDS_MAX",
    "TITLE_MAX",
    "USERNAME_MAX",
    "embed_length",
]

USERNAME_MAX = 80
FORBIDDEN_IN_USERNAME = ("discord", "clyde")
AVATAR_URL_MAX = 2048
EMBEDS_MAX = 10
TITLE_MAX = 256
DESCRIPTION_MAX = 4096
FIELDS_MAX = 25
MESSAGE_EMBEDS_MAX = 6000
"""The texts of all embeds of a message together."""


def embed_length(embed: Mapping[str, Any]) -> int:
    """What an embed takes of :data:`MESSAGE_EMBEDS_MAX`: the titles, texts and names in it."""
    texts = [embed.get("title"), embed.get("description"), embed.get("footer", {}).get("text")]
    for field in embed.get("fields", ()):
        texts += [field["name"], field["value"]]
    return sum(len(text or "") for text in texts)
