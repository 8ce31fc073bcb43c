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
_QUOTE = re.compile("['\"`]")
# What engines say of numbers, which none of them quotes.
_NUMBER = re.compile(
    r"(?i)(\bvalue (?:of )?|\boverflow\w* (?:happened )?on:? )[+-]?\.?\d\S*(?: [-+*/%] [^\s']+)?"
    r"|[+-]?\.?\d\S*(?= cannot be represented as\b)"
)
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

    What it quotes stays where the statement has it too, or where it is a column's name. From the
    first thing on that is neither, no quote is to be trusted: a value may have quotes of its own.

    Args:
        error: The error.
        statement: The statement that it is about.
        names: The table's columns.
    """

    def known(match: re.Match[str]) -> bool:
        quoted = match[0][1:-1]
        if text[match.end() :][:1].isalnum():
            return False
        if quoted in names or quoted.rpartition(".")[2] in names:
            return True
        # As a whole word: the beginning of a value such as o'neill is easily part of another.
        word = rf"(?<!\w){re.escape(quoted)}(?!\w)"
        return bool(quoted) and re.search(word, statement) is not None

    text = " ".join(str(error).split())
    quotes = [match.start() for match in _QUOTE.finditer(text)]
    unknown = [match.start() for match in _QUOTED.finditer(text) if not known(match)]
    if len(quotes) > 1 and _QUOTE.search(_QUOTED.sub("", text)):
        # One is left over, and it may be any of them.
        unknown = quotes
    if unknown:
        text = f"{text[: unknown[0]]}'{REDACTED}'{text[quotes[-1] + 1 :]}"
    return redact_text(_NUMBER.sub(rf"\g<1>{REDACTED}", text))
