"""Settings of a notebook: Fabric's Variable Library first, then the environment."""

from __future__ import annotations

import logging
import os
import re
from typing import Any, overload

from spectra_logging.errors import ConfigurationError, VariableNotFoundError
from spectra_logging.fabric import find_notebookutils
from spectra_logging.redaction import REDACTED, is_secret_key, redact_text, register_secret

__all__ = ["VariableLibrary", "part_of_a_name", "resolve_secret"]

_logger = logging.getLogger(__name__)

_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}

_KEY_VAULT = re.compile(
    r"(?P<vault>https://[\w-]+\.vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net))"
    r"(?::443)?(?P<path>/.*)?",
    re.IGNORECASE,
)
_SECRET_PATH = re.compile(r"/secrets/(?P<secret>[\w-]+)/?")


class VariableLibrary:
    """The variables of one Variable Library, with the environment behind it.

    Each variable is looked up in Fabric's Variable Library of that name, when this runs in Fabric
    and the library opens, and then among the environment variables. An empty value counts as not
    set. Values are text wherever they come from, so that a notebook behaves alike in both places;
    a boolean of the library reads ``true`` or ``false``. Blanks and line breaks around a value are
    no part of it: files, vaults and copied values bring them.

    Args:
        name: The Variable Library's name, exactly as Fabric spells it.

    Raises:
        ConfigurationError: The name is empty.
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name.strip():
            raise ConfigurationError(
                f"variable library name {name!r} must be the name of a Fabric Variable Library; "
                "outside Fabric any name will do, and the environment is read"
            )
        self.name = name
        self._library, self._problem = _open_library(name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @overload
    def get(self, name: str, default: str) -> str: ...
    @overload
    def get(self, name: str, default: str | None = None) -> str | None: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """The variable's value as text, or ``default`` where it is set nowhere."""
        value = self._from_library(name)
        if value is None:
            value = _as_text(os.environ.get(name))
        return default if value is None else value

    def get_bool(self, name: str, default: bool = False) -> bool:
        """The variable as true or false, or ``default`` where it is set nowhere.

        Raises:
            ConfigurationError: The value is none of true, false, 1, 0, yes, no, on, off.
        """
        value = self.get(name)
        if value is None:
            return default
        try:
            return _BOOLEANS[value.lower()]
        except KeyError:
            raise self._bad_value(name, value, f"one of {', '.join(_BOOLEANS)}") from None

    def get_int(self, name: str, default: int = 0) -> int:
        """The variable as a whole number, or ``default`` where it is set nowhere.

        Raises:
            ConfigurationError: The value is not a whole number.
        """
        value = self.get(name)
        if value is None:
            return default
        try:
            return int(value)
        except ValueError:
            raise self._bad_value(name, value, "a whole number") from None

    def get_secret(self, name: str) -> str:
        """The variable's value, kept out of every log line, row and message from now on.

        A value of the form ``https://<vault>.vault.azure.net/secrets/<name>`` is the address of
        an Azure Key Vault secret; ``notebookutils.credentials.getSecret`` fetches it.

        Raises:
            VariableNotFoundError: The variable is set nowhere, or Key Vault does not give it out.
            ConfigurationError: The value is the address of a Key Vault secret and this does not run
                in Fabric; or it is another address in Key Vault, such as that of one version.

        Warns:
            SpectraWarning: The value is too short to be searched for in log lines.
        """
        value = resolve_secret(f"variable {name}", self.require(name)[name])
        register_secret(value)
        return value

    def require(self, *names: str) -> dict[str, str]:
        """The values of variables that must all be set.

        Raises:
            VariableNotFoundError: Some are set nowhere. The message names them all, and where
                they were looked for.
        """
        values = {name: self.get(name) for name in names}
        missing = [name for name, value in values.items() if value is None]
        if missing:
            raise VariableNotFoundError(
                f"not set: {', '.join(missing)}. Looked in {self._places()}. "
                "Set each in one of them."
            )
        return {name: value for name, value in values.items() if value is not None}

    def _places(self) -> str:
        if self._library is not None:
            return f"Fabric's Variable Library {self.name!r} and the environment variables"
        return f"the environment variables (Variable Library {self.name!r}: {self._problem})"

    def _from_library(self, name: str) -> str | None:
        if self._library is None:
            return None
        try:
            return _as_text(getattr(self._library, name))
        except Exception:  # noqa: BLE001 - Fabric documents no error for an unknown variable
            return None

    def _bad_value(self, name: str, value: str, expected: str) -> ConfigurationError:
        shown = REDACTED if is_secret_key(name) else redact_text(value)
        return ConfigurationError(
            f"variable {name} is {shown!r}, expected {expected}. Looked in {self._places()}."
        )


def part_of_a_name(source_system: str) -> str:
    """A source system's key as it stands in the names of variables: ``MY_TOOL`` for ``my-tool``."""
    return "".join(c if c.isalnum() else "_" for c in source_system).upper()


def resolve_secret(setting: str, value: str) -> str:
    """A secret that stands in a setting, or in the Key Vault whose address does.

    Args:
        setting: What to call the setting in an error.
        value: The secret, or ``https://<vault>.vault.azure.net/secrets/<name>``.

    Returns:
        The secret, which it is the caller's to register.

    Raises:
        VariableNotFoundError: Key Vault does not give it out.
        ConfigurationError: It is in Key Vault, and this does not run in Fabric; or the address is
            not in that form.
    """
    address = _KEY_VAULT.fullmatch(value.strip())
    if address is None:
        return value
    vault = address["vault"].lower() + "/"
    named = _SECRET_PATH.fullmatch(address["path"] or "")
    if named is None:
        # Azure's portal shows the address of a version. Taken for the secret, it would be sent.
        raise ConfigurationError(
            f"{setting} is an address in Key Vault, and not in the form {vault}secrets/<name>. "
            "Fabric fetches a secret's newest version alone: leave the version out."
        )
    return _from_key_vault(setting, vault, named["secret"])


def _from_key_vault(setting: str, vault: str, secret: str) -> str:
    utilities = find_notebookutils()
    if utilities is None:
        raise ConfigurationError(
            f"{setting} is the address of a Key Vault secret, which only Fabric can fetch. "
            f"Outside Fabric, set {setting.removeprefix('variable ')} to the secret itself."
        )
    try:
        value = _as_text(utilities.credentials.getSecret(vault, secret))
    except Exception as error:
        raise VariableNotFoundError(
            f"{setting}: Key Vault {vault} did not give out secret {secret!r}: "
            f"{redact_text(str(error))}"
        ) from error
    if value is None:
        raise VariableNotFoundError(f"{setting}: secret {secret!r} in Key Vault {vault} is empty")
    return value


def _open_library(name: str) -> tuple[Any | None, str]:
    """Fabric's library of that name, or ``None`` and why there is none."""
    variable_library = getattr(find_notebookutils(), "variableLibrary", None)
    if variable_library is None:
        return None, "not running in Fabric"
    try:
        library = variable_library.getLibrary(name)
    except Exception as error:  # noqa: BLE001 - whatever Fabric raises, the environment remains
        problem = f"could not be opened: {redact_text(str(error)) or type(error).__name__}"
    else:
        if library is not None:
            return library, ""
        problem = "Fabric knows no library of that name"
    _logger.warning("Variable Library %r: %s. Using environment variables.", name, problem)
    return None, problem


def _as_text(value: Any) -> str | None:
    """The value as text, without the blanks around it; ``None`` for an empty one."""
    if value is None:
        return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.strip() or None
