"""The quality rules of Open Data Contracts → checks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from spectra_logging.tables import Column
from spectra_stage.validation.checks import (
    AllowedValues,
    Check,
    Condition,
    NotNull,
    Pattern,
    RowCount,
    Unique,
)
from spectra_stage.validation.files.document import Place, Problems
from spectra_stage.validation.files.options import check_of
from spectra_stage.validation.results import Severity
from spectra_stage.validation.view import family

__all__ = ["ENGINE", "NotExpressedError", "check_of_rule", "literal_of", "whole_pattern"]

ENGINE = "spectra"
"""The engine of custom rules that are checks of ours."""


class NotExpressedError(Exception):
    """A rule says what no check can."""


def check_of_rule(
    rule: Place, column: Column | None, names: Mapping[str, str], problems: Problems
) -> Check | None:
    """The check that a quality rule stands for; ``None`` where there is a problem.

    Args:
        rule: The rule.
        column: The property that it is about; ``None`` when it is about the whole object.
        names: The object's columns by what the contract calls them, where that differs.
        problems: Takes what is wrong with it.

    Raises:
        NotExpressedError: No check says so; the message tells why.
    """
    plain = rule.plain()
    if not isinstance(plain, dict):
        problems.add(rule, f"a quality rule is {plain!r}, not a mapping")
        return None
    kind = plain.get("type") or "library"
    if kind == "custom":
        return _custom(rule, plain, problems)
    if kind != "library":
        raise NotExpressedError(f"a rule of type {kind} is for people or for another engine")
    common: dict[str, Any] = {
        "severity": _severity(plain),
        "name": plain.get("name") or plain.get("description"),
    }
    metric = plain.get("metric")
    if metric == "rowCount":
        return RowCount(**_row_count(plain), **common)
    common["tolerance"] = _tolerance(plain)
    arguments = plain.get("arguments") or {}
    if metric == "duplicateValues":
        columns = [] if column is None else [column.name]
        if told := arguments.get("properties"):
            columns = [
                names.get(name, name) for name in ([told] if isinstance(told, str) else told)
            ]
        if columns:
            return Unique(column=columns[0] if len(columns) == 1 else tuple(columns), **common)
    if column is None:
        raise NotExpressedError(f"metric {metric} of a whole object")
    return _of_a_column(str(metric), column, arguments, plain, common)


def _of_a_column(
    metric: str,
    about: Column,
    arguments: Mapping[str, Any],
    rule: Mapping[str, Any],
    common: Mapping[str, Any],
) -> Check:
    column = about.name
    if metric == "nullValues":
        return NotNull(column=column, **common)
    if metric == "missingValues":
        missing = arguments.get("missingValues") or [None]
        quoted = '"' + column.replace('"', '""') + '"'
        parts = [f"{quoted} IS NOT NULL"] if None in missing else []
        if values := [literal_of(value, about) for value in missing if value is not None]:
            parts.append(f"{quoted} NOT IN ({', '.join(values)})")
        return Condition(condition=" AND ".join(parts), **common)
    if metric == "invalidValues" and arguments.get("validValues"):
        return AllowedValues(column=column, values=tuple(arguments["validValues"]), **common)
    # The standard's own example has the pattern beside the arguments, too.
    pattern = arguments.get("pattern") or rule.get("pattern")
    if metric == "invalidValues" and pattern:
        return Pattern(column=column, pattern=whole_pattern(pattern), **common)
    raise NotExpressedError(f"metric {metric} with {sorted(arguments) or 'no arguments'}")


def whole_pattern(pattern: str) -> str:
    """A pattern that is looked for anywhere as one that a text matches whole."""
    if pattern.startswith("^(?:") and pattern.endswith(")$"):
        return pattern[4:-2]
    if pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith("\\$"):
        return pattern[1:-1] if "|" not in pattern else f"(?:{pattern[1:-1]})"
    return rf"[\s\S]*(?:{pattern})[\s\S]*"


def literal_of(value: Any, column: Column) -> str:
    """A plain value in SQL, to be compared with a column.

    A date or time stands behind the word for it: alone, ``2024-01-01`` is a subtraction.
    """
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, dt.datetime):
        # YAML's has no zone where the file names none: it is UTC.
        utc = value.astimezone(dt.timezone.utc) if value.tzinfo is not None else value
        return f"TIMESTAMP '{utc.replace(tzinfo=None).isoformat()}Z'"
    if isinstance(value, dt.date):
        midnight = family(column.type) == "timestamp"
        return f"TIMESTAMP '{value}T00:00:00Z'" if midnight else f"DATE '{value}'"
    return str(value)


def _custom(rule: Place, plain: Mapping[str, Any], problems: Problems) -> Check | None:
    if plain.get("engine") != ENGINE:
        raise NotExpressedError(f"a rule for the engine {plain.get('engine')}")
    implementation = rule.get("implementation")
    if implementation is None or not problems.mapping(implementation, "implementation"):
        return None
    if len(implementation.value) != 1:
        problems.add(implementation, "implementation may hold one check")
        return None
    ((kind, options),) = implementation.value.items()
    return check_of(kind, options, problems)


def _severity(rule: Mapping[str, Any]) -> Severity:
    severity = str(rule.get("severity") or "error").lower()
    return "warning" if severity in {"warning", "warn", "info", "low", "medium"} else "error"


def _tolerance(rule: Mapping[str, Any]) -> int | str:
    """How many may break it."""
    percent = rule.get("unit") == "percent"
    if rule.get("mustBe") == 0:
        return 0
    most = rule.get("mustBeLessOrEqualTo")
    if most is None and isinstance(below := rule.get("mustBeLessThan"), (int, float)):
        if percent:
            raise NotExpressedError(f"less than {below} percent; at most is what can be said")
        most = int(below) - 1 if below == int(below) else int(below)
    between = rule.get("mustBeBetween")
    if most is None and isinstance(between, list) and between[:1] == [0]:
        most = between[1]
    if not isinstance(most, (int, float)) or most < 0:
        told = {name: value for name, value in rule.items() if name.startswith("must")}
        raise NotExpressedError(f"a threshold of {told}; how many at most is what can be said")
    return f"{most}%" if percent else int(most)


def _row_count(rule: Mapping[str, Any]) -> dict[str, Any]:
    bounds: dict[str, int] = {}
    for name, option, change in (
        ("mustBe", "exactly", 0),
        ("mustBeGreaterThan", "minimum", 1),
        ("mustBeGreaterOrEqualTo", "minimum", 0),
        ("mustBeLessThan", "maximum", -1),
        ("mustBeLessOrEqualTo", "maximum", 0),
    ):
        if isinstance(rule.get(name), int):
            bounds[option] = rule[name] + change
    if isinstance(rule.get("mustBeBetween"), list):
        bounds["minimum"], bounds["maximum"] = rule["mustBeBetween"]
    if not bounds or rule.get("unit") == "percent":
        raise NotExpressedError("a count of rows without a bound that can be said")
    return bounds
