"""One request's worth of notices."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spectra_logging.discord import limits
from spectra_logging.discord.embed import Embed
from spectra_logging.discord.events import color_of
from spectra_logging.discord.notice import Notice
from spectra_logging.discord.runs import notice_embed
from spectra_logging.values import safe_text

__all__ = ["Appearance", "Message", "build_message"]

SUPPRESS_NOTIFICATIONS = 1 << 12
FILES_MAX_BYTES = 8 << 20
"""Of all files of a message together; Discord's limits for a file and for a request are above."""

_CUT = "\n\n[… the rest is left out …]\n"


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Under which name messages appear, and whom they call.

    Args:
        username: The name, in place of the webhook's own.
        avatar_url: The picture, likewise.
        thread_id: The thread of the webhook's channel to post in.
        mention_role_id: The role to mention for errors.
    """

    username: str | None = None
    avatar_url: str | None = None
    thread_id: str | None = None
    mention_role_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Message:
    """A request's body.

    Args:
        payload: The JSON part.
        files: Name and bytes of each attached file.
    """

    payload: dict[str, Any]
    files: list[tuple[str, bytes]] = field(default_factory=list)


def build_message(
    notices: Sequence[Notice], appearance: Appearance, drops: Mapping[str, int]
) -> Message:
    """The message that tells notices, one embed each, and how many were dropped before.

    Args:
        notices: At most :data:`~spectra_logging.discord.limits.EMBEDS_MAX`.
        appearance: Under which name.
        drops: Records that no message will tell, by reason.
    """
    embeds: list[dict[str, Any]] = []
    files: list[tuple[str, bytes]] = []
    left = limits.MESSAGE_EMBEDS_MAX
    for number, notice in enumerate(notices):
        embed, whole = _embed_of(notice, left // (len(notices) - number))
        left -= limits.embed_length(embed)
        embeds.append(embed)
        if whole is not None:
            files.append(
                (f"details-{number + 1}.txt", _cut(whole, FILES_MAX_BYTES // len(notices)))
            )
    payload: dict[str, Any] = {"embeds": embeds, "allowed_mentions": {"parse": []}}
    content = []
    worst = max(notice.key.levelno for notice in notices)
    if appearance.mention_role_id is not None and worst >= logging.ERROR:
        content.append(f"<@&{appearance.mention_role_id}>")
        payload["allowed_mentions"]["roles"] = [appearance.mention_role_id]
    if drops:
        count = sum(drops.values())
        content.append(
            f"{count} more {'record was' if count == 1 else 'records were'} dropped before this "
            "message: too many waited for Discord."
        )
    if content:
        payload["content"] = " ".join(content)
    if worst < logging.WARNING:
        payload["flags"] = SUPPRESS_NOTIFICATIONS
    if appearance.username is not None:
        payload["username"] = appearance.username
    if appearance.avatar_url is not None:
        payload["avatar_url"] = appearance.avatar_url
    if files:
        payload["attachments"] = [
            {"id": number, "filename": name} for number, (name, _) in enumerate(files)
        ]
    return Message(payload=payload, files=files)


def _embed_of(notice: Notice, budget: int) -> tuple[dict[str, Any], str | None]:
    """A notice's embed; for a record that can't be shown one that says so."""
    try:
        return notice_embed(notice, budget)
    except Exception as error:  # noqa: BLE001 - an odd record must not take the others along
        level = notice.key.levelno
        embed = Embed(color=color_of(level), budget=budget, at_seconds=notice.created_at)
        embed.title(f"{logging.getLevelName(level)}: {notice.key.text or '(no message)'}")
        embed.paragraph(f"The record can't be shown: {type(error).__name__}: {safe_text(error)}")
        return embed.build(), None


def _cut(text: str, most_bytes: int) -> bytes:
    """The text as UTF-8; where it is too long, its two ends, as a traceback's tell most."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most_bytes:
        return data
    half = (most_bytes - len(_CUT.encode())) // 2
    ends = (data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore"))
    return _CUT.join(ends).encode()
