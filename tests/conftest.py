"""Fixtures that every test may need."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.redaction.registry import forget_secrets
from spectra_logging.testing import FakeSourceSystem
from tests import sparks, stages

# A slow machine is no failure. Where every skip is refused, the same examples are tried each time.
settings.register_profile(
    "spectra",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="SPECTRA_REFUSE_SKIPS" in os.environ,
)
settings.load_profile("spectra")


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


@pytest.fixture(autouse=True)
def no_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test posts to where the machine's environment says."""
    for name in [name for name in os.environ if name.startswith("DISCORD_")]:
        monkeypatch.delenv(name)


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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two a core: a good part of the tests wait, for processes, servers and deadlines."""
    return 2 * (os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    if "spark" in ENGINES:
        # PySpark leaves the closing of its sockets to the garbage collector.
        config.addinivalue_line("filterwarnings", "ignore:unclosed:ResourceWarning")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "spark" in ENGINES:
        reasons = sparks.CANNOT.get(sparks.kind_of_spark(), {})
        if reason := reasons.get(getattr(item, "originalname", item.name)):
            pytest.skip(reason)


ENGINES = os.environ.get("SPECTRA_TEST_ENGINES", "deltalake").split(",")


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A Spark session with Delta, of the kind that ``SPECTRA_TEST_SPARK`` names."""
    if reason := sparks.why_not():
        pytest.skip(reason)
    with sparks.start_session() as session:
        yield session


@pytest.fixture(params=ENGINES)
def lakehouse(request: pytest.FixtureRequest) -> Lakehouse:
    """Each engine in turn."""
    if request.param == "spark":
        request.getfixturevalue("spark")
    return open_lakehouse(request.param)


@pytest.fixture
def system() -> Iterator[FakeSourceSystem]:
    """A running source system."""
    with FakeSourceSystem() as system:
        yield system


@pytest.fixture(scope="session")
def httpbin() -> Iterator[str]:
    """The address of a running API that others wrote."""
    with stages.httpbin_server() as base_url:
        yield base_url


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each engine in turn, as the one that all tables of the test go through."""
    if request.param == "spark":
        request.getfixturevalue("spark")
    monkeypatch.setenv("SPECTRA_ENGINE", request.param)
    return str(request.param)


@pytest.fixture
def stage_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: FakeSourceSystem, engine: str
) -> Path:
    """A lakehouse of the test's own, and a Source notebook's variables for ``system``."""
    stages.set_up(monkeypatch, tmp_path, BASE_URL=system.base_url, API_TOKEN=system.token)
    return tmp_path


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
