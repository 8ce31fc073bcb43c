"""Data files made beside a table, and moved into it when they are whole.

delta-rs writes Parquet and the statistics of its columns, but not without a commit. So rows become
a small table of their own, in a folder within the table's whose name hides it from readers, and
its files and their ``add`` actions are taken from there as they are.

That may be done ahead of the commit: parsing JSON takes longer than all the rest of it, and one
stream of it runs on one core.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import msgspec
from deltalake import ColumnProperties, PostCommitHookProperties, WriterProperties, write_deltalake

from spectra_logging.lakehouse.arrow import arrow_schema, in_order, stream_rows
from spectra_logging.tables import Column, TableSpec

__all__ = ["NO_HOOKS", "StagedFile", "StagedRows", "clear_abandoned", "stage", "writer_properties"]

ABANDONED_AFTER_SECONDS = 86_400.0

_PREFIX = "_spectra-"
_NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{32}}")

NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
"""The writer does these in its upkeep, not in the midst of a commit."""


class _Add(msgspec.Struct):
    path: str


class _Action(msgspec.Struct):
    """A line of a log entry, as far as it tells of a data file."""

    add: _Add | None = None


_action = msgspec.json.Decoder(_Action)


@dataclass(frozen=True)
class StagedFile:
    """A data file that is no part of its table yet.

    Args:
        path: Where it is.
        add: The action that adds it to a table, as a line of a log entry.
    """

    path: Path
    add: bytes


@dataclass(frozen=True)
class StagedRows:
    """Rows as data files that are no part of their table yet.

    Args:
        place: The folder that they are in.
        files: The files; few rows are one.
        columns: The table's columns when they were made.
    """

    place: Path
    files: tuple[StagedFile, ...]
    columns: tuple[Column, ...]

    def discard(self) -> None:
        """Remove what was not moved into the table."""
        shutil.rmtree(self.place, ignore_errors=True)


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


def clear_abandoned(table_folder: Path) -> None:
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


def stage(
    table_folder: Path,
    rows: bytes,
    spec: TableSpec,
    columns: tuple[Column, ...],
    configuration: Mapping[str, str],
) -> StagedRows:
    """Write rows as Parquet, into a folder below the table's that readers pass over.

    Args:
        table_folder: The table's folder.
        rows: Newline-delimited JSON.
        spec: The rows' columns, all of which the table has.
        columns: The table's columns.
        configuration: Its properties; those that say which statistics to keep are heeded.
    """
    # Nulls are as the spec has them: columns that were added later may hold some in the table.
    # Columns that only the table has are null where a file lacks them.
    schema = in_order(arrow_schema(spec.columns), [column.name for column in columns])
    statistics = {
        name: value
        for name, value in configuration.items()
        if name.startswith("delta.dataSkipping")
    }
    place = table_folder / f"{_PREFIX}{uuid.uuid4().hex}"
    place.mkdir()
    if not rows:
        return StagedRows(place, (), columns)
    try:
        write_deltalake(
            str(place / "0"),
            # As a stream: while arro3 parses by itself it holds the GIL; delta-rs lets it go.
            stream_rows(rows, schema),
            mode="error",
            configuration=statistics,
            writer_properties=writer_properties(spec),
            post_commithook_properties=NO_HOOKS,
        )
        return StagedRows(place, tuple(_files_of(place / "0")), columns)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _files_of(small_table: Path) -> Iterator[StagedFile]:
    entry = (small_table / "_delta_log" / f"{0:020}.json").read_bytes()
    for line in entry.split(b"\n"):
        action = _action.decode(line) if line else _Action()
        if action.add:
            yield StagedFile(small_table / unquote(action.add.path), line)
