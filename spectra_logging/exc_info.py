"""What ``exc_info`` means, in each of the spellings that loggers take."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType
from typing import TypeAlias, cast

__all__ = ["ExcInfo", "exc_info_triple", "traceback_text"]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


def exc_info_triple(given: object) -> ExcInfo | None:
    """The triple of class, exception and traceback that was meant.

    Args:
        given: An exception, a triple, or anything true for the exception being handled *here and
            now*; on another thread that is none, or another.

    Returns:
        The triple; ``None`` when there is no exception.
    """
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if not given:
        return None
    triple = given if isinstance(given, tuple) and len(given) == 3 else sys.exc_info()
    return cast("ExcInfo", triple) if isinstance(triple[1], BaseException) else None


def traceback_text(exc_info: ExcInfo) -> str:
    """The traceback as Python prints it; a note for an exception that raises when it is shown."""
    try:
        return "".join(traceback.format_exception(*exc_info)).rstrip("\n")
    except Exception as error:  # noqa: BLE001 - whatever a foreign exception raises when shown
        name = type(exc_info[1]).__name__
        return f"{name} whose traceback can't be had: {type(error).__name__}"
