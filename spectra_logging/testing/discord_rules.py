"""What Discord refuses in a message, and in which words.

The numbers are Discord's documentation's, written out here and not shared with the code that keeps
to them: a wrong number there is found here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

__all__ = ["FILE_BYTES", "form_errors", "is_empty"]

EMBEDS = 10
EMBED_TEXTS = 6000
FIELDS = 25
FILES = 10
FILE_BYTES = 10 << 20

_MESSAGE_KEYS = frozenset(
    "allowed_mentions applied_tags attachments avatar_url components content embeds flags poll"
    " thread_name tts username".split()
)
_EMBED_KEYS = frozenset(
    "author color description fields footer image thumbnail timestamp title type url".split()
)

Path = tuple[str, ...]
Report = Callable[[Path, str, str], None]


def is_empty(payload: Mapping[str, Any], files: Sequence[Any]) -> bool:
    """Whether there is nothing in a message that a person could see."""
    content = payload.get("content")
    seen = isinstance(content, str) and bool(content.strip())
    return not (seen or payload.get("embeds") or files or payload.get("poll"))


def form_errors(payload: Mapping[str, Any], files: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
    """Discord's tree of errors for a message; empty when it would take it.

    Stricter than Discord in one thing: an unknown key is an error, since Discord ignores it, and
    with it what was meant.

    Args:
        payload: The message.
        files: Name and content of each attached file.
    """
    tree: dict[str, Any] = {}

    def report(path: Path, code: str, message: str) -> None:
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    _check_keys(payload, _MESSAGE_KEYS, (), report)
    _check_text(payload, "content", 2000, (), report)
    _check_text(payload, "username", 80, (), report, least=1)
    _check_text(payload, "avatar_url", 2048, (), report)
    _check_text(payload, "thread_name", 100, (), report, least=1)
    _check_username(payload.get("username"), report)
    _check_mentions(payload.get("allowed_mentions"), report)
    if payload.get("flags", 0) not in (0, 4, 4096, 4100):
        report(("flags",), "MESSAGE_FLAGS_INVALID", "These flags can not be set by a webhook.")
    _check_embeds(payload.get("embeds"), report)
    _check_files(payload, files, report)
    return tree


def _objects(values: Any, path: Path, report: Report) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The objects of a list, each with its place; reports what is no list and what is no object."""
    if values is not None and not isinstance(values, list):
        report(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return
    for number, value in enumerate(values or ()):
        place = (*path, str(number))
        if _is_object(value, place, report):
            yield place, value


def _is_object(value: Any, path: Path, report: Report) -> bool:
    """Whether it is an object; reports what is none."""
    if not isinstance(value, dict):
        report(path, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
    return isinstance(value, dict)


def _check_embeds(embeds: Any, report: Report) -> None:
    checked = [
        _check_embed(embed, path, report) for path, embed in _objects(embeds, ("embeds",), report)
    ]
    if len(checked) > EMBEDS:
        report(("embeds",), "BASE_TYPE_BAD_LENGTH", "Must be 10 or fewer in length.")
    if sum(checked) > EMBED_TEXTS:
        report(("embeds",), "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000")


def _check_embed(embed: Mapping[str, Any], path: Path, report: Report) -> int:
    _check_keys(embed, _EMBED_KEYS, path, report)
    texts = [
        _check_text(embed, "title", 256, path, report),
        _check_text(embed, "description", 4096, path, report),
    ]
    for name, key, limit in (("footer", "text", 2048), ("author", "name", 256)):
        part = embed.get(name)
        if part is not None and _is_object(part, (*path, name), report):
            texts.append(_check_text(part, key, limit, (*path, name), report, least=1))
    fields = list(_objects(embed.get("fields"), (*path, "fields"), report))
    if len(fields) > FIELDS:
        report((*path, "fields"), "BASE_TYPE_BAD_LENGTH", "Must be 25 or fewer in length.")
    for place, field in fields:
        _check_keys(field, frozenset({"name", "value", "inline"}), place, report)
        texts.append(_check_text(field, "name", 256, place, report, least=1))
        texts.append(_check_text(field, "value", 1024, place, report, least=1))
    color = embed.get("color", 0)
    if isinstance(color, bool) or not isinstance(color, int) or not 0 <= color <= 0xFFFFFF:
        report((*path, "color"), "NUMBER_TYPE_MAX", "int value should be between 0 and 16777215.")
    timestamp = embed.get("timestamp")
    if timestamp is not None:
        try:
            datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
        except (ValueError, AttributeError):
            report((*path, "timestamp"), "DATE_TIME_TYPE_PARSE", "Could not parse it.")
    return sum(texts)


def _check_text(  # noqa: PLR0917 - one line a text, as they are many
    holder: Mapping[str, Any], key: str, limit: int, path: Path, report: Report, least: int = 0
) -> int:
    """Check one text; returns its length."""
    text = holder.get(key)
    place = (*path, key)
    if text is None and not least:
        return 0
    if text is None:
        if key not in {"username", "thread_name"}:
            report(place, "BASE_TYPE_REQUIRED", "This field is required")
        return 0
    if not isinstance(text, str):
        report(place, "STRING_TYPE_CONVERT", f"Could not interpret {text!r} as string.")
        return 0
    try:
        text.encode()
    except UnicodeEncodeError:
        report(place, "STRING_TYPE_CONVERT", "It holds half a character.")
    # Discord trims texts before it looks at them.
    if len(text.strip()) < least:
        report(place, "BASE_TYPE_REQUIRED", "This field is required")
    if len(text) > limit:
        report(place, "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")
    return len(text)


def _check_keys(
    holder: Mapping[str, Any], known: frozenset[str], path: Path, report: Report
) -> None:
    for key in holder.keys() - known:
        report((*path, str(key)), "UNKNOWN_KEY", "There is no such field.")


def _check_username(username: Any, report: Report) -> None:
    for word in ("discord", "clyde"):
        if isinstance(username, str) and word in username.lower():
            report(
                ("username",),
                "USERNAME_INVALID_CONTAINS",
                f'Username cannot contain "{word}"',
            )


def _check_mentions(mentions: Any, report: Report) -> None:
    path = ("allowed_mentions",)
    if mentions is None or not _is_object(mentions, path, report):
        return
    parse = mentions.get("parse") or []
    if not isinstance(parse, list):
        report((*path, "parse"), "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        return
    for name in ("roles", "users"):
        if name in parse and mentions.get(name):
            report(
                path,
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                f'parse:["{name}"] and {name}: [ids...] are mutually exclusive.',
            )


def _check_files(
    payload: Mapping[str, Any], files: Sequence[tuple[str, bytes]], report: Report
) -> None:
    if len(files) > FILES:
        report(("attachments",), "BASE_TYPE_BAD_LENGTH", "Must be 10 or fewer in length.")
    for place, attachment in _objects(payload.get("attachments"), ("attachments",), report):
        if str(attachment.get("id")) not in map(str, range(len(files))):
            report((*place, "id"), "ATTACHMENT_NOT_FOUND", "There is no such file.")
        _check_text(attachment, "filename", 1024, place, report, least=1)
