"""The options of a type in Open Data Contracts → checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from spectra_logging.errors import ConfigurationError
from spectra_logging.tables import Column
from spectra_stage.validation.checks import Check, Condition, Pattern, Range, Unchecked
from spectra_stage.validation.files.odcs_nested import IN_THE_TYPE
from spectra_stage.validation.files.odcs_quality import literal_of, whole_pattern
from spectra_stage.validation.literals import is_infinite

__all__ = ["checks_of_options"]

_CONDITIONS = {
    "minLength": "length({}) >= {}",
    "maxLength": "length({}) <= {}",
    "exclusiveMinimum": "{} > {}",
    "exclusiveMaximum": "{} < {}",
    "multipleOf": "{} % {} = 0",
}
_FLOATS = {"float", "double"}
_HELD_BY_DOUBLES = 2**53
"""Up to there a double holds each whole number."""


def checks_of_options(column: Column, told: Mapping[str, Any]) -> Iterator[Check]:
    """The checks that a property's ``logicalTypeOptions`` stand for.

    Args:
        column: The property's column, of the type that values are compared as.
        told: The options.
    """
    options = _with_bounds_of_3_1(told)
    name = column.name
    bounds = {key: options.pop(key) for key in ("minimum", "maximum") if key in options}
    if bounds:
        yield Range(column=name, **bounds)
    if pattern := options.pop("pattern", None):
        try:
            yield Pattern(column=name, pattern=whole_pattern(pattern))
        except ConfigurationError as error:
            yield Unchecked(statement=f"pattern of {name}: {error}")
    quoted = '"' + name.replace('"', '""') + '"'
    if (step := _fraction(options.get("multipleOf"), column)) is not None:
        told_step = options.pop("multipleOf")
        condition = _is_nearest_to_a_multiple(quoted, step, column)
        yield Condition(condition=condition, name=f"{name} is a multiple of {told_step}")
    for option, template in _CONDITIONS.items():
        if option in options:
            told_value = options.pop(option)
            if is_infinite(told_value):
                raise ConfigurationError(f"{option} is {told_value!r}; it may be a finite value")
            value = literal_of(told_value, column)
            condition = template.format(quoted, value)
            yield Condition(condition=condition + _no_nan(option, column, quoted))
    for option in options:
        # In the contract's order: of a set's, pytest-xdist's workers would each have another.
        if option not in IN_THE_TYPE:
            yield Unchecked(statement=f"{option} of {name}")


def _with_bounds_of_3_1(told: Mapping[str, Any]) -> dict[str, Any]:
    """In version 3.0 an exclusive bound tells of the bound beside it, whether that is valid."""
    options = dict(told)
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if isinstance(options.get(exclusive), bool):
            is_exclusive = options.pop(exclusive)
            if is_exclusive and bound in options:
                options[exclusive] = options.pop(bound)
    return options


def _fraction(step: Any, column: Column) -> Fraction | None:
    """The step of a column of floats, where it is a fraction; ``None`` where ``%`` is exact."""
    if column.type not in _FLOATS:
        return None
    try:
        fraction = Fraction(Decimal(str(step)))
    except (InvalidOperation, OverflowError, ValueError):
        return None
    is_held = max(abs(fraction.numerator), fraction.denominator) < _HELD_BY_DOUBLES
    return fraction if is_held and fraction.denominator > 1 else None


def _is_nearest_to_a_multiple(quoted: str, step: Fraction, column: Column) -> str:
    """That a float is what its type holds of a multiple.

    Neither 0.01 nor most of its multiples are floats, so 0.07 % 0.01 is no zero. One division of
    whole numbers is exact, up to a quadrillion steps. NaN and infinity have no difference to
    themselves.
    """
    double = f"CAST({quoted} AS DOUBLE)"
    above = "" if step.numerator == 1 else f" * {step.numerator}"
    below = "" if step.numerator == 1 else f" / {step.numerator}"
    nearest = f"round({double} * {step.denominator}{below}){above} / {step.denominator}"
    if column.type == "float":
        return f"{quoted} - CAST({nearest} AS FLOAT) = 0"
    return f"{double} - {nearest} = 0"


def _no_nan(option: str, column: Column, quoted: str) -> str:
    if not option.startswith("exclusive") or column.type not in _FLOATS:
        return ""
    # Engines hold it for greater than any number, or by its sign for less.
    return f" AND NOT isnan({quoted})"
