"""The SQL that an engine speaks, where engines differ."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Protocol

__all__ = ["DATAFUSION", "SPARK", "Dialect", "condition_of"]


class Dialect(Protocol):
    r"""How to write in an engine's SQL what each engine writes its own way.

    Patterns mean the same everywhere: Unicode classes, ``.`` is anything but ``\n``, ``\A`` and
    ``\z`` are the text's ends, and there are no look-arounds and no back-references.
    """

    backtracks: bool
    """Whether its regular expressions can take a deep stack or a long time."""

    def quote(self, identifier: str) -> str:
        """A column's or table's name, quoted, in exactly this spelling."""

    def text(self, value: str) -> str:
        """A text as a literal."""

    def texts(self, values: Sequence[str]) -> str:
        """An array of texts, with NULL as its last element."""

    def matches(self, expression: str, pattern: str) -> str:
        """Whether the pattern is found somewhere in a text."""

    def replace_all(self, expression: str, pattern: str, replacement: str) -> str:
        """A text with each match of a pattern replaced by a text of letters."""

    def moment(self, moment: dt.datetime, *, zoned: bool) -> str:
        """A moment as a literal for a column of timestamps, with a zone or without."""

    def at_greatest(self, expression: str, order: str) -> str:
        """An aggregate: the expression's value in the row where another is the greatest.

        Null where that is null in all rows.
        """

    def array_of(self, expression: str) -> str:
        """An aggregate: the expression's values, in any order."""

    def utc_midnight(self, expression: str) -> str:
        """A date as the timestamp at which it begins in UTC, whatever the session's time zone."""


def _in_utc(moment: dt.datetime) -> str:
    utc = moment.astimezone(dt.timezone.utc).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds")


class _DataFusion:
    backtracks = False

    def quote(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'

    def text(self, value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    def texts(self, values: Sequence[str]) -> str:
        return f"make_array({', '.join(map(self.text, values))}, NULL)"

    def matches(self, expression: str, pattern: str) -> str:
        return f"regexp_like({expression}, {self.text(pattern)})"

    def replace_all(self, expression: str, pattern: str, replacement: str) -> str:
        return f"regexp_replace({expression}, {self.text(pattern)}, {self.text(replacement)}, 'g')"

    def moment(self, moment: dt.datetime, *, zoned: bool) -> str:
        # TIMESTAMP '…' counts nanoseconds, of which there are too few before 1677 and after 2262.
        zone = 'Some("UTC")' if zoned else "None"
        text = f"'{_in_utc(moment)}{'Z' if zoned else ''}'"
        return f"arrow_cast({text}, 'Timestamp(Microsecond, {zone})')"

    def at_greatest(self, expression: str, order: str) -> str:
        known = f"CASE WHEN {order} IS NOT NULL THEN {expression} END"
        return f"first_value({known} ORDER BY {order} DESC NULLS LAST)"

    def array_of(self, expression: str) -> str:
        return f"array_agg({expression})"

    def utc_midnight(self, expression: str) -> str:
        return f"arrow_cast({expression}, 'Timestamp(Microsecond, Some(\"UTC\"))')"


class _Spark:
    backtracks = True
    # As Rust has them: Unicode classes, and \n as the one end of a line.
    flags = "(?dU)"

    def quote(self, identifier: str) -> str:
        return "`" + identifier.replace("`", "``") + "`"

    def text(self, value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def texts(self, values: Sequence[str]) -> str:
        return f"array({', '.join(map(self.text, values))}, NULL)"

    def matches(self, expression: str, pattern: str) -> str:
        return f"regexp_like({expression}, {self.text(self.flags + pattern)})"

    def replace_all(self, expression: str, pattern: str, replacement: str) -> str:
        pattern = self.flags + pattern
        return f"regexp_replace({expression}, {self.text(pattern)}, {self.text(replacement)})"

    def moment(self, moment: dt.datetime, *, zoned: bool) -> str:
        kind = "TIMESTAMP_LTZ" if zoned else "TIMESTAMP_NTZ"
        return f"{kind} '{_in_utc(moment)}{'Z' if zoned else ''}'"

    def at_greatest(self, expression: str, order: str) -> str:
        return f"max_by({expression}, {order})"

    def array_of(self, expression: str) -> str:
        return f"collect_list({expression})"

    def utc_midnight(self, expression: str) -> str:
        return f"CAST(concat(CAST({expression} AS STRING), 'T00:00:00Z') AS TIMESTAMP)"


def condition_of(values: Mapping[str, str] | None, dialect: Dialect) -> str | None:
    """That columns have these texts, as SQL; ``None`` where there are none."""
    equal = (
        f"{dialect.quote(name)} = {dialect.text(text)}" for name, text in (values or {}).items()
    )
    return " AND ".join(equal) or None


DATAFUSION: Dialect = _DataFusion()
"""Of the embedded engine."""

SPARK: Dialect = _Spark()
"""Of Spark, in a session without ``spark.sql.parser.escapedStringLiterals``, as ours are."""
