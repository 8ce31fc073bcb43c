"""What validation found: one result a check, gathered by table and by suite."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["CheckResult", "Outcome", "Report", "Severity", "TableResult"]

Severity = Literal["warning", "error"]


class Outcome(str, Enum):
    """How a check ended. An ``error`` is a check that could not be made, never a pass."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check's finding.

    Args:
        kind: What sort of check, such as ``not_null``.
        name: The check in words, unique within its table: ``full_path, http_method are unique``.
        table: The table's dotted name, ``source.endpoints``.
        columns: The columns looked at.
        severity: What a violation counts as.
        outcome: How it ended.
        finding: What was found, in words, without any value that could be a secret.
        rows: Rows looked at; ``None`` when none were.
        violations: How many of them break the check; ``None`` when that was not evaluated.
        figures: What was measured, by name.
        samples: A few of the values that break it, masked.
    """

    kind: str
    name: str
    table: str
    columns: tuple[str, ...] = ()
    severity: Severity = "error"
    outcome: Outcome
    finding: str
    rows: int | None = None
    violations: int | None = None
    figures: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TableResult:
    """The checks of one table, made at one version of it.

    Args:
        table: The table's dotted name.
        place: Its path or URI.
        version: The version that was looked at; ``None`` when the table could not be opened.
        rows: Its rows; ``None`` when they were not counted.
        statements: How many SQL statements the checks took.
        duration_seconds: How long they took.
        checks: The findings, in the order of the suite.
    """

    table: str
    place: str
    version: int | None
    rows: int | None
    statements: int
    duration_seconds: float
    checks: tuple[CheckResult, ...]

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many checks ended in each way, all five named."""
        return _counts(self.checks)

    @property
    def outcome(self) -> Outcome:
        """The worst that happened to the table, as for a report."""
        return _worst(self.counts)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a suite found.

    Args:
        suite: The suite's name.
        engine: The lakehouse engine that looked.
        started_at: When, in UTC.
        duration_seconds: How long it took.
        tables: The findings, table by table.
    """

    suite: str
    engine: str
    started_at: dt.datetime
    duration_seconds: float
    tables: tuple[TableResult, ...]

    @property
    def checks(self) -> Iterator[CheckResult]:
        """Every check's finding."""
        for table in self.tables:
            yield from table.checks

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many checks ended in each way, all five named."""
        return _counts(self.checks)

    @property
    def outcome(self) -> Outcome:
        """The worst that happened: an error, a failure, a warning, else passed."""
        return _worst(self.counts)

    @property
    def valid(self) -> bool:
        """Whether nothing failed and every check could be made; warnings are allowed."""
        return self.outcome in {Outcome.PASSED, Outcome.WARNING}

    def to_dict(self) -> dict[str, Any]:
        """The report in dictionaries, lists, text and numbers, secrets hidden."""
        from spectra_stage.validation.report.data import report_data

        return report_data(self)

    def to_json(self) -> str:
        """What :meth:`to_dict` gives as a JSON object."""
        from spectra_stage.validation.report.data import report_json

        return report_json(self)

    def to_junit(self) -> str:
        """The report as a JUnit XML document: a test suite a table, a test case a check."""
        from spectra_stage.validation.report.junit import report_junit

        return report_junit(self)

    def to_text(self, *, all_checks: bool = False) -> str:
        """The report as plain text, the worst first.

        Args:
            all_checks: Whether those that passed or were skipped are listed, and not only counted.
        """
        from spectra_stage.validation.report.lines import report_text

        return report_text(self, all_checks=all_checks)

    def to_html(self) -> str:
        """The report as an HTML page that needs nothing beside itself."""
        from spectra_stage.validation.report.page import report_page

        return report_page(self)

    def log(self, logger: Any | None = None) -> None:
        """Log what failed, warned or could not be made, and the verdict.

        Args:
            logger: A logger of the standard library's or of structlog's, such as a session's
                ``log``; by default the logger ``spectra_stage.validation``.
        """
        from spectra_stage.validation.report.logs import log_report

        log_report(self, logger)

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from spectra_stage.validation.report.page import report_fragment

        return report_fragment(self)

    def __rich__(self) -> object:
        """What rich prints of it."""
        from spectra_stage.validation.report.terminal import report_in_colour

        return report_in_colour(self)


def _counts(checks: Iterable[CheckResult]) -> dict[Outcome, int]:
    counted = Counter(check.outcome for check in checks)
    return {outcome: counted[outcome] for outcome in Outcome}


def _worst(counts: Mapping[Outcome, int]) -> Outcome:
    for worst in (Outcome.ERROR, Outcome.FAILED, Outcome.WARNING):
        if counts[worst]:
            return worst
    return Outcome.PASSED
