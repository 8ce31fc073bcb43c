"""Findings as they may be shown: without secrets, and in characters that every format can hold."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from enum import Enum
from typing import Any

from spectra_logging.redaction import redact_text, redact_value
from spectra_stage.validation.results import CheckResult, Report, TableResult

__all__ = ["UNSEEN", "clean_line", "cleaned", "cleaned_check", "printable"]

LONGEST_FINDING = 2_000
LONGEST_VALUE = 500
"""Characters; an engine's error and a sample may hold a whole document."""

DEEPEST = 8
"""Levels of a figure that are shown; what lies deeper is shown as text."""

# What XML has no room for, what a terminal would obey, and what can't be seen or turns the text
# around it: a value that breaks a check with one of these should show it.
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_UNSEEN_IN_LINES = re.compile(UNSEEN.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def cleaned(report: Report) -> Report:
    """The report with every text in it redacted, printable and of bounded length.

    Characters that can't be seen are written as Python's string literals write them. Only a finding
    keeps its line breaks. Figures become what JSON has: text, numbers, lists and objects.
    """
    return replace(
        report,
        suite=clean_line(report.suite),
        engine=clean_line(report.engine),
        started_at=_in_utc(report.started_at),
        tables=tuple(_table(table) for table in report.tables),
    )


def _table(table: TableResult) -> TableResult:
    return replace(
        table,
        table=clean_line(table.table),
        place=clean_line(table.place),
        checks=tuple(cleaned_check(check) for check in table.checks),
    )


def cleaned_check(check: CheckResult) -> CheckResult:
    """A check's finding, as :func:`cleaned` makes those of a report."""
    figures = redact_value(dict(check.figures))
    assert isinstance(figures, Mapping)
    return replace(
        check,
        kind=clean_line(check.kind),
        name=clean_line(check.name),
        table=clean_line(check.table),
        columns=tuple(clean_line(column) for column in check.columns),
        finding=_lines(check.finding),
        figures={clean_line(str(name)): _figure(value) for name, value in figures.items()},
        samples=tuple(clean_line(sample) for sample in check.samples),
    )


def clean_line(text: str) -> str:
    """Text that is shown in one line: redacted, printable and of bounded length."""
    return _shortened(UNSEEN.sub(_escape, redact_text(text)), LONGEST_VALUE)


def printable(text: str) -> str:
    """Text of any number of lines, with nothing in it that a terminal would obey or hide."""
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    return _UNSEEN_IN_LINES.sub(_escape, text)


def _lines(text: str) -> str:
    return _shortened(printable(redact_text(text).strip()), LONGEST_FINDING)


def _shortened(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    note = f"… ({len(text):,} characters)"
    return text[: longest - len(note)] + note


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def _in_utc(moment: dt.datetime) -> dt.datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=dt.timezone.utc)
    return moment.astimezone(dt.timezone.utc)


def _figure(value: object, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _figure(value.value, depth)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        # JSON has no word for these.
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if depth < DEEPEST:
        if isinstance(value, Mapping):
            return {clean_line(str(key)): _figure(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, AbstractSet)):
            return [_figure(item, depth + 1) for item in value]
    return clean_line(str(value))
