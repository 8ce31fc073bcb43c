"""How a request shows who asks: by a bearer token, a user and a password, or a header's token."""

from __future__ import annotations

import base64

from requests import PreparedRequest
from requests.auth import AuthBase

from spectra_logging.errors import ConfigurationError
from spectra_logging.redaction import REDACTED, register_secret

__all__ = ["AUTH_METHODS", "HeaderAuthentication", "authentication", "masked"]

AUTH_METHODS = ("apiToken", "bearer", "basic")
"""``apiToken`` sends a header and prefix of the caller's choice, ``bearer`` is its default form."""

_SHOWN_CHARACTERS = 3


class HeaderAuthentication(AuthBase):
    """One header, set on each request.

    requests looks for credentials of its own in ``~/.netrc`` only where a session has none.

    Args:
        header: The header's name.
        value: Its value.
    """

    def __init__(self, header: str, value: str) -> None:
        self.header = header
        self._value = value

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Set the header."""
        request.headers[self.header] = self._value
        return request

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.header!r}, {REDACTED!r})"


def authentication(
    method: str,
    token: str,
    *,
    header: str = "Authorization",
    prefix: str = "Bearer",
    user: str | None = None,
) -> HeaderAuthentication:
    """The authentication of a method's name.

    Args:
        method: One of :data:`AUTH_METHODS`, in any case.
        token: The token; for ``basic`` the password, or ``user:password``.
        header: The header that carries the token, for ``apiToken``.
        prefix: What stands before it there; may be empty.
        user: The user, for ``basic``.

    Raises:
        ConfigurationError: The method is not known, the header can't be one, ``basic`` has no
            user, the prefix is no text, or the token or the prefix holds what no header can, and
            then neither is in the message.
    """
    known = method.lower() if isinstance(method, str) else method
    token = token.strip()
    # A password goes in base64, and may be of any script.
    can_be_sent = token.isprintable() if known == "basic" else _can_be_sent(token)
    if not can_be_sent or not token:
        raise ConfigurationError(
            "API_TOKEN holds characters that no HTTP header can carry; was it copied whole, "
            "and nothing with it?"
        )
    # As it is sent: a value from a vault often ends in a line break.
    register_secret(token)
    if known == "basic":
        if user is None and ":" not in token:
            raise ConfigurationError(
                "auth_method='basic' needs a user: set API_USER, or API_TOKEN to user:password"
            )
        pair = token if user is None else f"{user.strip()}:{token}"
        register_secret(pair)
        return HeaderAuthentication("Authorization", f"Basic {_base64(pair)}")
    if known not in {"apitoken", "bearer"}:
        raise ConfigurationError(f"auth_method={method!r} may be {', '.join(AUTH_METHODS)}")
    if known == "bearer":
        header, prefix = "Authorization", "Bearer"
    letters = header.replace("-", "").replace("_", "") if isinstance(header, str) else ""
    if not letters.isascii() or not letters.isalnum():
        raise ConfigurationError(f"auth_header={header!r} can't be an HTTP header's name")
    if not isinstance(prefix, str):
        raise ConfigurationError(f"auth_prefix={prefix!r} must be text; '' is none")
    if not _can_be_sent(prefix):
        # The HTTP client would refuse prefix and token together, and name both.
        raise ConfigurationError("auth_prefix holds characters that no HTTP header can carry")
    return HeaderAuthentication(header, f"{prefix} {token}".strip())


def masked(token: str) -> str:
    """The token as ``source.credentials`` may hold it: ``***`` and its end.

    The end is its last three characters, and never more than a quarter of it.
    """
    token = token.strip()
    shown = min(_SHOWN_CHARACTERS, len(token) // 4)
    return REDACTED + token[len(token) - shown :]


def _can_be_sent(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
