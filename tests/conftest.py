"""Fixtures that every test may need."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.redaction.registry import forget_secrets


@pytest.fixture(autouse=True)
def journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for this test's journals, also for the processes it starts."""
    folder = tmp_path_factory.mktemp("journals")
    monkeypatch.setenv("SPECTRA_JOURNAL_DIRECTORY", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_secrets_left() -> Iterator[None]:
    """What one test registers hides no other test's words."""
    yield
    forget_secrets()


@pytest.fixture
def fresh_logging() -> Iterator[None]:
    """A test that configures logging and structlog leaves neither behind."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in root.handlers:
            root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(params=["deltalake"])
def lakehouse(request: pytest.FixtureRequest) -> Lakehouse:
    """Each engine in turn."""
    return open_lakehouse(request.param)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of the test's own, whose handlers are closed afterwards."""
    logger = logging.getLogger("tests.logger")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
