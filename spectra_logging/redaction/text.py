"""Scrubbing text: registered secrets, and values that stand behind secret keys.

Every scan here is linear in the text's length, whatever the text holds: log messages carry what
strangers send.
"""

from __future__ import annotations

import re

from spectra_logging.redaction import registry
from spectra_logging.redaction.keys import is_secret_key
from spectra_logging.redaction.registry import REDACTED
from spectra_logging.values import safe_text

__all__ = ["describe_error", "is_suspect", "may_hold_secret", "redact_text"]

LONGEST_REMEMBERED_TEXT = 256
MOST_REMEMBERED_TEXTS = 2048

# What a key that names a secret holds. The bound in the second pattern keeps its scan linear.
_STEM = re.compile("auth|conn|cookie|cred|jwt|key|pass|pwd|sas|secret|sig|string|token|webhook")
_CANDIDATE = re.compile(
    rf"(?:{_STEM.pattern})" + r"""[\w.-]{0,80}\\{0,3}["']?[ \t]{0,40}[:=]|://[^/@]*@"""
)
# Everyday words that are secret only after another one, as in "API key: …".
_SECRET_AFTER_ANOTHER_WORD = frozenset("auth key keys pass signature string strings tokens".split())
# A run of key characters, perhaps quoted, and a separator. It can only begin where a run begins,
# so no run is scanned twice.
_KEY = re.compile(
    r"""(?<![\w.-])([\w.-]+)(\\{0,3}["'])?[ \t]{0,40}(:=?(?!:)|={1,2}>?)[ \t]{0,40}"""
)
_WORD_BEFORE = re.compile(r"[A-Za-z]+(?=[ \t]\Z)")

_QUOTE = re.compile(r"""[bBfFrRuU]{0,2}(\\{0,3}["'])""")
_QUOTED_REST = {
    '"': re.compile(r'[^"\\]*(?:\\.[^"\\]*)*(?=")', re.DOTALL),
    "'": re.compile(r"[^'\\]*(?:\\.[^'\\]*)*(?=')", re.DOTALL),
}
_ESCAPED_QUOTED_REST = {
    slashes * "\\" + quote: re.compile(
        r"(?s:.*?)(?<!\\)(?=" + re.escape(slashes * "\\" + quote) + ")"
    )
    for slashes in (1, 2, 3)
    for quote in "\"'"
}
_BRACKET_OR_QUOTE = re.compile(r"""[()\[\]{}\n]|(?<!\\)\\*["']""")
_LINE = re.compile(r"[^\r\n]*")

# An unquoted value runs to white space, or to a comma, semicolon or ampersand with another
# key behind it; closing punctuation at its end belongs to the sentence.
_REST_OF_BARE = r"""
    \S*?
    (?= [)\]}>"':\\]{0,4}
        (?: [,;&]?(?:\s|\Z) | [,;&][ \t]?\\{0,3}["']?[\w.-]{1,64}\\{0,3}["']?[ \t]?[:=] )
      | \Z
    )
"""
_BARE = re.compile(
    r"""
    (?:Digest|Hawk|OAuth|AWS4-HMAC-SHA256)[ \t][^\r\n]*
    |
    (?:(?:ApiKey|Basic|Bearer|Negotiate|NTLM|SharedKey|SharedKeyLite|Token)[ \t]{1,3})?
    [^\s,;&)\]}>"']
    """
    + _REST_OF_BARE,
    re.VERBOSE | re.IGNORECASE,
)
_BEHIND_BRACKETS = re.compile(_REST_OF_BARE, re.VERBOSE)
_COOKIES = re.compile(r"""[^\r\n"']+""")
_SHOWS_ITS_ABSENCE = frozenset((REDACTED, "none", "null", "true", "false"))

