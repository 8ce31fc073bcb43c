"""The thresholds of quality rules in Open Data Contracts → how many rows there may be."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from spectra_logging.errors import ConfigurationError
from spectra_stage.validation.checks.base import is_count

__all__ = ["NotExpressedError", "row_count_of", "tolerance_of"]

_AT_MOST = "how many at most is what can be said"


class NotExpressedError(Exception):
    """A rule says what no check can."""


def tolerance_of(rule: Mapping[str, Any]) -> int | str:
    """How many rows may break a rule.

    Raises:
        NotExpressedError: No check says so; the message tells why.
        ConfigurationError: It is no threshold.
    """
    told = {name: value for name, value in rule.items() if name.startswith("must")}
    if not told and rule.get("rule") in {"nullCheck", "validValues"}:
        # Rules that are complete without a threshold.
        return 0
    if len(told) > 1:
        raise NotExpressedError(f"several thresholds, {told}; {_AT_MOST}")
    percent = rule.get("unit") == "percent"
    if rule.get("mustBe") == 0:
        return 0
    most = rule.get("mustBeLessOrEqualTo")
    if most is None and isinstance(below := rule.get("mustBeLessThan"), (int, float)):
        if percent:
            raise NotExpressedError(f"less than {below} percent; at most is what can be said")
        most = int(below) - 1 if below == int(below) else int(below)
    least, greatest = _between(rule)
    if most is None and least == 0:
        most = greatest
    if not isinstance(most, (int, float)) or most < 0:
        raise NotExpressedError(f"a threshold of {told}; {_AT_MOST}")
    # Python writes 0.00001 as 1e-05.
    return f"{Decimal(str(most)):f}%" if percent else int(most)


def _between(rule: Mapping[str, Any]) -> tuple[Any, Any]:
    """The two ends of ``mustBeBetween``; nothing where it is not told.

    Raises:
        ConfigurationError: It has fewer, or more.
    """
    told = rule.get("mustBeBetween")
    if told is None:
        return None, None
    if not isinstance(told, list) or len(told) != 2:
        raise ConfigurationError(f"mustBeBetween is {told!r}; it may be a list of two numbers")
    return told[0], told[1]


def row_count_of(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a count of rows: see :func:`tolerance_of`."""
    told = {name: value for name, value in rule.items() if name.startswith("must")}
    if not told:
        raise NotExpressedError("a count of rows without a bound")
    bounds = [
        _bounds(name, _between(rule) if name == "mustBeBetween" else (value, value))
        for name, value in told.items()
    ]
    if None in bounds or rule.get("unit") == "percent":
        raise NotExpressedError(f"a count of rows of {told}")
    if set(told) == {"mustBe"}:
        return {"exactly": told["mustBe"]}
    minimums = [least for least, _ in filter(None, bounds) if least is not None]
    maximums = [most for _, most in filter(None, bounds) if most is not None]
    return {"minimum": max(minimums, default=None), "maximum": min(maximums, default=None)}


def _bounds(threshold: str, ends: tuple[Any, Any]) -> tuple[int | None, int | None] | None:
    """The least and the greatest number that a threshold allows; ``None`` if it is no such one."""
    least, most = ends
    if not (is_count(least) and is_count(most)):
        return None
    return {
        "mustBe": (least, most),
        "mustBeBetween": (least, most),
        "mustBeGreaterThan": (least + 1, None),
        "mustBeGreaterOrEqualTo": (least, None),
        "mustBeLessThan": (None, most - 1),
        "mustBeLessOrEqualTo": (None, most),
    }.get(threshold)
