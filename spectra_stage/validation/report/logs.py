"""A report as ordinary log calls, which take the way of all others: to Delta, to Discord."""

from __future__ import annotations

import logging
from typing import Any

from spectra_stage.validation.report.cleaned import cleaned
from spectra_stage.validation.report.data import counts_data
from spectra_stage.validation.report.words import verdict
from spectra_stage.validation.results import CheckResult, Outcome, Report, TableResult

__all__ = ["LOGGER", "check_in_words", "log_report"]

LOGGER = "spectra_stage.validation"
"""The logger that reports are logged on."""

LEVELS = {
    Outcome.ERROR: logging.ERROR,
    Outcome.FAILED: logging.ERROR,
    Outcome.WARNING: logging.WARNING,
}


def log_report(report: Report) -> None:
    """Log each check that failed, warned or could not be made, and then the verdict.

    On the logger ``spectra_stage.validation``: failures and errors at ERROR, warnings at WARNING,
    the verdict at the level of the worst, INFO when there is none. What is known of each stands in
    the record's extras.
    """
    report = cleaned(report)
    logger = logging.getLogger(LOGGER)
    for table in report.tables:
        for check in table.checks:
            if check.outcome in LEVELS:
                logger.log(
                    LEVELS[check.outcome],
                    "%s",
                    check_in_words(check),
                    extra=_check_extra(report, table, check),
                )
    logger.log(
        LEVELS.get(report.outcome, logging.INFO),
        "validation of %s %s: %s",
        report.suite,
        report.outcome.value,
        verdict(report.counts),
        extra={
            "suite": report.suite,
            "outcome": report.outcome.value,
            "engine": report.engine,
            "tables": len(report.tables),
            "counts": counts_data(report.counts),
            "duration_seconds": report.duration_seconds,
        },
    )


def check_in_words(check: CheckResult) -> str:
    """A finding in one line: ``source.endpoints failed: full_path is unique; 2 rows repeat it``."""
    # No colon behind the table's or a column's name: behind source.credentials, redaction would
    # take the finding for one of them.
    finding = " ".join(check.finding.split())
    return f"{check.table} {check.outcome.value}: {check.name}; {finding}"


def _check_extra(report: Report, table: TableResult, check: CheckResult) -> dict[str, Any]:
    return {
        "suite": report.suite,
        "target_table": table.table,
        "table_version": table.version,
        "check": check.name,
        "check_kind": check.kind,
        "columns": list(check.columns),
        "outcome": check.outcome.value,
        "severity": check.severity,
        "rows": check.rows,
        "violations": check.violations,
        "figures": dict(check.figures),
        "samples": list(check.samples),
    }
