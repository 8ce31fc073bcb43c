"""Which keys name a secret.

A key is read as words: ``X-Auth-Token``, ``authToken`` and ``AUTH_TOKEN`` all end in "token". It
names a secret when a secret word, or a pair such as ``api key``, stands in it, unless the words
around say that the value is *about* a secret: ``token_count``, ``secret_name``, ``has_password``.
With an unknown word behind it the key still counts, so that ``password_old`` is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar, cast

__all__ = ["is_secret_key"]

_Function = TypeVar("_Function", bound=Callable[..., object])

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")

_SECRET_WORDS = frozenset(
    "authorization cookies creds credentials jwt passwords pwd sas secrets webhook webhooks".split()
)

# Endings, so that keys written without a boundary (PGPASSWORD, authtoken) count too.
_SECRET_ENDINGS = (
    "accesskey",
    "accountkey",
    "apikey",
    "apikeys",
    "connectionstring",
    "connstr",
    "cookie",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "token",
    "webhookurl",
)


def _pairs(firsts: str, seconds: str) -> frozenset[tuple[str, str]]:
    return frozenset((first, second) for first in firsts.split() for second in seconds.split())


# "key", "tokens", "string", "pass" and the like are everyday words; a neighbour makes them secret.
_SECRET_PAIRS = (
    _pairs(
        "access account api encryption master private shared signing ssh subscription", "key keys"
    )
    | _pairs("access api auth bearer id refresh session", "tokens")
    | _pairs("conn connection", "str string strings")
    | _pairs("access amz goog", "signature")
    | _pairs("basic http proxy", "auth")
    | _pairs("admin db ftp mail mysql pg proxy redis root sftp smtp ssh user", "pass")
    | _pairs("sas webhook", "uri url urls")
)

_ABOUT_A_SECRET = frozenset(
    """
    age at backend budget column cost count counts dataset date days enabled endpoint error expired
    expires expiration expiry exists field file format found hint hours id in index issuer kind
    len length limit manager method minutes missing ms name names path policy position present
    provider rate required rotation scheme scope scopes seconds set size source status store
    table time total ttl type types updated uri url usage used valid vault version
    """.split()
)

_ASKS_ABOUT_A_SECRET = frozenset("avg has is max min missing needs num requires total uses".split())


def _remembering(function: _Function) -> _Function:
    # To type checkers, what lru_cache gives takes anything that can be hashed.
    return cast("_Function", lru_cache(maxsize=4096)(function))


@_remembering
def is_secret_key(key: str) -> bool:
    """Whether a value under this key must never be shown.

    Works on whole words in any usual spelling (``api_token``, ``X-Auth-Token``, ``clientSecret``,
    ``DB_PASSWORD``), so ``monkey``, ``author`` and ``tokens_used`` are no secrets.

    Args:
        key: A field's name, a header, or a dotted option.
    """
    words = [word.lower() for word in _WORD.findall(key)]
    end = 0
    previous = ""
    for position, word in enumerate(words, start=1):
        if (
            word in _SECRET_WORDS
            or word.endswith(_SECRET_ENDINGS)
            or (previous, word) in _SECRET_PAIRS
        ):
            end = position
        previous = word
    if not end:
        return False
    if end < len(words):
        return words[-1] not in _ABOUT_A_SECRET
    return words[0] not in _ASKS_ABOUT_A_SECRET
