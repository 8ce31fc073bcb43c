"""The options with which delta-rs reaches a table's store."""

from __future__ import annotations

from collections.abc import Mapping

from spectra_logging import onelake
from spectra_logging.errors import ConfigurationError

__all__ = ["StorageAccess", "check_storage_options"]

_CREDENTIALS = frozenset(
    "access_key account_key bearer_token client_id federated_token_file identity_endpoint "
    "master_key msi_endpoint sas_key sas_token skip_signature token use_azure_cli".split()
)
"""Azure's options that say who asks, without their prefix."""


def check_storage_options(options: Mapping[str, str] | None) -> dict[str, str]:
    """Options of an object store as plain text; they may hold secrets, so no message shows them.

    Raises:
        ConfigurationError: It is no mapping of text to text, or an option makes it certain that
            nothing can be written safely.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ConfigurationError(
            f"storage_options must be a mapping of option to value, not {type(options).__name__}"
        )
    for name, value in options.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigurationError(
                f"storage_options[{name!r}] is of type {type(value).__name__}; names and values "
                "must be text"
            )
        if name.lower().endswith("conditional_put") and value.lower() == "disabled":
            raise ConfigurationError(
                f"storage_options[{name!r}]='disabled' takes from S3 what keeps two writers from "
                "overwriting each other's commits; leave it out, or set it to 'etag'"
            )
    return dict(options)


class StorageAccess:
    """Options of the object store for each table, with a token of Fabric's where there is one.

    OneLake tables need a bearer token. Where the user's options name no credential and the process
    runs in Fabric, Fabric's own token is used, and renewed before its end.

    Args:
        options: The user's options, as delta-rs takes them.
        token: Where tokens come from; by default the one that the process shares.

    Raises:
        ConfigurationError: As :func:`check_storage_options` does.
    """

    def __init__(
        self, options: Mapping[str, str] | None, token: onelake.StorageToken | None = None
    ) -> None:
        self._options = check_storage_options(options)
        names = [name.lower() for name in self._options]
        self._names_credential = any(_bare(name) in _CREDENTIALS for name in names)
        self._token = token or onelake.shared_token
        self._last_token: str | None = None

    def options(self, table: str) -> dict[str, str]:
        """The options for one table, now.

        Raises:
            TableUnavailableError: The table is in OneLake and Fabric gives no token out.
        """
        if self._names_credential or not onelake.is_onelake(table):
            return dict(self._options)
        token = self._token.get()
        self._last_token = token
        if token is None:
            return dict(self._options)
        return {"use_fabric_endpoint": "true", **self._options, "bearer_token": token}

    def can_renew(self, table: str) -> bool:
        """Take note that the store refuses; whether asking again with a new token may help."""
        if self._names_credential or not onelake.is_onelake(table) or self._last_token is None:
            return False
        self._token.refused(self._last_token)
        return True


def _bare(name: str) -> str:
    for prefix in ("azure_storage_", "azure_"):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name
