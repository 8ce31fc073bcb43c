"""What a notebook is started with: the pipeline's arguments, and variables that it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spectra_logging.errors import ConfigurationError
from spectra_logging.variables import VariableLibrary

__all__ = ["check_parameters", "required_variables"]

_REQUIRED_VARIABLES = ("SOURCE_SYSTEM", "SOURCE_NAME", "STAGE", "NOTEBOOK_NAME")
_IN_WORDS: dict[type, str] = {int: "a whole number", str: "text", bool: "True or False"}
_STAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_parameters(params: Mapping[str, Any]) -> None:
    """Refuse what ``load_context()`` can't have been meant to get.

    Raises:
        ConfigurationError: An argument has the wrong type.
    """
    for name, value in params.items():
        expected = {"project": int, "mode": str}.get(name, bool)
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise ConfigurationError(
                f"load_context({name}={value!r}): expected {_IN_WORDS[expected]}"
            )


def required_variables(variables: VariableLibrary) -> dict[str, str]:
    """The variables that every notebook has, by name.

    Raises:
        VariableNotFoundError: Some are set nowhere; the message names them all.
        ConfigurationError: STAGE can't be part of a table's name.
    """
    required = variables.require(*_REQUIRED_VARIABLES)
    if not _STAGE.fullmatch(required["STAGE"]):
        raise ConfigurationError(
            f"variable STAGE is {required['STAGE']!r}; it names the table "
            "Tables/log/<stage>log, so it may hold letters, digits and underscores, a letter "
            "first"
        )
    return required
