"""OneLake, Fabric's store: its addresses, and the tokens that open them."""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
import time
from typing import Any

from spectra_logging.errors import TableUnavailableError
from spectra_logging.fabric import find_notebookutils
from spectra_logging.forks import at_fork
from spectra_logging.redaction import describe_error
from spectra_logging.redaction.registry import forget_secret, register_secret

__all__ = ["StorageToken", "gives_tokens", "is_onelake", "shared_token"]

RENEW_BEFORE_SECONDS = 300.0
"""How long before its end a token is renewed: no single commit takes as long."""

UNREADABLE_LIFETIME_SECONDS = 900.0
"""How long a token is used that does not say when it ends."""

ASK_AGAIN_SECONDS = 30.0
"""Fabric may give out the same token until its end; it is not asked more often than this."""

_HOST = re.compile(r"(?:[^/@]+@)?(?P<host>[^/:]+)")


def is_onelake(table: str) -> bool:
    """Whether a table's URI is in OneLake: ``abfss://<workspace>@onelake.dfs.fabric.…/…``."""
    scheme, _, rest = table.partition("://")
    if scheme.lower() not in {"abfss", "abfs", "https"}:
        return False
    host = _HOST.match(rest)
    return host is not None and host["host"].lower().endswith(".fabric.microsoft.com")


class StorageToken:
    """``notebookutils.credentials.getToken("storage")``, kept until shortly before its end.

    Each token is registered as a secret. Safe from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: str | None = None
        self._previous: str | None = None
        self._asked_at_seconds = 0.0
        self._renew_at_seconds = 0.0
        self._ends_at_seconds = 0.0

    def get(self) -> str | None:
        """A token that is good for some minutes; ``None`` where nobody gives any out.

        Raises:
            TableUnavailableError: Fabric refuses to give one out, and there is none that is good.
        """
        credentials = _credentials()
        if credentials is None:
            return None
        with self._lock:
            now = time.time()
            good = self._token is not None and now < self._ends_at_seconds
            asked_just_now = now - self._asked_at_seconds < ASK_AGAIN_SECONDS
            if not good or (now >= self._renew_at_seconds and not asked_just_now):
                self._ask(credentials, now, good=good)
            return self._token

    def refused(self, token: str | None) -> None:
        """Forget a token that the store has refused, so that the next one is asked for."""
        with self._lock:
            if token is not None and token == self._token:
                self._ends_at_seconds = 0.0

    def _ask(self, credentials: Any, now: float, *, good: bool) -> None:
        self._asked_at_seconds = now
        try:
            token = credentials.getToken("storage")
        except Exception as error:
            if good:
                return  # The one at hand serves for as long as it is good.
            reason = describe_error(error)
            raise TableUnavailableError(
                f"no token for OneLake: notebookutils.credentials.getToken('storage') {reason}"
            ) from error
        if not isinstance(token, str) or not token.strip():
            raise TableUnavailableError(
                "no token for OneLake: notebookutils.credentials.getToken('storage') gave none"
            )
        token = token.strip()
        if token != self._token:
            register_secret(token)
            # The one before may stand in lines that are yet to come. Those before it are of no
            # use to anybody, and each secret that is looked for takes time in every log call.
            if self._previous is not None:
                forget_secret(self._previous)
            self._previous, self._token = self._token, token
        ends_at = _expiry(token)
        self._ends_at_seconds = now + UNREADABLE_LIFETIME_SECONDS if ends_at is None else ends_at
        self._renew_at_seconds = self._ends_at_seconds - RENEW_BEFORE_SECONDS


def gives_tokens() -> bool:
    """Whether somebody in this process gives tokens for OneLake out, as Fabric's runtime does."""
    return _credentials() is not None


def _credentials() -> Any | None:
    credentials = getattr(find_notebookutils(), "credentials", None)
    return credentials if hasattr(credentials, "getToken") else None


def _expiry(token: str) -> float | None:
    """When a JSON Web Token ends, in seconds since 1970; ``None`` when it does not say."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return None


shared_token = StorageToken()
"""This process's token: one serves all its tables."""


def _after_fork_in_child() -> None:
    # Another thread of the parent may have held the lock.
    shared_token.__init__()  # type: ignore[misc]


at_fork(after_in_child=_after_fork_in_child)
