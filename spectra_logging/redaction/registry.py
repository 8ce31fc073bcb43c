"""The secrets registered in this process, and every form in which they may turn up.

Readers take one immutable :class:`Registered` object from a module variable and never lock;
registering builds a new one and swaps it in.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from spectra_logging.errors import ConfigurationError, SpectraWarning
from spectra_logging.forks import at_fork

__all__ = [
    "REDACTED",
    "Registered",
    "current",
    "forget_secret",
    "forget_secrets",
    "register_secret",
    "secret_bytes_pattern",
]

REDACTED = "***"
"""What stands where a secret stood."""

SHORTEST_SECRET = 4
"""Characters; anything shorter would hide pieces of ordinary words and numbers."""

# Characters that some client leaves as they are in a URL: none, paths, queries.
_LEFT_BY_URL_CLIENTS = ("", "/", "!$'()*,;:@/?", "!#$%&'()*+,/:;=?@[]~")

# How systems end lines, and what tracebacks put before those of exceptions in groups.
_BETWEEN_LINES = ("\n", "\r\n", *("\n" + "  " * depth + "| " for depth in range(1, 12)))

# As a field can hold it: 0042 is no number, and should not hide 42. int() refuses thousands of
# digits.
_NUMBER = re.compile("[1-9][0-9]{0,999}")


class Registered:
    """One immutable state of the registry.

    Attributes:
        needles: Every form of every secret, longest first.
        pattern: Matches any of them in text; ``None`` when no secret is registered.
        bytes_pattern: Matches a secret as it stands in an encoded line, escaped or not.
        numbers: The secrets that are whole numbers, for fields that hold them as such.
        verdicts: What ``may_hold_secret`` found for short texts under this state.
    """

    __slots__ = ("bytes_pattern", "needles", "numbers", "pattern", "secrets", "verdicts")
    needles: tuple[str, ...]
    pattern: re.Pattern[str] | None
    bytes_pattern: re.Pattern[bytes] | None

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = frozenset(secrets)
        self.numbers = frozenset(
            int(secret) for secret in self.secrets if _NUMBER.fullmatch(secret)
        )
        self.verdicts: dict[str, bool] = {}

    def __getattr__(self, name: str) -> Any:
        """Make one of the three that take long, as it is asked for the first time.

        A program may register hundreds of secrets, one after the other, before it logs.
        """
        if name not in ("needles", "pattern", "bytes_pattern"):
            raise AttributeError(name)
        made = getattr(self, f"_{name}")()
        setattr(self, name, made)
        return made

    def _needles(self) -> tuple[str, ...]:
        forms = {form for secret in self.secrets for form in _forms(secret)}
        return tuple(sorted(forms, key=lambda form: (-len(form), form)))

    def _pattern(self) -> re.Pattern[str] | None:
        return re.compile("|".join(map(re.escape, self.needles))) if self.secrets else None

    def _bytes_pattern(self) -> re.Pattern[bytes] | None:
        if not self.secrets:
            return None
        # A pattern of one literal takes an eighth of the time of one with alternatives, and most
        # secrets escape to themselves: so without the forms of URLs and base64.
        escaped = {form for secret in self.secrets for form in _escaped_forms(secret)}
        return re.compile(
            b"|".join(re.escape(form.encode("utf-8", "surrogatepass")) for form in escaped)
        )


def _forms(secret: str) -> set[str]:
    """The secret as itself and as escaping, URLs and base64 write it."""
    forms = _escaped_forms(secret)
    for left in _LEFT_BY_URL_CLIENTS:
        for encoded in (quote(secret, safe=left, errors="replace"), *_plus(secret, left)):
            forms |= {encoded, re.sub(r"%[0-9A-F]{2}", lambda code: code[0].lower(), encoded)}
    forms |= set(_base64_cores(secret.encode("utf-8", "surrogatepass")))
    if len(lines := secret.splitlines()) > 1:
        forms |= {between.join(lines) for between in _BETWEEN_LINES}
    return forms


def _escaped_forms(secret: str) -> set[str]:
    forms = {secret}
    # Twice, for JSON that is itself a string in JSON.
    for _ in range(2):
        forms |= {escaped for form in tuple(forms) for escaped in _escaped(form)}
    return forms


def _escaped(text: str) -> Iterator[str]:
    yield repr(text)[1:-1]
    # As a request's body is shown.
    yield repr(text.encode("utf-8", "surrogatepass"))[2:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]


def _plus(text: str, left: str) -> Iterator[str]:
    if " " in text:
        yield quote_plus(text, safe=left, errors="replace")


def _base64_cores(secret: bytes) -> Iterator[str]:
    """What base64 makes of the secret, wherever in the encoded bytes it begins.

    A base64 digit holds six bits, so the first and last digits may share bits with the secret's
    neighbours; only the digits between depend on the secret alone.
    """
    for offset in range(3):
        digits = base64.b64encode(b"\0" * offset + secret).rstrip(b"=").decode()
        first = -(-offset * 8 // 6)
        last = (offset + len(secret)) * 8 // 6
        core = digits[first:last]
        yield core
        yield core.translate({ord("+"): "-", ord("/"): "_"})


_registered = Registered(())
_registering = threading.Lock()


def _renew_lock() -> None:
    # A fork may copy the lock while another thread of the parent holds it.
    global _registering  # noqa: PLW0603 - one lock a process
    _registering = threading.Lock()


at_fork(after_in_child=_renew_lock)


def current() -> Registered:
    """The registry's state now."""
    return _registered


