"""What may be shown of values and of engines' errors."""

from __future__ import annotations

import datetime as dt
import logging
import re
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from spectra_logging.redaction import REDACTED, is_secret_key, redact_text

__all__ = ["engine_log_silenced", "error_in_words", "sample"]

LONGEST_SHOWN = 16
"""Characters of a text that is shown whole: a state, a code, a version. Tokens are longer."""

BEGINNING = 3
"""Characters shown of any other."""

_PYSPARKS_LOGGER = "SQLQueryContextLogger"
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"|`([^`]*)`")
_PLAIN = (bool, int, float, Decimal, dt.date, dt.datetime, type(None))


def sample(names: Sequence[str], values: Sequence[Any], hidden: Collection[str]) -> str:
    """A row's values as a report may show them.

    Args:
        names: The columns' names.
        values: Their values.
        hidden: Columns of which nothing may be shown, in lower case.
    """
    shown = [
        REDACTED if name.lower() in hidden or is_secret_key(name) else _shown(value)
        for name, value in zip(names, values, strict=True)
    ]
    if len(shown) == 1:
        return shown[0]
    return ", ".join(f"{name}={value}" for name, value in zip(names, shown, strict=True))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        text = redact_text(value)
        if len(text) <= LONGEST_SHOWN:
            return repr(text)
        return f"{text[:BEGINNING]!r}… ({len(text)} characters)"
    if isinstance(value, _PLAIN):
        return redact_text(str(value))
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_shown, value[:3]))}{', …' if len(value) > 3 else ''}]"
    return f"<{type(value).__name__}>"


@contextmanager
def engine_log_silenced() -> Iterator[None]:
    """A while in which PySpark does not log a failed statement's error, values of rows and all.

    It does so by itself, at ERROR, before it raises. Other threads' errors are none of ours.
    """
    thread = threading.get_ident()

    def of_others(record: logging.LogRecord) -> bool:
        return record.thread != thread

    # Only Spark 4 and later has it, of a class of its own: as a plain one, made here before PySpark
    # asks for it, it would fail at every error that PySpark then logs.
    pyspark = sys.modules.get("pyspark.logger")
    if pyspark is None:
        yield
        return
    logger: logging.Logger = pyspark.PySparkLogger.getLogger(_PYSPARKS_LOGGER)
    logger.addFilter(of_others)
    try:
        yield
    finally:
        logger.removeFilter(of_others)


def error_in_words(error: BaseException, statement: str, names: Collection[str] = ()) -> str:
    """An engine's error without values that it may quote.

    What it quotes stays where the statement has it too, or where it is a column's name.

    Args:
        error: The error.
        statement: The statement that it is about.
        names: The table's columns.
    """

    def kept(match: re.Match[str]) -> str:
        quoted = next(group for group in match.groups() if group is not None)
        known = quoted in statement or quoted in names or quoted.rpartition(".")[2] in names
        return match[0] if known and quoted else f"'{REDACTED}'"

    return redact_text(_QUOTED.sub(kept, " ".join(str(error).split())))
