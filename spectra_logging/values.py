"""Any Python value → something a JSON line and a typed column can hold, without ever raising.

A log call must not fail for what it was given, and must not lose it either: a value that does not
fit is kept in words.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import math
import numbers
import operator
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import msgspec

__all__ = ["DoesNotFitError", "free_name", "safe_text", "to_column", "to_jsonable"]

MAX_DEPTH = 16
_INT64 = range(-(1 << 63), 1 << 63)
_INT32 = range(-(1 << 31), 1 << 31)
_WITH_OR_WITHOUT_SIGN = range(-(1 << 63), 1 << 64)
"""The integers of 64 bits, which the encoder of JSON writes as numbers."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


class DoesNotFitError(ValueError):
    """A value that a column of this type can't hold without losing something."""


def safe_text(value: object) -> str:
    """``str(value)`` that never raises and holds no lone surrogates."""
    try:
        text = str(value)
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
    except Exception as error:  # noqa: BLE001 - whatever a foreign __str__ raises
        return f"<{type(value).__name__} whose text can't be had: {type(error).__name__}>"


def free_name(name: str, taken: Mapping[Any, Any]) -> str:
    """The name, with a number behind it where it is taken: ``name_2``."""
    if name not in taken:
        return name
    # Many that are all called the same must not take their number squared.
    numbers = itertools.chain(range(2, 10), itertools.count(len(taken) + 1))
    return next(free for number in numbers if (free := f"{name}_{number}") not in taken)


def to_jsonable(value: object) -> Any:
    """A copy of a value made of JSON's own types.

    Integers beyond 64 bits, infinities, NaN and paths become text, cycles and what lies deeper than
    :data:`MAX_DEPTH` levels a note, and unknown objects their ``repr``. Numbers and times of other
    classes than Python's own, such as NumPy's, pandas's and pendulum's, are numbers and times too.
    Keys of a mapping that read the same are told apart by :func:`free_name`.
    """
    return _jsonable(value, ())


def _jsonable(value: object, above: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    # A subclass (an enum of strings, numpy's float64) may print as it likes.
    if isinstance(value, str):
        return safe_text(str.__str__(value))
    if isinstance(value, int):
        return int(value) if int(value) in _WITH_OR_WITHOUT_SIGN else safe_text(int(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else safe_text(float(value))
    if id(value) in above:
        return "<cycle>"
    if len(above) >= MAX_DEPTH:
        return "<nested too deeply>"
    try:
        return _container(value, (*above, id(value)))
    except Exception as error:  # noqa: BLE001 - whatever a foreign object raises when looked into
        if isinstance(value, tuple):  # such as Dagster's records, which refuse to be iterated
            return safe_text(_repr(value))
        return f"<{type(value).__name__} that can't be looked into: {type(error).__name__}>"


def _container(value: object, above: tuple[int, ...]) -> Any:
    if isinstance(value, Mapping):
        return _mapping(value, above)
    if isinstance(value, (list, tuple)):
        return [_jsonable(item, above) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_jsonable(item, above) for item in value), key=repr)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, PurePath):
        return safe_text(value)

    def convert(part: object) -> object:
        # What a dataclass holds is looked into for itself: it is no reason to have all in words.
        return _foreign(value) if part is value else _jsonable(part, above)

    try:
        plain = msgspec.to_builtins(value, enc_hook=convert)
    except (TypeError, ValueError, OverflowError, RecursionError):
        plain = _foreign(value)
    return _jsonable(plain, above)


def _foreign(value: object) -> object:
    """A value of a class that msgspec doesn't know, of one that it does."""
    if (own := _own_number(value)) is not value:
        return own
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return dt.timedelta(seconds=value.total_seconds())
    if type(value).__name__ in ("datetime64", "timedelta64"):  # NumPy's, which are no Python's
        return str(value)
    return _repr(value)


def _own_number(value: object) -> object:
    """A number as one of Python's own; what is none as it is."""
    if isinstance(value, (int, float)):
        return value
    with contextlib.suppress(Exception):  # A proxy of what is not there raises as it likes.
        if type(value).__name__ in ("bool", "bool_"):  # NumPy's, which is registered as nothing
            return bool(value)
        with contextlib.suppress(TypeError):  # NumPy's arrays have the method, too
            return operator.index(value)  # type: ignore[arg-type]
        if isinstance(value, numbers.Real) and not isinstance(value, numbers.Rational):
            return float(value)
    return value


def _mapping(value: Mapping[Any, Any], above: tuple[int, ...]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        name = safe_text(key)
        # 1 and "1" are two keys, and one name.
        plain[free_name(name, plain) if name in plain else name] = _jsonable(item, above)
    return plain


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - whatever a foreign __repr__ raises
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def to_column(column_type: str, value: object) -> Any:
    """A value as the JSON line of a row holds it for a column of that type.

    Args:
        column_type: One of the types a :class:`~spectra_logging.tables.Column` may have.
        value: Not ``None``. A naive datetime is taken as UTC.

    Raises:
        DoesNotFitError: The value is of another kind, or beyond the type's range.
    """
    try:
        return _CONVERTERS[column_type](value)
    except (DoesNotFitError, OverflowError, ValueError, TypeError, KeyError) as error:
        raise DoesNotFitError(f"{type(value).__name__} does not fit {column_type}") from error


def _string(value: object) -> str:
    if isinstance(value, str):
        return safe_text(str.__str__(value))
    plain = to_jsonable(value)
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def _integer(allowed: range) -> Callable[[object], int]:
    def convert(value: object) -> int:
        value = _own_number(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or int(value) not in allowed:
            raise DoesNotFitError
        return int(value)

    return convert


def _double(value: object) -> float:
    value = _own_number(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DoesNotFitError
    return float(value)


def _boolean(value: object) -> bool:
    value = _own_number(value)
    if not isinstance(value, bool):
        raise DoesNotFitError
    return value


def _timestamp(value: object) -> int:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
    if not isinstance(value, dt.datetime):
        raise DoesNotFitError
    if value.tzinfo is None:
        value = value.replace(tzinfo=dt.timezone.utc)
    # As an int, which pandas's "not a time" is not.
    return int((value - _EPOCH) // dt.timedelta(microseconds=1))


def _date(value: object) -> str:
    if isinstance(value, str):
        value = dt.date.fromisoformat(value)
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise DoesNotFitError
    return value.isoformat()


def _array(convert: Callable[[object], Any]) -> Callable[[object], list[Any]]:
    def convert_all(value: object) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise DoesNotFitError
        return [None if item is None else convert(item) for item in value]

    return convert_all


_SCALARS: dict[str, Callable[[object], Any]] = {
    "string": _string,
    "long": _integer(_INT64),
    "integer": _integer(_INT32),
    "double": _double,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "date": _date,
}
_CONVERTERS = _SCALARS | {f"array<{name}>": _array(convert) for name, convert in _SCALARS.items()}