def register_secret(secret: str) -> None:
    """Hide this text from now on, in every sink and in every form.

    Found and hidden in messages, arguments, extras and exception text, also JSON-escaped, as
    ``repr`` writes it, percent-encoded and base64-encoded. Safe from any thread; a secret
    registered before is registered still. White space around it is not part of it.

    A secret shorter than four characters can't be told from ordinary text. It is not searched
    for, and a warning says so; under secret keys its value is hidden all the same.

    Args:
        secret: The secret; empty text is ignored.

    Raises:
        ConfigurationError: It is not a string. The message doesn't show it.

    Warns:
        SpectraWarning: It is too short to be searched for.
    """
    if not isinstance(secret, str):
        raise ConfigurationError(
            f"register_secret takes a str, not {type(secret).__name__}; decode or convert it first"
        )
    secret = secret.strip()
    if not secret:
        return
    if len(secret) < SHORTEST_SECRET:
        warnings.warn(
            f"a secret of {len(secret)} characters can't be told from ordinary text, so it is "
            f"hidden only under keys such as 'token'; use at least {SHORTEST_SECRET} characters",
            SpectraWarning,
            stacklevel=2,
        )
        return
    global _registered  # noqa: PLW0603 - the swap that readers rely on
    with _registering:
        if secret not in _registered.secrets:
            _registered = Registered((*_registered.secrets, secret))


def forget_secret(secret: str) -> None:
    """Forget one secret, for those that are replaced time and again and are worthless after."""
    global _registered  # noqa: PLW0603 - the swap that readers rely on
    with _registering:
        if secret in _registered.secrets:
            _registered = Registered(_registered.secrets - {secret})


def forget_secrets() -> None:
    """Forget every registered secret; for tests, which must not hide each other's words."""
    global _registered  # noqa: PLW0603 - the swap that readers rely on
    with _registering:
        _registered = Registered(())


def secret_bytes_pattern() -> re.Pattern[bytes] | None:
    """A pattern that finds any registered secret, escaped or not, in an encoded line.

    It is for what never was text of its own, such as numbers and the names of loggers and threads:
    text has gone through ``redact_text``, which also knows the forms of URLs and base64. A match
    may lie in a key or a number, so re-encode the row from values that went through
    ``redact_value`` and don't replace the match in place.

    Returns:
        The pattern; ``None`` when no secret is registered.
    """
    return _registered.bytes_pattern
