"""A webhook: found where it is kept, checked, and never shown."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from spectra_logging.errors import ConfigurationError
from spectra_logging.redaction import register_secret
from spectra_logging.variables import VariableLibrary, part_of_a_name, resolve_secret

__all__ = ["API_BASE_URL", "Webhook", "find_webhook", "parse_webhook"]

API_BASE_URL = "https://discord.com/api/v10"
"""Without a version Discord serves one that is no longer kept."""

_HOST = re.compile(r"(?:(?:ptb|canary)\.)?discord(?:app)?\.com")
_PATH = re.compile(
    r"/(?:api/)?(?:v\d{1,3}/)?webhooks/(?P<id>\d{1,20})/(?P<token>[\w-]{4,200})/?", re.ASCII
)
_ID = re.compile("[0-9]{1,20}")
_EXPECTED = (
    "expected https://discord.com/api/webhooks/<id>/<token>, as Discord's channel settings "
    "(Integrations, Webhooks) give it; what it is now is not shown, as it may be a secret"
)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Where messages go.

    Args:
        id: The webhook's public number.
        token: Its secret.
        api_base_url: The API below which it is.
        thread_id: The thread that its URL names.
    """

    id: str
    token: str = field(repr=False)
    api_base_url: str = API_BASE_URL
    thread_id: str | None = None

    @property
    def url(self) -> str:
        """The address to post to; a secret."""
        return f"{self.api_base_url}/webhooks/{self.id}/{self.token}"


def parse_webhook(
    setting: str, url: str, api_base_url: str | None = None, base_setting: str = "api_base_url"
) -> Webhook:
    """The webhook that a URL stands for. Its token is a registered secret from then on.

    Args:
        setting: What to call the URL in an error.
        url: A URL of Discord's, of any version of the API; or one below ``api_base_url``.
        api_base_url: The API to talk to in place of Discord's own.
        base_setting: What to call that in an error.

    Raises:
        ConfigurationError: It is none. The message doesn't show it.
    """
    base = API_BASE_URL if api_base_url is None else _check_base(base_setting, api_base_url)
    try:
        parts = urlsplit(url.strip())
        ours = parts.scheme == "https" and _HOST.fullmatch(parts.netloc.lower())
        theirs = api_base_url is not None and (parts.scheme, parts.netloc) == urlsplit(base)[:2]
        found = _PATH.fullmatch(parts.path) if ours or theirs else None
        strict = bool(parts.query)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=strict))
    except ValueError:
        # Not chained: urllib's words would show what they are about.
        found, query = None, {}
    thread_id = query.pop("thread_id", None)
    query.pop("wait", None)
    if found is None or query or not (thread_id is None or _ID.fullmatch(thread_id)):
        if re.search(r"/webhooks/[^?#]*/(slack|github)/?\Z", url.strip()):
            raise ConfigurationError(
                f"{setting} is a webhook for Slack's or GitHub's messages: leave out its last part"
            )
        raise ConfigurationError(f"{setting} is no Discord webhook; {_EXPECTED}")
    register_secret(found["token"])
    return Webhook(id=found["id"], token=found["token"], api_base_url=base, thread_id=thread_id)


def find_webhook(
    *,
    webhook_url: str | None = None,
    secret: str | None = None,
    variables: VariableLibrary | None = None,
    source_system: str | None = None,
    api_base_url: str | None = None,
) -> Webhook | None:
    """The webhook that is configured, wherever that is; ``None`` when it is nowhere.

    The first of these that is set: ``webhook_url``; ``secret``; the variables
    ``DISCORD_WEBHOOK_URL_<SOURCE_SYSTEM>`` and ``DISCORD_WEBHOOK_URL``, each in the Variable
    Library, then in the environment. Each may be the webhook's URL or the address of a Key Vault
    secret that holds it.

    Raises:
        ConfigurationError: What is set is no webhook, or can't be fetched here.
        VariableNotFoundError: Key Vault does not give it out.
    """
    if webhook_url is not None and secret is not None:
        raise ConfigurationError("webhook_url and secret both name the webhook; give one of them")
    if source_system is not None and not isinstance(source_system, str):
        raise ConfigurationError(f"source_system={source_system!r} must be a source system's key")
    for option, value in (("webhook_url", webhook_url), ("secret", secret)):
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise ConfigurationError(f"{option} must be text, and not empty; {_EXPECTED}")
    if secret is not None and not secret.strip().startswith("https://"):
        raise ConfigurationError(
            "secret must be the address of a Key Vault secret, "
            "https://<vault>.vault.azure.net/secrets/<name>"
        )
    base = _base(api_base_url, variables)
    given = webhook_url or secret
    if given is not None:
        setting = "webhook_url" if webhook_url is not None else "secret"
        return parse_webhook(setting, resolve_secret(setting, given), *base)
    system = source_system or _variable(variables, "SOURCE_SYSTEM")
    names = ["DISCORD_WEBHOOK_URL"]
    if system:
        names.insert(0, f"DISCORD_WEBHOOK_URL_{part_of_a_name(system)}")
    for name in names:
        if (value := _variable(variables, name)) is not None:
            setting = f"variable {name}"
            return parse_webhook(setting, resolve_secret(setting, value), *base)
    return None


def _base(api_base_url: str | None, variables: VariableLibrary | None) -> tuple[str | None, str]:
    """The API to talk to in place of Discord's own, and what to call its setting in an error."""
    if api_base_url:
        return api_base_url, "api_base_url"
    name = "DISCORD_API_BASE_URL"
    return _variable(variables, name), f"variable {name}"


def _variable(variables: VariableLibrary | None, name: str) -> str | None:
    if variables is not None:
        return variables.get(name)
    return os.environ.get(name, "").strip() or None


def _check_base(setting: str, api_base_url: str) -> str:
    expected = f"{setting} may be an address such as {API_BASE_URL}, without a query"
    if not isinstance(api_base_url, str):
        raise ConfigurationError(expected)
    try:
        parts = urlsplit(api_base_url.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise ConfigurationError(expected)
    return api_base_url.strip().rstrip("/")
