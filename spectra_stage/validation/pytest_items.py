"""Each check as a pytest item; :mod:`spectra_stage.pytest_plugin` has the options and fixtures."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest

from spectra_logging.errors import SpectraError
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.paths import is_uri
from spectra_logging.redaction import redact_text
from spectra_stage.pytest_plugin import CheckWarning
from spectra_stage.validation.chosen import DEFAULT, chosen_suite
from spectra_stage.validation.report.cleaned import clean_line, cleaned_check
from spectra_stage.validation.report.lines import check_lines
from spectra_stage.validation.results import CheckResult, Outcome, Report
from spectra_stage.validation.run import run
from spectra_stage.validation.suite import Suite, TableSuite, distinct_names

__all__ = ["chosen_root", "collect_checks", "shared_report", "take_ids"]

# In a node id brackets hold parameters.
_NO_PART_OF_AN_ID = str.maketrans("[]", "()")
_SUITE = pytest.StashKey[Suite]()
_IDS = pytest.StashKey[list[str]]()
_REPORTS = pytest.StashKey[dict[tuple[str | None, tuple[str, ...]], Report | SpectraError]]()


def take_ids(config: pytest.Config) -> None:
    """Take the ids that are of the suite's checks from the arguments, and leave the others.

    Raises:
        UsageError: There is no such suite, or its file can't be read as one.
    """
    try:
        suite = chosen_suite(_suites(config))
    except SpectraError as error:
        raise pytest.UsageError(f"--spectra-suite: {error}") from error
    begins = f"{_part_of_an_id(suite.name)}::"
    config.stash[_SUITE] = suite
    config.stash[_IDS] = [told for told in config.args if told.startswith(begins)]
    # Where nothing is left, pytest looks for no other tests.
    config.args = [told for told in config.args if not told.startswith(begins)]


def collect_checks(session: pytest.Session) -> Iterator[pytest.Item]:
    """The items of the suite that the options name; no table is looked at yet.

    Where ids were told, those are all, or all of the tables that they name.

    Raises:
        UsageError: No check has an id that was told.
    """
    suite, ids = session.config.stash[_SUITE], session.config.stash[_IDS]
    name = _part_of_an_id(suite.name)
    collector = SuiteCollector.from_parent(session, name=name, nodeid=name)
    collector.suite = suite
    items = list(session.genitems(collector))
    if unknown := [told for told in ids if not any(_is_of(item, told) for item in items)]:
        raise pytest.UsageError(
            *(f"not found: {told}\n(no such check in suite {name})" for told in unknown)
        )
    yield from (item for item in items if not ids or any(_is_of(item, told) for told in ids))


def _is_of(item: pytest.Item, told: str) -> bool:
    return item.nodeid == told or item.nodeid.startswith(f"{told}::")


def shared_report(
    config: pytest.Config,
    root: str | None,
    suites: tuple[str, ...],
    opened: Callable[[], Lakehouse],
) -> Report:
    """The report on a root and suites: made for the first who asks, the same for all who do.

    Args:
        config: The run of pytest that shares it.
        root: The folder or URI that holds Tables.
        suites: The names of the suites.
        opened: Opens the lakehouse.

    Raises:
        SpectraError: The suite can't be run; those who ask later get the same error.
    """
    reports = config.stash.setdefault(_REPORTS, {})
    if (root, suites) not in reports:
        try:
            reports[root, suites] = run(chosen_suite(suites), opened(), root=root)
        except SpectraError as error:
            reports[root, suites] = error
    found = reports[root, suites]
    if isinstance(found, SpectraError):
        raise found
    return found


def chosen_root(config: pytest.Config) -> str | None:
    """``--spectra-root``, wherever a test may have gone meanwhile."""
    root: str | None = config.getoption("spectra_root")
    if root is None or is_uri(root):
        return root
    return str(config.invocation_params.dir / os.path.expanduser(root))


def _part_of_an_id(name: str) -> str:
    """A name as it may be shown; pytest writes it into JUnit XML as it is."""
    return clean_line(name).translate(_NO_PART_OF_AN_ID)


def _suites(config: pytest.Config) -> tuple[str, ...]:
    return tuple(config.getoption("spectra_suite") or DEFAULT)


class SuiteCollector(pytest.Collector):
    """A suite, whose tables it collects."""

    suite: Suite

    def collect(self) -> Iterable[pytest.Collector]:
        """The tables."""
        for position, table in enumerate(self.suite.tables):
            collector = TableCollector.from_parent(self, name=_part_of_an_id(table.table))
            collector.table, collector.position = table, position
            yield collector


class TableCollector(pytest.Collector):
    """A table, whose checks it collects."""

    table: TableSuite
    position: int

    def collect(self) -> Iterable[pytest.Item]:
        """The checks."""
        for position, name in enumerate(distinct_names(self.table.checks)):
            item = CheckItem.from_parent(self, name=_part_of_an_id(name))
            item.words = clean_line(name)
            item.position = (self.position, position)
            item.add_marker(pytest.mark.spectra)
            yield item


class CheckItem(pytest.Item):
    """A check, which passes, fails, warns or is skipped as its suite's report says."""

    words: str
    position: tuple[int, int]
    _found: CheckResult

    def setup(self) -> None:
        """Look the finding up; a check that could not be made is an error, and no failure."""
        config = self.config
        if config.getoption("setupplan", False):
            return  # Which shows what would be run, and is to run nothing.
        engine = config.getoption("spectra_engine")
        try:
            report = shared_report(
                config, chosen_root(config), _suites(config), partial(open_lakehouse, engine)
            )
        except SpectraError as error:
            pytest.fail(redact_text(str(error)), pytrace=False)
        table, check = self.position
        self._found = cleaned_check(report.tables[table].checks[check])
        if self._found.outcome is Outcome.ERROR:
            pytest.fail(self._told(), pytrace=False)

    def runtest(self) -> None:
        """End as the check did."""
        if self._found.outcome is Outcome.SKIPPED:
            pytest.skip(self._found.finding)
        if self._found.outcome is Outcome.FAILED:
            pytest.fail(self._told(), pytrace=False)
        if self._found.outcome is Outcome.WARNING:
            # There is no line of code to point at; the table is where it is.
            message = CheckWarning(f"{self.words}; {self._told()}")
            warnings.warn_explicit(message, None, filename=self._found.table, lineno=1)

    def reportinfo(self) -> tuple[str, int | None, str]:
        """What stands above a failure: the table and the check."""
        assert self.parent is not None
        return str(self.config.rootpath), None, f"{self.parent.name}, {self.words}"

    def _told(self) -> str:
        return "\n".join(str(line) for line in check_lines(self._found))
