"""The suite that options name."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from spectra_logging.errors import ConfigurationError
from spectra_stage.modules import look_in_working_directory
from spectra_stage.validation.files import load_suite
from spectra_stage.validation.suite import Suite
from spectra_stage.validation.suites import SUITES

__all__ = ["DEFAULT", "chosen_suite"]

DEFAULT = ("source",)
"""The suites where none is named."""

FILES = (".yaml", ".yml", ".json")


def chosen_suite(names: Sequence[str]) -> Suite:
    """The suite of that name, or one of the tables of several.

    Args:
        names: Each one of the stages' own suites, a file, or ``module:name`` of a suite in Python.

    Raises:
        ConfigurationError: There is no such suite, its module or function raises, or two of them
            have a table in common.
        SuiteError: A file can't be read as a suite.
    """
    suites = [_suite(name) for name in names]
    if len(suites) == 1:
        return suites[0]
    return Suite(
        name=", ".join(suite.name for suite in suites),
        tables=[table for suite in suites for table in suite.tables],
    )


def _suite(name: str) -> Suite:
    if name in SUITES:
        return SUITES[name]()
    if name.lower().endswith(FILES):
        return load_suite(name)
    module, _, attribute = name.partition(":")
    if module and attribute:
        return _declared(name, module, attribute)
    own = ", ".join(SUITES)
    raise ConfigurationError(
        f"suite={name!r} may be {own}, a file ({', '.join(FILES)}), or module:name in Python"
    )


def _declared(name: str, module: str, attribute: str) -> Suite:
    """A suite of the user's own code."""
    look_in_working_directory()
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"suite={name!r} can't be imported: {error}") from error
    except (Exception, SystemExit) as error:
        # A script ends with sys.exit(): whose code, 0 even, would be that of the validation.
        raise _raised(name, "can't be imported", error) from error
    try:
        suite = found() if callable(found) else found
    except (Exception, SystemExit) as error:
        raise _raised(name, "can't be made", error) from error
    if not isinstance(suite, Suite):
        raise ConfigurationError(f"suite={name!r} is {type(suite).__name__}, not a Suite")
    return suite


def _raised(name: str, what: str, error: BaseException) -> ConfigurationError:
    """The error for whatever the user's code raises, of which a KeyError's text tells little."""
    return ConfigurationError(f"suite={name!r} {what}: {type(error).__name__}: {error}")
