"""Outcomes, counts and figures in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spectra_stage.validation.results import CheckResult, Outcome, TableResult

__all__ = [
    "WORST_FIRST",
    "counted",
    "duration",
    "figures_of",
    "number",
    "table_facts",
    "verdict",
]

WORST_FIRST = (
    Outcome.FAILED,
    Outcome.ERROR,
    Outcome.WARNING,
    Outcome.SKIPPED,
    Outcome.PASSED,
)
"""The order in which a person wants to read them."""


def counted(count: int, thing: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number(count)} {thing}{'' if count == 1 else 's'}"


def number(value: float) -> str:
    """A number with its thousands parted; at most six digits behind the point."""
    if isinstance(value, int):
        return f"{value:,}"
    if 0 < abs(value) < 1e-4 or abs(value) >= 1e15:
        return f"{value:g}"
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """A while in the unit that fits: ``27 ms``, ``5.9 s``, ``2 min 5 s``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def verdict(counts: Mapping[Outcome, int]) -> str:
    """How the checks ended, in one sentence without its full stop."""
    total = sum(counts.values())
    if not total:
        return "no check was made"
    parts = []
    if failed := counts[Outcome.FAILED]:
        parts.append(f"{number(failed)} of {counted(total, 'check')} failed")
    if errors := counts[Outcome.ERROR]:
        of = "" if parts else f" of {counted(total, 'check')}"
        parts.append(f"{number(errors)}{of} could not be made")
    if not parts:
        passed = counts[Outcome.PASSED]
        if passed == total:
            parts.append(f"{'all ' if total > 1 else ''}{counted(total, 'check')} passed")
        else:
            parts.append(f"{number(passed)} of {counted(total, 'check')} passed")
    if warnings := counts[Outcome.WARNING]:
        parts.append(counted(warnings, "warning"))
    if skipped := counts[Outcome.SKIPPED]:
        parts.append(f"{number(skipped)} skipped")
    return ", ".join(parts)


def table_facts(table: TableResult) -> list[str]:
    """What was looked at, and at what cost."""
    facts = ["not opened" if table.version is None else f"version {table.version}"]
    if table.rows is not None:
        facts.append(counted(table.rows, "row"))
    facts += [counted(table.statements, "statement"), duration(table.duration_seconds)]
    return facts


def figures_of(check: CheckResult) -> list[tuple[str, str]]:
    """The check's figures by name, the rows that break it first."""
    figures = []
    if check.violations is not None:
        told = number(check.violations)
        if check.rows:
            share = check.violations / check.rows
            told = f"{told} of {counted(check.rows, 'row')}"
            if check.violations:
                told = f"{told} ({_percentage(share)})"
        figures.append(("violations", told))
    elif check.rows is not None and "rows" not in check.figures:
        figures.append(("rows", number(check.rows)))
    figures += [(name.replace("_", " "), _in_words(value)) for name, value in check.figures.items()]
    return figures


def _percentage(share: float) -> str:
    if share < 0.0001:
        return "< 0.01 %"
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + " %"


def _in_words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False)
