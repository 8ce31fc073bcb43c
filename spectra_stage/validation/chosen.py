"""The suite that options name."""

from __future__ import annotations

from collections.abc import Sequence

from spectra_stage.validation.suite import Suite
from spectra_stage.validation.suites import suite_named

__all__ = ["DEFAULT", "chosen_suite"]

DEFAULT = ("source",)
"""The suites where none is named."""


def chosen_suite(names: Sequence[str]) -> Suite:
    """The suite of that name, or one of the tables of several.

    Raises:
        ConfigurationError: There is no such suite, or two of them have a table in common.
    """
    suites = [suite_named(name) for name in names]
    if len(suites) == 1:
        return suites[0]
    return Suite(
        name=", ".join(suite.name for suite in suites),
        tables=[table for suite in suites for table in suite.tables],
    )
