"""Merging a table's small data files, in one commit that gives way to any other.

delta-rs's own ``optimize.compact`` is not used: it commits over another compaction of the same
files, and then every row of them is in the table twice. Its conflict check passes over files that
were removed without a change of data, and it takes no limit of retries. Here nothing is committed
unless the table is still at the version that the plan was made for.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from arro3.core import DataType, RecordBatch, Schema
from arro3.io import read_parquet, write_parquet
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from spectra_logging.errors import LakehouseError
from spectra_logging.lakehouse.arrow import conform, reader_of
from spectra_logging.lakehouse.staging import NO_HOOKS

if TYPE_CHECKING:
    from deltalake._internal import DeltaFileSystemHandler

__all__ = ["DataFile", "Statistics", "compact", "files_to_merge", "merged_statistics"]

FULL_FILE_BYTES = 16 << 20
"""A merged file holds no more than this, since it is made in memory."""

FULL_FILE_ROWS = 250_000
"""Nor more rows than this: log lines repeat themselves, and a small file may hold a great many,
all of which are unpacked when it is merged in turn."""

FILES_A_TIER = 8
"""So many files of about one size are merged into one of the next, which is eight times as large.

So a row is rewritten once a size and not once a round, three times in all however large the table
grows, and small files stay few.
"""

SMALLEST_TIER_BYTES = 128 << 10


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What the log says of a data file's columns, by column; a column may be missing."""

    row_count: int | None = None
    minima: Mapping[str, Any] = field(default_factory=dict)
    maxima: Mapping[str, Any] = field(default_factory=dict)
    null_counts: Mapping[str, int | None] = field(default_factory=dict)


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


def compact(delta: DeltaTable, storage_options: Mapping[str, str]) -> int:
    """Merge small files of a table's newest version, if there are enough of them.

    Returns:
        How many files were merged into one. 0 also when somebody else has committed meanwhile,
        and for tables that this does not compact: partitioned ones, and those with Delta features
        beyond writer version 2, such as deletion vectors.
    """
    protocol = delta.protocol()
    plain = protocol.min_reader_version == 1 and protocol.min_writer_version <= 2
    if not plain or delta.metadata().partition_columns:
        return 0
    files = files_to_merge([file for file in _data_files(delta) if _is_nameable(file.path)])
    if not files:
        return 0
    store = _store(delta, storage_options)
    merged, row_count = _merged(store, files, delta.schema().to_arrow())
    now_milliseconds = time.time_ns() // 1_000_000
    added = AddAction(
        path=f"part-00000-{uuid.uuid4()}-c000.zstd.parquet",
        size=len(merged),
        partition_values={},
        modification_time=now_milliseconds,
        data_change=False,
        stats=json.dumps(merged_statistics([file.statistics for file in files], row_count)),
    )
    removed = [
        RemoveAction(
            path=file.path,
            data_change=False,
            deletion_timestamp=now_milliseconds,
            size=file.size_bytes,
            partition_values={},
        )
        for file in files
    ]
    stream = store.open_output_stream(added.path)
    stream.write(merged)
    stream.close()  # type: ignore[attr-defined] # the stub forgot it
    try:
        delta.create_write_transaction(
            [added, *removed],
            mode="append",
            schema=delta.schema(),
            # A retry would commit on top of what others have done to these files meanwhile.
            commit_properties=CommitProperties(max_commit_retries=0),
            post_commithook_properties=NO_HOOKS,
        )
    except CommitFailedError:
        # The merged file stays, unused: a commit that took effect may be told as a failed one.
        return 0
    return len(files)


def _is_nameable(path: str) -> bool:
    """Whether a file's path is written in one way only.

    delta-rs gives paths as the log has them and encodes those that it is given: a file removed
    under another spelling would stay, and its rows be there twice. A clone's files are elsewhere.
    """
    return unquote(path) == path and "://" not in path and not path.startswith("/")


def _store(delta: DeltaTable, storage_options: Mapping[str, str]) -> DeltaFileSystemHandler:
    # The public DeltaStorageHandler is this one in pyarrow's clothes, and can't be had without it.
    # Imported only now: if a later deltalake moves it, compaction fails and says so, not logging.
    from deltalake._internal import DeltaFileSystemHandler

    return DeltaFileSystemHandler.from_table(delta._table, dict(storage_options))  # noqa: SLF001


def files_to_merge(files: Sequence[DataFile]) -> list[DataFile]:
    """The files to merge into one now, oldest first; none while there are few of any size."""
    tiers: dict[int, list[DataFile]] = {}
    for file in files:
        if _fullness(file) < 0.5:
            tiers.setdefault(_tier(file.size_bytes), []).append(file)
    chosen: list[DataFile] = []
    for _, tier in sorted(tiers.items()):
        # What is merged of the smaller ones will be one more of these.
        if len(tier) + bool(chosen) >= FILES_A_TIER:
            chosen += tier
        elif chosen:
            break
    chosen.sort(key=lambda file: (file.modified_at_milliseconds, file.path))
    fullness = 0.0
    for count, file in enumerate(chosen):
        fullness += _fullness(file)
        if fullness > 1.0:
            chosen = chosen[:count]
            break
    return chosen if len(chosen) > 1 else []


def _fullness(file: DataFile) -> float:
    """What part of a full file it is, by bytes or by rows."""
    rows = file.statistics.row_count or 0
    return max(file.size_bytes / FULL_FILE_BYTES, rows / FULL_FILE_ROWS)


def _tier(size_bytes: int) -> int:
    tier = 0
    while size_bytes >= SMALLEST_TIER_BYTES * FILES_A_TIER**tier:
        tier += 1
    return tier


def _data_files(delta: DeltaTable) -> list[DataFile]:
    actions = delta.get_add_actions()
    names = set(actions.column_names)

    def values(name: str) -> list[Any]:
        try:
            return actions.column(name).to_pylist() if name in names else [None] * actions.num_rows
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


def _merged(
    store: DeltaFileSystemHandler, files: Sequence[DataFile], schema: Schema
) -> tuple[bytes, int]:
    """One Parquet file with the rows of all, and how many they are."""
    failures: list[Exception] = []
    row_count = 0

    def batches() -> Iterator[RecordBatch]:
        nonlocal row_count
        try:
            for file in files:
                content = store.open_input_file(file.path).read(file.size_bytes)
                rows = read_parquet(io.BytesIO(content)).read_all()
                row_count += rows.num_rows
                yield from conform(rows, schema).to_batches()
        except Exception as error:  # noqa: BLE001 - arro3 would make another of it
            failures.append(error)

    merged = io.BytesIO()
    write_parquet(
        # As a stream, so that no more than one of the files is unpacked at a time.
        reader_of(schema, batches()),
        merged,
        compression="zstd(1)",
        # Timestamps hardly ever repeat, and files are smaller without a dictionary of them.
        column_dictionary_enabled={
            name: not DataType.is_timestamp(schema.field(name).type) for name in schema.names
        },
    )
    if failures:
        raise failures[0]
    expected = [file.statistics.row_count for file in files]
    if None not in expected and sum(filter(None, expected)) != row_count:
        raise LakehouseError(f"files whose log says {expected} rows hold {row_count}")
    return merged.getvalue(), row_count


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
