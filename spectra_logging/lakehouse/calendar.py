"""What engines count since 1970 as Python's dates and times, and as texts where Python has none."""

from __future__ import annotations

import datetime as dt

__all__ = ["date_of", "moment_of"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_DAY = 86_400_000_000
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097
"""After so many years the calendar is the same again."""


def date_of(days: int | None) -> dt.date | str | None:
    """The date so many days after 1970 began.

    Python's years are those from 1 to 9999, Delta's some more. Of others a date is a text, as
    ISO 8601 has it: ``+12024-02-29``.
    """
    if days is None:
        return None
    try:
        return _EPOCH.date() + dt.timedelta(days)
    except OverflowError:
        cycles, days = divmod(days, _CYCLE_DAYS)
        like = _EPOCH.date() + dt.timedelta(days)
        year = like.year + cycles * _CYCLE_YEARS
        return f"{year:+05}-{like:%m-%d}" if year else f"0000-{like:%m-%d}"


def moment_of(microseconds: int | None) -> dt.datetime | str | None:
    """The moment so many microseconds after 1970 began, in UTC: see :func:`date_of`."""
    if microseconds is None:
        return None
    try:
        return _EPOCH + dt.timedelta(microseconds=microseconds)
    except OverflowError:
        days, rest = divmod(microseconds, _DAY)
        return f"{date_of(days)}T{(_EPOCH + dt.timedelta(microseconds=rest)).time()}Z"
