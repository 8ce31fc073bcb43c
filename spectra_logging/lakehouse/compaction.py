"""Merging a table's small data files, in one commit that gives way to any other.

delta-rs's own ``optimize.compact`` is not used: it commits over another compaction of the same
files, and then every row of them is in the table twice. Its conflict check passes over files that
were removed without a change of data, and it takes no limit of retries. Here nothing is committed
unless the table is still at the version that the plan was made for.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from arro3.core import DataType, RecordBatch, Schema
from arro3.io import read_parquet, write_parquet
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from spectra_logging.errors import LakehouseError
from spectra_logging.lakehouse.arrow import reader_of
from spectra_logging.lakehouse.conform import conform
from spectra_logging.lakehouse.data_files import DataFile, data_files, merged_statistics
from spectra_logging.lakehouse.protocol import has_plain_files
from spectra_logging.lakehouse.staging import NO_HOOKS

if TYPE_CHECKING:
    from deltalake._internal import DeltaFileSystemHandler

__all__ = ["compact", "files_to_merge"]

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


def compact(delta: DeltaTable, storage_options: Mapping[str, str]) -> int:
    """Merge small files of a table's newest version, if there are enough of them.

    Returns:
        How many files were merged into one. 0 also when somebody else has committed meanwhile,
        and for tables that this does not compact: partitioned ones, and those whose files bear
        marks of Delta's later features.
    """
    if not has_plain_files(delta) or delta.metadata().partition_columns:
        return 0
    files = [file for file in data_files(delta) if _is_nameable(file.path)]
    store = _store(delta, storage_options, files)
    schema = delta.schema().to_arrow()
    files = _chosen(store, files, schema)
    if not files:
        return 0
    merged, row_count = _merged(store, files, schema)
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


def _chosen(
    store: DeltaFileSystemHandler, files: Sequence[DataFile], schema: Schema
) -> list[DataFile]:
    """The files to merge now, of those whose every value can be read."""
    while True:
        chosen = files_to_merge(files)
        unreadable = {file.path for file in chosen if _may_wrap_times(store, file, schema)}
        if not unreadable:
            return chosen
        files = [file for file in files if file.path not in unreadable]


def _may_wrap_times(store: DeltaFileSystemHandler, file: DataFile, schema: Schema) -> bool:
    """Whether a file may hold times that would be read as other ones.

    Parquet's INT96, which Spark writes by default, is read as nanoseconds in 64 bits: from 1677 to
    2262. Of most such files the log tells that they hold none beyond.
    """
    doubtful = [
        name
        for name in schema.names
        if "Timestamp(" in str(schema.field(name).type)
        and not file.statistics.holds_no_year_beyond(name, 1678, 2261)
    ]
    if not doubtful:
        return False
    # Of the file no more than its footer is read.
    content: Any = store.open_input_file(file.path)
    written = read_parquet(content).schema
    return any(
        "Timestamp(ns" in str(written.field(name).type)
        for name in doubtful
        if name in written.names
    )


def _store(
    delta: DeltaTable, storage_options: Mapping[str, str], files: Sequence[DataFile]
) -> DeltaFileSystemHandler:
    # The public DeltaStorageHandler is this one in pyarrow's clothes, and can't be had without it.
    # Imported only now: if a later deltalake moves it, compaction fails and says so, not logging.
    from deltalake._internal import DeltaFileSystemHandler

    # With the sizes: it would ask the store for each, and hold the GIL until there is an answer.
    sizes = {file.path: file.size_bytes for file in files}
    return DeltaFileSystemHandler.from_table(delta._table, dict(storage_options), sizes)  # noqa: SLF001


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
