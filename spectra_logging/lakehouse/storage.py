"""The options with which delta-rs reaches a table's store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from spectra_logging import onelake
from spectra_logging.errors import ConfigurationError
from spectra_logging.fabric import MOUNTED_LAKEHOUSE
from spectra_logging.paths import is_catalog_name, is_uri

__all__ = ["StorageAccess", "check_storage_options", "why_unreached"]

_CREDENTIALS = frozenset(
    "access_key account_key bearer_token client_id federated_token_file identity_endpoint "
    "master_key msi_endpoint sas_key sas_token skip_signature token use_azure_cli".split()
)
"""Azure's options that say who asks, without their prefix."""

_STORES = {
    **dict.fromkeys(("abfs", "abfss", "adl", "az", "azure"), "azure"),
    **dict.fromkeys(("s3", "s3a"), "s3"),
    "gs": "gs",
}

_CREDENTIALS_OF = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_",
        "AWS_SKIP_SIGNATURE",
    ),
    "gs": ("GOOGLE_",),
}
"""How environment variables begin that say who asks."""

_MOUNTS = ("/Volumes", "/dbfs", str(MOUNTED_LAKEHOUSE))
"""Stores of objects that look like folders, on Databricks and in Fabric."""


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
    # Asked for one by one, dictConfig's mapping gives what an ext:// or cfg:// stands for.
    options = {name: options[name] for name in options}
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
    return options


def why_unreached(table: str, options: Mapping[str, str]) -> str | None:
    """In words, what keeps this process from a table's storage; ``None`` when nothing is known to.

    Nothing is tried. Without options and credentials, a store may yet let the machine in by its
    identity, so this is a reason to turn to Spark where there is a session, and no more.

    Args:
        table: Path, URI or catalog name, as ``resolve_table`` gives it.
        options: The user's options of the store.
    """
    if is_catalog_name(table):
        return "it is a name in Spark's catalog"
    if not is_uri(table):
        mount = next((root for root in _MOUNTS if Path(table).is_relative_to(root)), None)
        return mount and f"{mount} is a mount that can't keep two writers apart"
    scheme = table.partition("://")[0].lower()
    if scheme in {"file", "memory"}:
        return None
    store = _STORES.get(scheme)
    if store is None:
        return f"the embedded engine knows no {scheme}:// addresses"
    if store == "azure":
        named = {_bare(name.lower()) for name in (*options, *_environment("AZURE_"))}
        known = bool(named & (_CREDENTIALS | {"use_emulator"})) or (
            onelake.is_onelake(table) and onelake.gives_tokens()
        )
    else:
        known = bool(options) or any(_environment(prefix) for prefix in _CREDENTIALS_OF[store])
    return None if known else f"no credential for {scheme}:// was given to this process"


def _environment(prefix: str) -> list[str]:
    return [name for name, value in os.environ.items() if value and name.startswith(prefix)]


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
