"""The pytest plugin: ``pytest --spectra-root DIR`` makes each check of a suite a test.

pytest loads this module in every environment that has the distribution, so it imports nothing
beside pytest; the rest comes when an option or a fixture asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spectra_logging.lakehouse.base import Lakehouse
    from spectra_stage.validation.results import Report

__all__ = ["CheckWarning"]


class CheckWarning(pytest.PytestWarning):
    """A check of severity ``warning`` is broken.

    ``-W error::spectra_stage.pytest_plugin.CheckWarning`` makes it fail the test.
    """


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("spectra", "validation of Delta tables")
    group.addoption(
        "--spectra-root",
        metavar="DIR",
        help="folder or URI that holds Tables; each check of the suite becomes a test",
    )
    group.addoption(
        "--spectra-suite",
        metavar="NAME",
        action="append",
        help="source, prepare, log, a file, or module:name; repeatable (default: source)",
    )
    group.addoption(
        "--spectra-engine",
        metavar="NAME",
        default="auto",
        help="the lakehouse engine: auto, deltalake or spark (default: auto)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker that all checks bear."""
    config.addinivalue_line("markers", "spectra: a check of a Delta table, from --spectra-root")


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Take the ids of checks from what pytest would look for among files."""
    if session.config.getoption("spectra_root") is not None:
        from spectra_stage.validation.pytest_items import take_ids

        take_ids(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add a test for each check, before others select among the tests."""
    if config.getoption("spectra_root") is not None:
        from spectra_stage.validation.pytest_items import collect_checks

        items += collect_checks(session)


@pytest.fixture(scope="session")
def spectra_root(request: pytest.FixtureRequest) -> str | None:
    """The folder that holds Tables: ``--spectra-root``; ``None`` leaves it to SPECTRA_ROOT.

    Define a fixture of this name for a lakehouse that the tests make themselves.
    """
    from spectra_stage.validation.pytest_items import chosen_root

    return chosen_root(request.config)


@pytest.fixture(scope="session")
def spectra_suite(request: pytest.FixtureRequest) -> Sequence[str]:
    """The names of the suites: ``--spectra-suite``."""
    from spectra_stage.validation.chosen import DEFAULT

    return request.config.getoption("spectra_suite") or DEFAULT


@pytest.fixture(scope="session")
def spectra_lakehouse(request: pytest.FixtureRequest) -> Lakehouse:
    """The lakehouse that the tables are read through, of the engine ``--spectra-engine``."""
    from spectra_logging.lakehouse import open_lakehouse

    return open_lakehouse(request.config.getoption("spectra_engine"))


@pytest.fixture(scope="session")
def spectra_report(
    request: pytest.FixtureRequest,
    spectra_root: str | None,
    spectra_suite: Sequence[str],
    spectra_lakehouse: Lakehouse,
) -> Report:
    """What ``spectra_suite`` finds below ``spectra_root``; looked for once a process."""
    from spectra_stage.validation.pytest_items import shared_report

    return shared_report(
        request.config, spectra_root, tuple(spectra_suite), lambda: spectra_lakehouse
    )
