"""Tables and suites for the tests of validation."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import write_deltalake

from spectra_logging.lakehouse.base import Lakehouse
from spectra_stage.validation.checks import Check
from spectra_stage.validation.results import CheckResult, Outcome, Report
from spectra_stage.validation.run import run
from spectra_stage.validation.suite import Suite, TableSuite

__all__ = ["UTC", "made", "make", "need_feature", "outcomes", "report_of", "result_of"]

UTC = dt.timezone.utc


def make(
    root: Path, name: str = "t.checked", columns: Mapping[str, Any] | None = None, **types: Any
) -> str:
    """A Delta table below a root, by delta-rs; returns its dotted name."""
    frame = pl.DataFrame(columns or {}, schema_overrides=types)
    write_deltalake(
        root / "Tables" / name.replace(".", "/"), frame, mode="overwrite", schema_mode="overwrite"
    )
    return name


def need_feature(root: Path, name: str, feature: str) -> Path:
    """Have the first version of a table ask its readers for a feature; returns the table's folder.

    Args:
        root: As :func:`make` takes it.
        name: The table's dotted name.
        feature: The feature, as Delta's protocol calls it.
    """
    folder = root / "Tables" / name.replace(".", "/")
    entry = folder / "_delta_log" / f"{0:020}.json"
    protocol = '"minReaderVersion":1,"minWriterVersion":2'
    versions = '"minReaderVersion":3,"minWriterVersion":7'
    features = f'"readerFeatures":["{feature}"],"writerFeatures":["{feature}"]'
    assert protocol in entry.read_text()
    entry.write_text(entry.read_text().replace(protocol, f"{versions},{features}"))
    return folder


def report_of(lakehouse: Lakehouse, root: Path, *checks: Check, table: str = "t.checked") -> Report:
    """What checks find in one table."""
    return run(
        Suite(name="test", tables=[TableSuite(table=table, checks=checks)]), lakehouse, root=root
    )


def result_of(lakehouse: Lakehouse, root: Path, check: Check) -> CheckResult:
    """What one check finds in ``t.checked``."""
    (table,) = report_of(lakehouse, root, check).tables
    (result,) = [result for result in table.checks if result.kind == check.kind]
    return result


def made(result: CheckResult) -> tuple[Outcome, int | None]:
    """How a check ended, and how many rows break it."""
    return result.outcome, result.violations


def outcomes(report: Report, *ended: Outcome) -> list[str]:
    """The checks that ended so, as ``table: kind columns``."""
    return [
        f"{check.table}: {check.kind} {','.join(check.columns)}".rstrip()
        for check in report.checks
        if check.outcome in ended
    ]
