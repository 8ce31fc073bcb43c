"""What validation found: one result a check, gathered by table and by suite."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
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
        counted = Counter(check.outcome for check in self.checks)
        return {outcome: counted[outcome] for outcome in Outcome}

    @property
    def outcome(self) -> Outcome:
        """The worst that happened: an error, a failure, a warning, else passed."""
        counts = self.counts
        for worst in (Outcome.ERROR, Outcome.FAILED, Outcome.WARNING):
            if counts[worst]:
                return worst
        return Outcome.PASSED

    @property
    def valid(self) -> bool:
        """Whether nothing failed and every check could be made; warnings are allowed."""
        return self.outcome in {Outcome.PASSED, Outcome.WARNING}
