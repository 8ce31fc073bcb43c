"""Checks of the options that handlers share; each refuses nonsense by the option's name."""

from __future__ import annotations

import logging
import math

from spectra_logging.errors import ConfigurationError

__all__ = ["check_choice", "check_count", "check_level", "check_seconds"]


def check_level(option: str, level: int | str) -> int:
    """The number of a level given by name or number.

    Raises:
        ConfigurationError: It is no level that ``logging`` knows.
    """
    if isinstance(level, int) and not isinstance(level, bool) and level >= 0:
        return level
    number = logging.getLevelName(level) if isinstance(level, str) else None
    if not isinstance(number, int):
        raise ConfigurationError(
            f"{option}={level!r} is no log level; it may be DEBUG, INFO, WARNING, ERROR, CRITICAL, "
            "a level added with logging.addLevelName, or a number from 0"
        )
    return number


def check_seconds(option: str, seconds: float, *, more_than_zero: bool = False) -> float:
    """A number of seconds.

    Raises:
        ConfigurationError: It is no finite number, or negative, or zero where that can't be.
    """
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or seconds < 0 or (more_than_zero and not seconds):
        least = "more than 0" if more_than_zero else "0 or more"
        raise ConfigurationError(f"{option}={seconds!r} must be a number of seconds, {least}")
    return float(seconds)


def check_count(option: str, value: int, *, least: int, unit: str = "") -> int:
    """A whole number, of bytes for instance.

    Raises:
        ConfigurationError: It is none, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        of_what = unit and f" of {unit}"
        raise ConfigurationError(
            f"{option}={value!r} must be a whole number{of_what}, {least} or more"
        )
    return value


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> str:
    """One of a few words.

    Raises:
        ConfigurationError: It is none of them.
    """
    if value not in choices:
        raise ConfigurationError(f"{option}={value!r} may be {', '.join(choices)}")
    return value