_BEARER = re.compile(
    r"\b([Bb]earer)( {1,3})"
    r"(?!(?:and|auth|authentication|authorization|credentials?|for|header|in|is|of|or|scheme|tokens?"
    r"|was)\b)[\w.~+/-]+=*"
)
_USER_INFO = re.compile(r"""(://[^\s/:@?#"'<>]*:)[^\s/?#"'<>]+@""")
# A token alone may stand there too, as for git; a short name is a user's, and one of a scheme other
# than HTTP's a container's.
_TOKEN_IN_URL = re.compile(r"""(https?://)[^\s/:@?#"'<>]{20,}@""")
# A command line, or the list of its words. What a sentence goes on with is no value.
_OPTION = re.compile(
    r"""
    (?<![\w-]) (--[a-z][\w-]{0,60})
    (?: (["'],[ ]?["']) [^"'\n-][^"'\n]*
      | ([ \t]{1,4})
        (?! (?:a|an|and|are|as|by|can|false|for|from|has|if|in|instead|is|may|must|none|not|null
            |of|option|or|the|to|true|was|when|with)\b )
        (?: (?: "[^"\n]+" | '[^'\n]+' ) [^\s"']*
          | [^\s"'=:-][^\s"']*?(?=[\])}>]{0,4}(?:[\s"']|\Z)) )
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_WEBHOOK = re.compile(r"(/webhooks/\d+/)[\w-]+")
_SIGNED_URL = re.compile(r"([?&]sig=)[^\s&\"'<>]+")


def may_hold_secret(text: str) -> bool:
    """Whether :func:`redact_text` might change this text; cheap enough to ask for every message.

    Answers for short texts are remembered, up to a bound, since log messages repeat.

    Returns:
        ``False`` when ``redact_text`` would return the text unchanged.
    """
    # The state is taken once: a verdict found under it must not be filed under a later one.
    registered = registry._registered  # noqa: SLF001 - a call less on the hot path
    verdicts = registered.verdicts
    verdict = verdicts.get(text)
    if verdict is not None:
        return verdict
    suspect = is_suspect(text, registered)
    if len(text) <= LONGEST_REMEMBERED_TEXT:
        if suspect:
            suspect = _redacted(text, registered) != text
        if len(verdicts) >= MOST_REMEMBERED_TEXTS:
            verdicts.clear()
        verdicts[text] = suspect
    return suspect


def is_suspect(text: str, registered: registry.Registered) -> bool:
    """Whether a text needs a closer look; for a new one quicker to tell than to remember.

    Args:
        text: The text.
        registered: The registered secrets.
    """
    if (":" in text or "=" in text) and _may_have_secret_key(text):
        return True
    if "earer " in text or "/webhooks/" in text:
        return True
    if "--" in text and _OPTION.search(text):
        return True
    for needle in registered.needles:  # noqa: SIM110 - any() costs four times as much
        if needle in text:
            return True
    return False


def _may_have_secret_key(text: str) -> bool:
    if text.count(":") + text.count("=") > 3:
        return _CANDIDATE.search(text.lower()) is not None
    if "://" in text and "@" in text:
        return True
    # For one or two separators, looking at the word before each takes half the time.
    for separator in ":=":
        at = text.find(separator)
        while at >= 0:
            before = text[max(0, at - 100) : at].rstrip(" \t\"'\\")
            if _STEM.search(before[before.rfind(" ") + 1 :].lower()):
                return True
            at = text.find(separator, at + 1)
    return False


def redact_text(text: str) -> str:
    """The text with every secret in it replaced by ``***``, and the rest as it was.

    Hidden are registered secrets in any form; values behind secret keys (``key=value``,
    ``key: value``, ``"key": "value"``, also with the value in brackets) and secret options
    (``--key value``); ``Bearer …``; the password of a URL, or the token in its place; the
    signature of a signed one, and the token of a webhook's.
    A value that only says there is no secret, such as ``token=None``, stays.

    Returns:
        The same object when there is nothing to hide. Redacting again changes nothing.
    """
    registered = registry.current()
    return _redacted(text, registered) if is_suspect(text, registered) else text


def describe_error(error: BaseException) -> str:
    """An error's class and words, without secrets, also where its text can't be had."""
    return redact_text(f"{type(error).__name__}: {safe_text(error)}")


def _redacted(text: str, registered: registry.Registered) -> str:
    redacted = text
    if registered.pattern is not None:
        # Again while it matches: what a replacement leaves may complete another secret. Each round
        # shortens the text, as no form is as short as what replaces it.
        while registered.pattern.search(redacted):
            redacted = _without_secrets(redacted, registered.pattern)
    if ":" in redacted or "=" in redacted:
        if "://" in redacted:
            redacted = _USER_INFO.sub(rf"\1{REDACTED}@", redacted)
            redacted = _TOKEN_IN_URL.sub(rf"\1{REDACTED}@", redacted)
        if "sig=" in redacted:
            redacted = _SIGNED_URL.sub(rf"\1{REDACTED}", redacted)
        redacted = _without_values_of_secret_keys(redacted)
    if "/webhooks/" in redacted:
        redacted = _WEBHOOK.sub(rf"\1{REDACTED}", redacted)
    if "earer " in redacted:
        redacted = _BEARER.sub(rf"\1\2{REDACTED}", redacted)
    if "--" in redacted:
        redacted = _OPTION.sub(_without_value, redacted)
    return text if redacted == text else redacted


def _without_secrets(text: str, pattern: re.Pattern[str]) -> str:
    """The text with ``***`` in place of each secret; of several that overlap nothing is left."""
    parts: list[str] = []
    done = 0
    match = pattern.search(text)
    while match is not None:
        start, end = match.span()
        match = pattern.search(text, start + 1)
        while match is not None and match.start() < end:
            end = max(end, match.end())
            match = pattern.search(text, match.start() + 1)
        parts += (text[done:start], REDACTED)
        done = end
    return "".join((*parts, text[done:]))


def _without_value(option: re.Match[str]) -> str:
    name, between_words, space = option.groups()
    if not is_secret_key(name):
        return option[0]
    return f"{name}{between_words or space}{REDACTED}"


def _without_values_of_secret_keys(text: str) -> str:
    parts: list[str] = []
    done = position = 0
    never_closed = len(text)
    while (key := _KEY.search(text, position)) is not None:
        position = key.end()
        if not _names_secret(text, key):
            continue
        start = position
        replacement = REDACTED
        if (quote := _QUOTE.match(text, start)) is not None:
            start = quote.end()
            rest = _QUOTED_REST.get(quote[1]) or _ESCAPED_QUOTED_REST[quote[1]]
            end = _end(rest, text, start) or _end(_LINE, text, start)
        else:
            is_cookie = key[1].lower().endswith(("cookie", "cookies"))
            if not text.startswith(("(", "[", "{"), start):
                end = _end(_COOKIES if is_cookie else _BARE, text, start) or start
            elif start < never_closed and (closing := _closing(text, start)):
                rest = _COOKIES if is_cookie else _BEHIND_BRACKETS
                end = _end(rest, text, closing) or closing
            else:
                # What doesn't close from here to the end won't close later either: don't look
                # again, or hostile text takes its length squared.
                never_closed = min(never_closed, start)
                end = _end(_LINE, text, start)
            if key[2]:
                # Behind a quoted key the text is a structure; a quoted value keeps it readable.
                replacement = key[2] + REDACTED + key[2]
        value = text[start:end]
        if not value or value.lower() in _SHOWS_ITS_ABSENCE:
            continue
        parts += (text[done:start], replacement)
        done = position = end
    return "".join((*parts, text[done:])) if parts else text


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a match that begins at ``start`` ends; 0 without one."""
    match = pattern.match(text, start)
    return match.end() if match else 0


def _names_secret(text: str, key: re.Match[str]) -> bool:
    name = key[1]
    if is_secret_key(name[-200:]):
        # "Tables/source/credentials: 1 row" and "https://token:…" name a place, not a field.
        return not (key[3] == ":" and text[key.start() - 1 : key.start()] == "/")
    if name.lower() in _SECRET_AFTER_ANOTHER_WORD:
        before = _WORD_BEFORE.search(text[max(0, key.start() - 20) : key.start()])
        return before is not None and is_secret_key(f"{before[0]} {name}")
    return False


def _closing(text: str, start: int) -> int:
    """The position behind the bracket that closes the one at ``start``; 0 when none does.

    Brackets in quotes don't count. A quote ends at the latest with its line.
    """
    depth = 0
    quote = ""
    for match in _BRACKET_OR_QUOTE.finditer(text, start):
        mark = match[0]
        if mark == "\n" or (quote and _closes(mark, quote)):
            quote = ""
        elif quote:
            continue
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
            if not depth:
                return match.end()
        else:
            quote = mark
    return 0


def _closes(mark: str, quote: str) -> bool:
    """Whether this quotation mark, with the backslashes before it, ends what that one began."""
    escaped_backslashes = len(quote) == 1 and len(mark) % 2 == 1
    return mark[-1] == quote[-1] and (len(mark) == len(quote) or escaped_backslashes)
