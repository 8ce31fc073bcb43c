"""A report as lines for a terminal; what they look like is :mod:`.terminal`'s business."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spectra_stage.validation.report.cleaned import cleaned
from spectra_stage.validation.report.words import (
    WORST_FIRST,
    counted,
    duration,
    figures_of,
    table_facts,
    verdict,
)
from spectra_stage.validation.results import CheckResult, Outcome, Report, TableResult

__all__ = ["Line", "check_lines", "report_lines", "report_text", "table_text"]

LABEL_WIDTH = max(len(outcome.value) for outcome in Outcome) + 2


@dataclass(frozen=True)
class Line:
    """A line of a report.

    Args:
        text: What it says.
        indent: How far from the edge it stands.
        label: What stands before it in a column of its own.
        outcome: How what it tells of ended; colours the label.
        weight: ``bold`` for a heading, ``dim`` for what is by the way.
    """

    text: str = ""
    indent: int = 0
    label: str = ""
    outcome: Outcome | None = None
    weight: str = ""

    def __str__(self) -> str:
        return (" " * self.indent + self.label + self.text).rstrip()


def report_text(report: Report, *, all_checks: bool = False) -> str:
    """The report as plain text."""
    return "".join(f"{line}\n" for line in report_lines(report, all_checks=all_checks))


def report_lines(report: Report, *, all_checks: bool = False) -> Iterator[Line]:
    """The verdict, then each table's checks, the worst first.

    Args:
        report: The report.
        all_checks: Whether those that passed or were skipped are listed, and not only counted.
    """
    report = cleaned(report)
    outcome = report.outcome
    yield Line(f" {verdict(report.counts)}", 0, f"{report.suite} {outcome.value}:", outcome, "bold")
    facts = (
        counted(len(report.tables), "table"),
        duration(report.duration_seconds),
        report.engine,
        f"{report.started_at:%Y-%m-%d %H:%M:%S} UTC",
    )
    yield Line(", ".join(facts), weight="dim")
    for table in report.tables:
        yield Line()
        yield from _table_lines(table, all_checks=all_checks)


def table_text(table: TableResult) -> str:
    """All checks of a table, cleaned before, as plain text."""
    return "".join(f"{line}\n" for line in _table_lines(table, all_checks=True))


def _table_lines(table: TableResult, *, all_checks: bool) -> Iterator[Line]:
    yield Line(f"  {', '.join(table_facts(table))}", 0, table.table, table.outcome, "bold")
    for outcome in WORST_FIRST:
        checks = [check for check in table.checks if check.outcome is outcome]
        if outcome in (Outcome.PASSED, Outcome.SKIPPED) and not all_checks:
            if checks:
                yield Line(counted(len(checks), "check"), 2, _label(outcome), outcome)
            continue
        for check in checks:
            yield Line(check.name, 2, _label(outcome), outcome)
            if outcome is not Outcome.PASSED:
                yield from check_lines(check, indent=2 + LABEL_WIDTH)


def check_lines(check: CheckResult, *, indent: int = 0) -> Iterator[Line]:
    """What was found, measured and met, of a check that was cleaned before."""
    for text in check.finding.splitlines():
        yield Line(text, indent)
    figures = [f"{name} {value}" for name, value in figures_of(check)]
    if figures:
        yield Line(", ".join(figures), indent, weight="dim")
    for sample in check.samples:
        yield Line(sample, indent, "e.g. ", weight="dim")


def _label(outcome: Outcome) -> str:
    return outcome.value.ljust(LABEL_WIDTH)
