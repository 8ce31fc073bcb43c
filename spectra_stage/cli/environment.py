"""The variables that a command's options stand for, set for the while that it runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from spectra_logging.lakehouse import check_engine
from spectra_logging.paths import absolute_root
from spectra_stage.cli.words import PrintableFormatter

__all__ = ["environment", "stage_variables", "warnings_on_stderr"]


def stage_variables(root: str | None, engine: str) -> dict[str, str | None]:
    """What ``--root`` and ``--engine`` say, as the variables that every part reads.

    Raises:
        ConfigurationError: There is no such engine.
    """
    return {
        "SPECTRA_ROOT": None if root is None else absolute_root(root),
        "SPECTRA_ENGINE": None if check_engine(engine, "--engine") == "auto" else engine,
    }


@contextmanager
def environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables for a while; those that are ``None`` stay as they are."""
    given = {name: value for name, value in variables.items() if value is not None}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                # On Windows no_proxy is gone once NO_PROXY is.
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Show a notebook's warnings for a while; its errors are what the command ends with."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("spectra: %(message)s"))
    handler.addFilter(lambda record: record.levelno == logging.WARNING)
    logger = logging.getLogger("spectra")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
