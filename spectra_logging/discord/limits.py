"""Discord's limits, in code points unless they say otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = [
    "ATTACHMENTS_MAX",
    "ATTACHMENT_MAX_BYTES",
    "AUTHOR_MAX",
    "AVATAR_URL_MAX",
    "COLOR_MAX",
    "CONTENT_MAX",
    "DESCRIPTION_MAX",
    "EMBEDS_MAX",
    "FIELDS_MAX",
    "FIELD_NAME_MAX",
    "FIELD_VALUE_MAX",
    "FILENAME_MAX",
    "FOOTER_MAX",
    "FORBIDDEN_IN_USERNAME",
    "MESSAGE_EMBEDS_MAX",
    "TITLE_MAX",
    "USERNAME_MAX",
    "embed_length",
    "embed_texts",
]

CONTENT_MAX = 2000
USERNAME_MAX = 80
FORBIDDEN_IN_USERNAME = ("discord", "clyde")
AVATAR_URL_MAX = 2048
EMBEDS_MAX = 10
TITLE_MAX = 256
DESCRIPTION_MAX = 4096
FIELDS_MAX = 25
FIELD_NAME_MAX = 256
FIELD_VALUE_MAX = 1024
FOOTER_MAX = 2048
AUTHOR_MAX = 256
COLOR_MAX = 0xFFFFFF
MESSAGE_EMBEDS_MAX = 6000
"""The texts of all embeds of a message together."""
ATTACHMENTS_MAX = 10
ATTACHMENT_MAX_BYTES = 10 << 20
FILENAME_MAX = 1024


def embed_texts(embed: Mapping[str, Any]) -> Iterator[str]:
    """The texts of an embed that count towards :data:`MESSAGE_EMBEDS_MAX`."""
    yield embed.get("title") or ""
    yield embed.get("description") or ""
    yield (embed.get("footer") or {}).get("text") or ""
    yield (embed.get("author") or {}).get("name") or ""
    for field in embed.get("fields") or ():
        yield field.get("name") or ""
        yield field.get("value") or ""


def embed_length(embed: Mapping[str, Any]) -> int:
    """What an embed takes of :data:`MESSAGE_EMBEDS_MAX`."""
    return sum(map(len, embed_texts(embed)))
