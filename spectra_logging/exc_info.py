"""What ``exc_info`` means, in each of the spellings that loggers take."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TypeAlias, cast

__all__ = ["ExcInfo", "exc_info_triple"]

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
