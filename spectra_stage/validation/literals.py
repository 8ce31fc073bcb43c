"""Python values as SQL literals of a column's type, exact and of no session's time zone."""

from __future__ import annotations

import datetime as dt
import re
from decimal import MAX_PREC, Context, Decimal, InvalidOperation
from typing import TypeAlias

from spectra_logging.lakehouse.dialect import Dialect
from spectra_logging.tables import Column
from spectra_stage.validation.view import ImpossibleError, family

__all__ = ["MOST_DIGITS", "Value", "is_infinite", "literal", "moment_of"]

Value: TypeAlias = str | int | float | bool | Decimal | dt.datetime | dt.date

MOST_DIGITS = 38
_SCALE = re.compile(r"decimal\(\d+,\s*(\d+)\)")


def literal(value: Value, column: Column, dialect: Dialect, *, rounding: str | None = None) -> str:
    """A value as SQL, to be compared with a column.

    Args:
        value: The value.
        column: The column.
        dialect: The engine's SQL.
        rounding: How a number finer than a column of decimals or whole numbers can hold is rounded,
            as :mod:`decimal` calls it; by default it is not.

    Raises:
        ImpossibleError: The value is none of the column's kind.
    """
    kind = family(column.type)
    if kind == "number" and (number := _number(value)) is not None:
        return _numeric(_rounded(number, column, rounding) if rounding else number, column)
    if kind == "text" and isinstance(value, str):
        return dialect.text(value)
    if kind == "boolean" and isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if kind == "date" and (day := _date(value)) is not None:
        return f"DATE '{day.isoformat()}'"
    if kind == "timestamp" and (moment := moment_of(value)) is not None:
        return dialect.moment(moment, zoned=column.type == "timestamp")
    raise ImpossibleError(
        f"column {column.name} of type {column.type} can't be compared with {value!r}"
    )


def is_infinite(value: object) -> bool:
    """Whether a value is a number that nothing can be compared with: infinite, or NaN."""
    return isinstance(value, (float, Decimal)) and not Decimal(value).is_finite()


def _number(value: Value) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        # By way of its text: 0.1 is what was written, and not the nearest binary fraction.
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _rounded(number: Decimal, column: Column, rounding: str) -> Decimal:
    told = _SCALE.fullmatch(column.type)
    scale = int(told[1]) if told else 0
    if column.type in {"float", "double"} or -int(number.as_tuple().exponent) <= scale:
        return number
    return number.quantize(Decimal(1).scaleb(-scale), rounding, Context(prec=MAX_PREC))


def _numeric(number: Decimal, column: Column) -> str:
    if column.type in {"float", "double"}:
        # Zero has no sign: see TableView.comparable.
        return f"CAST('{number or 0}' AS {column.type.upper()})"
    if number == number.to_integral_value() and abs(number) < 2**63:
        return str(int(number))
    digits = len(number.as_tuple().digits)
    exponent = int(number.as_tuple().exponent)
    scale = max(-exponent, 0)
    precision = max(digits + max(exponent, 0), scale)
    if precision > MOST_DIGITS:
        raise ImpossibleError(f"{number} has more than the {MOST_DIGITS} digits of a decimal")
    return f"CAST('{number:f}' AS DECIMAL({precision}, {scale}))"


def _date(value: Value) -> dt.date | None:
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, dt.datetime):
        return None
    return value if isinstance(value, dt.date) else None


def moment_of(value: Value) -> dt.datetime | None:
    """A moment in UTC; a date is its midnight, and what has no zone is UTC."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.timezone.utc) if value.tzinfo is None else value
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time(), dt.timezone.utc)
    return None
