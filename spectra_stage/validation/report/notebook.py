"""A report as the dictionaries that notebooks know from ``SourceStageValidation``."""

from __future__ import annotations

from typing import Any

from spectra_logging.session import ErrorSummary
from spectra_stage.validation.report.cleaned import cleaned
from spectra_stage.validation.report.data import check_data, counts_data
from spectra_stage.validation.report.logs import check_in_words
from spectra_stage.validation.results import Outcome, Report, TableResult

__all__ = ["count_findings", "stage_findings", "table_findings"]

INVALID = frozenset((Outcome.FAILED, Outcome.ERROR))


def stage_findings(report: Report) -> dict[str, Any]:
    """What ``validate_all_source_tables`` returns, for ``session.result["validation"]``.

    Returns:
        ``valid``; ``errors``, a sentence for each check that failed or could not be made;
        ``validation_results``, the findings of each table by its name; ``summary``, the counts.
    """
    report = cleaned(report)
    return {
        "valid": report.valid,
        "errors": [error for table in report.tables for error in _errors(table)],
        "validation_results": {table.table: _findings(table) for table in report.tables},
        "summary": {
            "suite": report.suite,
            "engine": report.engine,
            "outcome": report.outcome.value,
            "tables": len(report.tables),
            "checks": sum(report.counts.values()),
            **counts_data(report.counts),
            "duration_seconds": report.duration_seconds,
        },
    }


def table_findings(report: Report) -> dict[str, Any]:
    """What the validation of one table returns: ``valid``, ``errors`` and ``results``.

    Args:
        report: A report on that table.
    """
    report = cleaned(report)
    return {
        "valid": report.valid,
        "errors": [error for table in report.tables for error in _errors(table)],
        "results": [check_data(check) for table in report.tables for check in table.checks],
    }


def count_findings(report: Report, summary: ErrorSummary) -> None:
    """Count what failed and could not be made among the errors of ``session.result["errors"]``.

    From there it comes into the activity row's ``error_summary``: category ``validation``, the
    check's kind as the code, and as type ``CheckFailed`` or ``CheckError``. None of them is
    critical: what they do to the stage is for ``session.validate()`` to say.
    """
    for check in cleaned(report).checks:
        if check.outcome not in INVALID:
            continue
        summary["total_errors"] += 1
        failed = check.outcome is Outcome.FAILED
        for counts, name in (
            (summary["errors_by_category"], "validation"),
            (summary["errors_by_code"], check.kind),
            (summary["errors_by_type"], "CheckFailed" if failed else "CheckError"),
        ):
            counts[name] = counts.get(name, 0) + 1


def _findings(table: TableResult) -> dict[str, Any]:
    return {
        "valid": table.outcome not in INVALID,
        "errors": _errors(table),
        "results": [check_data(check) for check in table.checks],
    }


def _errors(table: TableResult) -> list[str]:
    return [check_in_words(check) for check in table.checks if check.outcome in INVALID]
