"""A report as plain data, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spectra_stage.validation.report.cleaned import cleaned
from spectra_stage.validation.results import CheckResult, Outcome, Report, TableResult

__all__ = ["check_data", "counts_data", "report_data", "report_json", "table_data"]


def report_data(report: Report) -> dict[str, Any]:
    """The report in dictionaries, lists, text and numbers."""
    report = cleaned(report)
    return {
        "suite": report.suite,
        "engine": report.engine,
        "outcome": report.outcome.value,
        "valid": report.valid,
        "started_at": report.started_at.isoformat(),
        "duration_seconds": report.duration_seconds,
        "counts": counts_data(report.counts),
        "tables": [table_data(table) for table in report.tables],
    }


def report_json(report: Report) -> str:
    """The same as a JSON object, indented."""
    return json.dumps(report_data(report), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def counts_data(counts: Mapping[Outcome, int]) -> dict[str, int]:
    """How many checks ended in each way, by the outcomes' names."""
    return {outcome.value: count for outcome, count in counts.items()}


def table_data(table: TableResult) -> dict[str, Any]:
    """A table's findings, cleaned before."""
    return {
        "table": table.table,
        "place": table.place,
        "outcome": table.outcome.value,
        "version": table.version,
        "rows": table.rows,
        "statements": table.statements,
        "duration_seconds": table.duration_seconds,
        "counts": counts_data(table.counts),
        "checks": [check_data(check) for check in table.checks],
    }


def check_data(check: CheckResult) -> dict[str, Any]:
    """A check's finding, cleaned before."""
    return {
        "kind": check.kind,
        "name": check.name,
        "columns": list(check.columns),
        "severity": check.severity,
        "outcome": check.outcome.value,
        "finding": check.finding,
        "rows": check.rows,
        "violations": check.violations,
        "figures": dict(check.figures),
        "samples": list(check.samples),
    }
