"""Data files made beside a table, and moved into it when they are whole.

delta-rs writes Parquet and the statistics of its columns, but not without a commit. So each slice
of the rows becomes a small table of its own, in a folder within the table's whose name hides it
from readers, and its files and their ``add`` actions are taken from there as they are.

The slices are parsed and written side by side: parsing JSON takes longer than all the rest of a
commit, and one stream of it runs on one core.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import msgspec
from arro3.core import Schema
from deltalake import ColumnProperties, PostCommitHookProperties, WriterProperties, write_deltalake

from spectra_logging.lakehouse.arrow import stream_rows
from spectra_logging.parallel import call_all, usable_cores
from spectra_logging.tables import TableSpec

__all__ = ["StagedFile", "clear_workshops", "slices_of", "stage", "workshop", "writer_properties"]

SLICE_BYTES = 2 << 20
"""Fewer are not worth a file of their own."""

MOST_SLICES = 4
"""The program that logs needs cores too."""

ABANDONED_AFTER_SECONDS = 86_400.0

_PREFIX = "_spectra-"
_NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")

_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


class _Add(msgspec.Struct):
    path: str


class _Action(msgspec.Struct):
    """A line of a log entry, as far as it tells of a data file."""

    add: _Add | None = None


@dataclass(frozen=True)
class StagedFile:
    """A data file that is no part of its table yet.

    Args:
        path: Where it is.
        add: The action that adds it to a table, as a line of a log entry.
    """

    path: Path
    add: bytes


def writer_properties(spec: TableSpec | None = None) -> WriterProperties:
    """How Parquet is written.

    zstd makes files a third smaller than snappy, delta-rs's default, in the same time. Columns that
    hardly ever repeat a value get no dictionary: a log's files are smaller without, and sooner
    written.
    """
    unique = () if spec is None else _hardly_repeating(spec)
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        column_properties={name: ColumnProperties(dictionary_enabled=False) for name in unique},
    )


def _hardly_repeating(spec: TableSpec) -> set[str]:
    timestamps = {column.name for column in spec.columns if column.type == "timestamp"}
    return timestamps | set(spec.keys) | ({spec.json_column} if spec.json_column else set())


@contextmanager
def workshop(table_folder: Path) -> Iterator[Path]:
    """A folder below a table's, hidden from readers, that goes when it is left."""
    folder = table_folder / f"{_PREFIX}{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_workshops(table_folder: Path) -> None:
    """Remove what killed processes left, once nobody can still be at it."""
    for folder in table_folder.glob(f"{_PREFIX}*"):
        if _NAME.fullmatch(folder.name) and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    try:
        return folder.stat().st_mtime < time.time() - ABANDONED_AFTER_SECONDS
    except FileNotFoundError:
        # Its owner was at it, and has left since it was listed.
        return False


def slices_of(rows: bytes) -> list[memoryview]:
    """Rows in parts of about one size, as many as can be written side by side; none is copied."""
    count = min(usable_cores(), MOST_SLICES, len(rows) // SLICE_BYTES)
    view = memoryview(rows)
    if count < 2:
        return [view] if rows else []
    cuts = [rows.find(b"\n", len(rows) * number // count) + 1 for number in range(1, count)]
    ends = sorted({cut or len(rows) for cut in cuts} | {len(rows)})
    return [view[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def stage(
    place: Path,
    rows: Sequence[memoryview],
    schema: Schema,
    spec: TableSpec,
    configuration: Mapping[str, str],
) -> list[StagedFile]:
    """Write slices of rows as Parquet, each into a folder of its own.

    Args:
        place: The folder to make those in.
        rows: The slices, as newline-delimited JSON.
        schema: The columns, in the table's order.
        spec: Their spec.
        configuration: The table's properties; those that say which statistics to keep are heeded.
    """
    statistics = {
        name: value
        for name, value in configuration.items()
        if name.startswith("delta.dataSkipping")
    }

    def write(folder: Path, data: memoryview) -> list[StagedFile]:
        write_deltalake(
            str(folder),
            # As a stream: while arro3 parses by itself it holds the GIL; delta-rs lets it go.
            stream_rows(data, schema),
            mode="error",
            configuration=statistics,
            writer_properties=writer_properties(spec),
            post_commithook_properties=_NO_HOOKS,
        )
        entry = (folder / "_delta_log" / f"{0:020}.json").read_bytes()
        lines = [line for line in entry.split(b"\n") if line]
        actions = [msgspec.json.decode(line, type=_Action) for line in lines]
        return [
            StagedFile(folder / unquote(action.add.path), line)
            for line, action in zip(lines, actions, strict=True)
            if action.add
        ]

    parts = call_all(
        [partial(write, place / str(number), data) for number, data in enumerate(rows)]
    )
    return [file for part in parts for file in part]
