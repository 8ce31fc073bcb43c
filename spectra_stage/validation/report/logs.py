"""A report as ordinary log calls, which take the way of all others: to Delta, to Discord."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
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

_METHODS = {logging.ERROR: "error", logging.WARNING: "warning", logging.INFO: "info"}


def log_report(report: Report, logger: Any | None = None) -> None:
    """Log each check that failed, warned or could not be made, and then the verdict.

    Failures and errors at ERROR, warnings at WARNING; the verdict at the level of the worst, INFO
    when there is none. What is known of each goes along as the record's fields.

    Args:
        report: The report.
        logger: A logger of the standard library's or of structlog's, such as a session's ``log``;
            by default the logger ``spectra_stage.validation``.
    """
    report = cleaned(report)
    log = _logging_on(logging.getLogger(LOGGER) if logger is None else logger)
    for table in report.tables:
        for check in table.checks:
            if check.outcome in LEVELS:
                fields = _check_fields(report, table, check)
                log(LEVELS[check.outcome], check_in_words(check), fields)
    outcome = report.outcome
    log(
        LEVELS.get(outcome, logging.INFO),
        f"validation of {report.suite} {outcome.value}: {verdict(report.counts)}",
        {
            "suite": report.suite,
            "outcome": outcome.value,
            "engine": report.engine,
            "tables": len(report.tables),
            "counts": counts_data(report.counts),
            "duration_seconds": report.duration_seconds,
        },
    )


def _logging_on(logger: Any) -> Callable[[int, str, dict[str, Any]], None]:
    """A log call by that logger; the text may hold a percent sign, so it is no format."""
    if isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
        return partial(_log, logger)
    # By the levels' names: structlog's generic logger has no log().
    return lambda level, text, fields: getattr(logger, _METHODS[level])(text, **fields)


def _log(
    logger: logging.Logger | logging.LoggerAdapter[Any],
    level: int,
    text: str,
    fields: dict[str, Any],
) -> None:
    options: dict[str, Any] = {"extra": fields}
    while isinstance(logger, logging.LoggerAdapter):
        text, made = logger.process(text, {**options})
        # An adapter's own fields take the place of a call's, unless it is told to merge them.
        options = {**made, "extra": {**options["extra"], **(made.get("extra") or {})}}
        logger = logger.logger
    logger.log(level, "%s", text, **options)


def check_in_words(check: CheckResult) -> str:
    """A finding in one line: ``source.endpoints failed: full_path is unique; 2 rows repeat it``."""
    # No colon behind the table's or a column's name: behind source.credentials, redaction would
    # take the finding for one of them.
    finding = " ".join(check.finding.split())
    return f"{check.table} {check.outcome.value}: {check.name}; {finding}"


def _check_fields(report: Report, table: TableResult, check: CheckResult) -> dict[str, Any]:
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
