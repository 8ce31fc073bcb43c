"""The quality rules of Open Data Contracts → checks."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
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
from spectra_stage.validation.files.odcs_thresholds import (
    NotExpressedError,
    row_count_of,
    tolerance_of,
)
from spectra_stage.validation.files.options import check_of
from spectra_stage.validation.literals import MOST_DIGITS, moment_of
from spectra_stage.validation.results import Severity
from spectra_stage.validation.view import family

__all__ = ["ENGINE", "check_of_rule", "literal_of", "whole_pattern"]

ENGINE = "spectra"
"""The engine of custom rules that are checks of ours."""

_METRICS = {
    "duplicateCount": "duplicateValues",
    "nullCheck": "nullValues",
    "validValues": "invalidValues",
}
"""What the rules of version 3.0 are called since."""

# What a pattern consists of, as far as brackets matter: in sets, and behind a backslash, they are
# characters.
_PART = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\\\]])*\]|.", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_FLAGS = re.compile(r"\(\?[a-z]+\)")


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
    metric = _metric(plain)
    if metric == "rowCount":
        return RowCount(**row_count_of(plain), **common)
    common["tolerance"] = tolerance_of(plain)
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
        # One list may serve columns of several kinds, as [null, '', -1] does.
        there = [value for value in missing if value is not None and _may_be_in(value, about)]
        if family(about.type) == "text":
            # Of the column's texts Spark would make numbers, to compare them with one.
            there = [str(value) for value in there]
        if there:
            values = ", ".join(literal_of(value, about) for value in there)
            # Of four values and more DataFusion 55 makes a set, in which -0.0 is another than 0.0.
            compared = f"{quoted} + 0" if about.type in {"float", "double"} else quoted
            parts.append(f"{compared} NOT IN ({values})")
        if parts:
            return Condition(condition=" AND ".join(parts), **common)
    # Version 3.0 has the values beside the arguments, and the standard's own example the pattern.
    listed = arguments.get("validValues") or rule.get("validValues") or ()
    # That null is valid needs no check: none compares it.
    if metric == "invalidValues" and (valid := [item for item in listed if item is not None]):
        return AllowedValues(column=column, values=valid, **common)
    pattern = arguments.get("pattern") or rule.get("pattern")
    if metric == "invalidValues" and pattern:
        return Pattern(column=column, pattern=whole_pattern(pattern), **common)
    raise NotExpressedError(f"metric {metric} with {sorted(arguments) or 'no arguments'}")


def whole_pattern(pattern: str) -> str:
    """A pattern that is looked for anywhere as one that a text matches whole."""
    flags = match[0] if (match := _FLAGS.match(pattern)) else ""
    pattern = pattern.removeprefix(flags)
    is_whole = pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith("\\$")
    # Anchors may be of one alternative alone, as in ^a|b$, or of a line.
    if not is_whole or _has_alternatives(pattern) or "m" in flags:
        return rf"{flags}[\s\S]*(?:{pattern})[\s\S]*"
    inner = pattern[1:-1]
    if inner.startswith("(?:") and inner.endswith(")") and _is_one_group(inner):
        inner = inner[3:-1]
    return flags + inner


def _has_alternatives(pattern: str) -> bool:
    """Whether a pattern is one thing or another, outside of brackets."""
    return any(part == "|" for part, depth in _parts(pattern) if not depth)


def _is_one_group(pattern: str) -> bool:
    """Whether the bracket that opens a pattern is closed by its last."""
    *others, _ = _parts(pattern)
    return all(depth for _, depth in others)


def _parts(pattern: str) -> Iterator[tuple[str, int]]:
    """What a pattern consists of, and in how many brackets each part stands."""
    depth = 0
    for part in _PART.findall(pattern):
        depth += {"(": 1, ")": -1}.get(part, 0)
        yield part, depth


def literal_of(value: Any, column: Column) -> str:
    """A plain value in SQL, to be compared with a column.

    A date or time stands behind the word for it: alone, ``2024-01-01`` is a subtraction.
    """
    kind = family(column.type)
    if isinstance(value, str) and kind in {"date", "timestamp"}:
        # As the standard has them; DataFusion makes nanoseconds of a text.
        moment = moment_of(value)
        value = moment.date() if moment is not None and kind == "date" else moment or value
    if isinstance(value, float) or (
        isinstance(value, str) and kind == "number" and _NUMBER.fullmatch(value)
    ):
        number = _plain_number(value)
        # Of 32 bits, as the column's: the double 0.1 is none of them.
        return f"CAST({number} AS FLOAT)" if column.type == "float" else number
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, dt.datetime):
        # YAML's has no zone where the file names none: it is UTC.
        utc = value.astimezone(dt.timezone.utc) if value.tzinfo is not None else value
        return f"TIMESTAMP '{utc.replace(tzinfo=None).isoformat()}Z'"
    if isinstance(value, dt.date):
        return f"TIMESTAMP '{value}T00:00:00Z'" if kind == "timestamp" else f"DATE '{value}'"
    return str(value)


def _plain_number(value: float | str) -> str:
    """A number as a fraction, a decimal beside decimals; with an exponent it is a float."""
    plain = f"{Decimal(str(value)):f}"
    if "." in plain:
        # Beside 2.0 DataFusion makes floats of whole numbers.
        plain = plain.rstrip("0").rstrip(".")
    return plain if len(plain) <= MOST_DIGITS else str(value)


def _may_be_in(value: Any, column: Column) -> bool:
    """Whether a value may be among a column's at all, as far as its type tells."""
    kind = family(column.type)
    if kind == "number":
        if isinstance(value, str):
            return _NUMBER.fullmatch(value) is not None
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in {"date", "timestamp"}:
        return isinstance(value, (str, dt.date)) and moment_of(value) is not None
    if kind == "boolean":
        return isinstance(value, bool)
    # With the others no text or number can be compared.
    return kind in {"text", "any"}


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


def _metric(rule: Mapping[str, Any]) -> Any:
    """What a rule of the library measures, as versions since 3.0 call it."""
    told = rule.get("rule")
    return rule.get("metric") or _METRICS.get(str(told), told)


def _severity(rule: Mapping[str, Any]) -> Severity:
    severity = str(rule.get("severity") or "error").lower()
    return "warning" if severity in {"warning", "warn", "info", "low", "medium"} else "error"
