"""What a table's log says of its data files, and what it is to say of one merged from several."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deltalake import DeltaTable

__all__ = ["DataFile", "Statistics", "data_files", "merged_statistics"]


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What the log says of a data file's columns, by column; a column may be missing."""

    row_count: int | None = None
    minima: Mapping[str, Any] = field(default_factory=dict)
    maxima: Mapping[str, Any] = field(default_factory=dict)
    null_counts: Mapping[str, int | None] = field(default_factory=dict)

    def holds_no_year_beyond(self, column: str, first: int, last: int) -> bool:
        """Whether it is known of a timestamp column that its values lie within these years."""
        if self.row_count is not None and self.null_counts.get(column) == self.row_count:
            return True
        bounds = self.minima.get(column), self.maxima.get(column)
        return all(isinstance(b, dt.datetime) and first <= b.year <= last for b in bounds)


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A data file of a table, as its log describes it.

    Args:
        path: Where it is, as the log writes it: a blank in its name is ``%20``.
        size_bytes: Its size.
        modified_at_milliseconds: When it was made, since 1970.
        statistics: What is in it.
    """

    path: str
    size_bytes: int
    modified_at_milliseconds: int = 0
    statistics: Statistics = Statistics()


def data_files(delta: DeltaTable) -> list[DataFile]:
    """The data files of a table's version, in any order."""
    actions = delta.get_add_actions()
    names = set(actions.column_names)

    def values(name: str) -> list[Any]:
        try:
            found = actions.column(name).to_pylist() if name in names else [None] * actions.num_rows
            return list(found)
        except ValueError:  # A timestamp beyond Python's: merge without bounds.
            return [None] * actions.num_rows

    return [
        DataFile(
            path=path,
            size_bytes=size_bytes,
            modified_at_milliseconds=modified,
            statistics=Statistics(
                row_count=row_count,
                minima=minima or {},
                maxima=maxima or {},
                null_counts=null_counts or {},
            ),
        )
        for path, size_bytes, modified, row_count, minima, maxima, null_counts in zip(
            values("path"),
            values("size_bytes"),
            values("modification_time"),
            values("num_records"),
            values("min"),
            values("max"),
            values("null_count"),
            strict=True,
        )
    ]


def merged_statistics(parts: Sequence[Statistics], row_count: int) -> dict[str, Any]:
    """Delta's statistics of a file that holds the rows of several, from theirs.

    A column has a bound only when each part has one for it or holds nothing but nulls there. Of a
    structure's fields, which are counted each by itself, nothing is said.
    """
    null_counts = {
        name: sum(part.null_counts[name] or 0 for part in parts)
        for name in parts[0].null_counts
        if all(isinstance(part.null_counts.get(name), int) for part in parts)
    }
    statistics: dict[str, Any] = {"numRecords": row_count, "nullCount": null_counts}
    for key, bounds, outermost in (
        ("minValues", [part.minima for part in parts], min),
        ("maxValues", [part.maxima for part in parts], max),
    ):
        statistics[key] = {}
        for name in null_counts:
            found: list[Any] = [
                bound.get(name)
                for bound, part in zip(bounds, parts, strict=True)
                if part.null_counts[name] != part.row_count
            ]
            texts = [_in_json(value) for value in found]
            if found and None not in texts:
                statistics[key][name] = _in_json(outermost(found))
    return statistics


def _in_json(value: object) -> str | int | float | bool | None:
    """A bound as Delta's log writes it; ``None`` for one that it does not hold."""
    if isinstance(value, dt.datetime):
        in_utc = value.astimezone(dt.timezone.utc).replace(tzinfo=None)
        return in_utc.isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int)) else None
