"""The embedded engine: delta-rs in this process, no JVM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from arro3.core import Table
from deltalake import (
    CommitProperties,
    DeltaTable,
    QueryBuilder,
    write_deltalake,
)
from deltalake import Schema as DeltaSchema
from deltalake import Transaction as DeltaTransaction
from deltalake.exceptions import CommitFailedError

from spectra_logging.errors import (
    LakehouseError,
    RowsRejectedError,
    TableNotFoundError,
    TableUnavailableError,
    UnsupportedFeaturesError,
)
from spectra_logging.lakehouse.arrow import (
    arrow_schema,
    in_order,
    python_values,
    read_rows,
    stream_rows,
)
from spectra_logging.lakehouse.base import (
    ArrowStream,
    Commit,
    Lakehouse,
    QueryResult,
    Staged,
    Stager,
    TableChange,
    Transaction,
    UpkeepReport,
    check_write,
)
from spectra_logging.lakehouse.clean_up import CleanUp
from spectra_logging.lakehouse.compaction import compact
from spectra_logging.lakehouse.conform import as_table, conform
from spectra_logging.lakehouse.constraints import split_by_constraints, why_elements_are_refused
from spectra_logging.lakehouse.delta_schema import columns_of, delta_field, has_variants
from spectra_logging.lakehouse.dialect import DATAFUSION, condition_of
from spectra_logging.lakehouse.local_append import append_rows
from spectra_logging.lakehouse.opened import OpenTables
from spectra_logging.lakehouse.protocol import is_plain
from spectra_logging.lakehouse.schemas import missing_columns
from spectra_logging.lakehouse.staging import (
    NO_HOOKS,
    StagedRows,
    stage,
    writer_properties,
)
from spectra_logging.lakehouse.storage import StorageAccess
from spectra_logging.lakehouse.stored import typed
from spectra_logging.lakehouse.translation import translated
from spectra_logging.tables import Column, TableSpec

__all__ = ["EmbeddedLakehouse"]

ATTEMPTS = 10
"""How often a change is planned anew when another process's commit came first."""

# For changes that are not appends. A retry of delta-rs's own would create a table a second time on
# top of another process's, and overwrite without removing what a compaction has merged meanwhile.
_NO_RETRY = CommitProperties(max_commit_retries=0)

# Spark writes timestamps as INT96 by default, of which DataFusion makes nanoseconds in 64 bits:
# these are from 1677 to 2262, and other times are read as some in between.
_EVERY_YEAR = "SET datafusion.execution.parquet.coerce_int96 = 'us'"

_T = TypeVar("_T")


class EmbeddedLakehouse(Lakehouse):
    """Delta tables through delta-rs.

    Args:
        storage_options: Options of the object store, as delta-rs takes them.

    Raises:
        ConfigurationError: An option is no text, or one with which nothing is written safely.
    """

    engine = "deltalake"

    def __init__(self, storage_options: Mapping[str, str] | None = None) -> None:
        self._storage = StorageAccess(storage_options)
        self._tables = OpenTables(self._storage)
        self._upkept_versions: dict[str, int] = {}
        self._clean_up = CleanUp()

    def exists(self, table: str) -> bool:
        """Whether a Delta table can be opened there."""
        try:
            self._tables.current(table)
        except TableNotFoundError:
            return False
        return True

    def schema(self, table: str) -> tuple[Column, ...]:
        """The table's columns, in order, with their comments."""
        return columns_of(self._tables.current(table).schema())

    def version(self, table: str) -> int:
        """The table's newest version."""
        return self._tables.current(table).version()

    def is_plain(self, table: str) -> bool:
        """Whether the table's newest version has none of Delta's later features."""
        delta = self._tables.current(table)
        with translated(table):
            return is_plain(delta)

    def size_bytes(self, table: str) -> int:
        """What the data files of the table's newest version take up."""
        delta = self._tables.current(table)
        with translated(table):
            return sum(delta.get_add_actions().column("size_bytes").to_pylist())

    def ensure(self, table: str, spec: TableSpec) -> TableChange:
        """Create the table with the spec's properties and comments, or add what it lacks."""
        return self._until_committed(lambda: self._converge(table, spec))

    def stager(self, table: str, spec: TableSpec) -> Stager | None:
        """What writes data files ahead of their append, on a file system."""
        log = self._tables.log(table)
        if log is None or missing_columns(table, log.columns, spec):
            return None
        # Not the log itself: it is this thread's.
        folder, columns, configuration = log.folder.parent, log.columns, log.configuration
        return lambda rows: stage(folder, rows, spec, columns, configuration)

    def append(
        self,
        table: str,
        rows: bytes,
        spec: TableSpec,
        *,
        transaction: Transaction,
        staged: Staged | None = None,
    ) -> Commit:
        """Append rows as one commit, which carries the transaction, unless the table has it."""
        attempts = 0

        def attempt() -> Commit:
            nonlocal attempts
            attempts += 1
            # An attempt that fails may have moved the staged files: the next writes its own.
            unused = staged if attempts == 1 and isinstance(staged, StagedRows) else None
            commit = self._append_once(table, rows, spec, transaction, unused)
            # Of an attempt that fails nobody knows whether it has committed.
            return commit if attempts == 1 else replace(commit, found=False)

        try:
            commit = self._until_committed(attempt)
        except LakehouseError:
            # delta-rs tells of a row that can't be read as of any other failure.
            _check_rows(rows, spec)
            raise
        if commit.replayed:
            # Rows that the table can't take are to be told of in a replay too.
            _check_rows(rows, spec)
            self._check_constraints(table, rows, spec)
        return commit

    def split_refused(
        self, table: str, rows: bytes, spec: TableSpec
    ) -> tuple[bytes, list[tuple[bytes, str]]]:
        """Tell the rows that the table takes from those that its constraints keep out."""
        delta = self._tables.current(table)
        with translated(table):
            return split_by_constraints(delta, rows, spec)

    def transaction_version(self, table: str, application_id: str) -> int | None:
        """The newest version in the table's log under that application id."""
        delta = self._tables.current(table)
        with translated(table):
            return delta.transaction_version(application_id)

    def recent_commits(self, table: str, count: int) -> list[tuple[int, str | None]]:
        """The newest commits, newest first: version, and what its writer said of it."""
        delta = self._tables.current(table)
        with translated(table):
            return [
                (int(commit["version"]), commit.get("userMetadata"))
                for commit in delta.history(count)
            ]

    def write(
        self,
        table: str,
        data: ArrowStream | Sequence[Mapping[str, Any]],
        *,
        spec: TableSpec | None = None,
        mode: str = "overwrite",
        replacing: Mapping[str, str] | None = None,
    ) -> int:
        """Write a whole data set; overwriting without a spec also replaces the columns."""
        check_write(mode, replacing)
        with translated(table):
            rows = as_table(table, data, spec)
        where = condition_of(replacing, DATAFUSION)
        return self._until_committed(lambda: self._write_once(table, rows, spec, mode, where))

    def query(
        self, sql: str, tables: Mapping[str, str], *, versions: Mapping[str, int] | None = None
    ) -> QueryResult:
        """Run one SQL statement in DataFusion, whose names of columns heed their case."""
        builder = QueryBuilder()
        with translated("the query"):
            builder.execute(_EVERY_YEAR)
        for name, table in tables.items():
            delta = self._at_version(table, (versions or {}).get(name))
            # Quoted, else it would be taken apart at dots and put in lower case.
            with translated(table):
                builder.register('"' + name.replace('"', '""') + '"', delta)
        with translated(", ".join(tables.values()) or "the query"):
            result = builder.execute(sql).read_all()
            columns = [python_values(result.column(name)) for name in result.column_names]
        rows = zip(*columns, strict=True)
        return QueryResult(columns=tuple(result.column_names), rows=tuple(rows))

    def register(self, table: str, name: str) -> bool:  # noqa: ARG002 - there is no metastore
        """``False``: tables are found by their place."""
        return False

    def upkeep(self, table: str) -> UpkeepReport:
        """Compact and checkpoint; once an hour also remove what has expired."""
        delta = self._tables.current(table)
        if self._upkept_versions.get(table) == delta.version():
            return UpkeepReport()
        try:
            with self._changing(table):
                compacted = compact(delta, self._storage.options(table))
        finally:
            # Small files cost readers time; a log without checkpoints costs everybody more and
            # more.
            delta = self._tables.current(table)
            with self._changing(table):
                delta.create_checkpoint()
                vacuumed = self._clean_up.run(table, delta)
        self._upkept_versions[table] = self._tables.current(table).version()
        return UpkeepReport(compacted_files=compacted, checkpointed=True, vacuumed_files=vacuumed)

    def _at_version(self, table: str, version: int | None) -> DeltaTable:
        current = self._tables.current(table)
        if version is None or version == current.version():
            return current
        return self._tables.at_version(table, version)

    def _converge(self, table: str, spec: TableSpec) -> TableChange:
        try:
            delta = self._tables.current(table)
        except TableNotFoundError:
            try:
                self._create(table, spec)
            except LakehouseError:
                # Another process may have created it this very moment.
                if not self.exists(table):
                    raise
                return self._converge(table, spec)
            return TableChange(created=True)
        missing = missing_columns(table, columns_of(delta.schema()), spec)
        if missing:
            with self._changing(table):
                delta.alter.add_columns(
                    [delta_field(column, nullable=True) for column in missing],
                    post_commithook_properties=NO_HOOKS,
                )
        return TableChange(added_columns=tuple(column.name for column in missing))

    def _create(self, table: str, spec: TableSpec) -> None:
        fields = [delta_field(column, nullable=column.nullable) for column in spec.columns]
        with self._changing(table):
            DeltaTable.create(
                table,
                DeltaSchema(fields),
                name=spec.name,
                description=spec.comment,
                configuration=dict(spec.properties),
                storage_options=self._storage.options(table),
                commit_properties=_NO_RETRY,
            )

    def _append_once(
        self,
        table: str,
        rows: bytes,
        spec: TableSpec,
        transaction: Transaction,
        staged: StagedRows | None,
    ) -> Commit:
        log = self._tables.log(table)
        if log and missing_columns(table, log.columns, spec):
            self._converge(table, spec)
            log = self._tables.log(table)
        if log is None:
            return self._append_by_delta_rs(table, rows, spec, transaction)
        with self._changing(table):
            return append_rows(log, rows, spec, transaction, staged)

    def _append_by_delta_rs(
        self, table: str, rows: bytes, spec: TableSpec, transaction: Transaction
    ) -> Commit:
        delta = self._tables.current(table)
        # Merging schemas, delta-rs would declare them structures, and Spark read no row any more.
        if has_variants(delta.schema()):
            raise UnsupportedFeaturesError(table, "appends beside columns of type variant")
        # delta-rs refuses a transaction that another process commits between this look and its own
        # commit, but takes one that the table had before.
        with translated(table):
            seen = delta.transaction_version(transaction.application_id)
        if seen is not None and seen >= transaction.version:
            return Commit(version=delta.version(), replayed=True, found=True)
        if missing_columns(table, columns_of(delta.schema()), spec):
            self._converge(table, spec)
            delta = self._tables.current(table)
        # delta-rs would write them, and could not read the table any more.
        if reason := why_elements_are_refused(delta, rows):
            raise RowsRejectedError(f"{table} refuses rows: {reason}")
        # Nulls are as the spec has them: columns that were added later may hold some in the table.
        schema = in_order(arrow_schema(spec.columns), delta.schema().to_arrow().names)
        marks = [DeltaTransaction(transaction.application_id, transaction.version)]
        with self._changing(table):
            write_deltalake(
                delta,
                stream_rows(rows, schema),
                mode="append",
                # Columns that only the table has become null.
                schema_mode="merge",
                writer_properties=writer_properties(spec),
                commit_properties=CommitProperties(app_transactions=marks),
                post_commithook_properties=NO_HOOKS,
            )
        return Commit(version=delta.version())

    def _write_once(
        self, table: str, rows: Table, spec: TableSpec | None, mode: str, where: str | None
    ) -> int:
        if spec is not None:
            self._converge(table, spec)
        try:
            target: DeltaTable | str = self._tables.current(table)
        except TableNotFoundError:
            target = table
        new_columns = spec is None and mode == "overwrite" and where is None
        if isinstance(target, DeltaTable) and not new_columns:
            rows = conform(rows, target.schema().to_arrow())
        else:
            rows = typed(rows)
        appends = mode == "append" and isinstance(target, DeltaTable)
        with self._changing(table):
            write_deltalake(
                target,
                rows,
                mode=mode,  # type: ignore[call-overload] # checked above
                schema_mode="overwrite" if new_columns else None,
                predicate=where if isinstance(target, DeltaTable) else None,
                storage_options=self._storage.options(table),
                writer_properties=writer_properties(spec),
                commit_properties=None if appends else _NO_RETRY,
                post_commithook_properties=NO_HOOKS,
            )
        return self._tables.current(table).version()

    def _until_committed(self, change: Callable[[], _T]) -> _T:
        """Make a change, anew from the newest version whenever another commit came first."""
        for _ in range(ATTEMPTS - 1):
            try:
                return change()
            except TableUnavailableError as error:
                if not isinstance(error.__cause__, CommitFailedError):
                    raise
        return change()

    @contextmanager
    def _changing(self, table: str) -> Iterator[None]:
        """A change to a table: when it fails, what is known of the table is forgotten."""
        try:
            with translated(table):
                yield
        except BaseException:
            self._tables.forget(table)
            raise


def _check_rows(rows: bytes, spec: TableSpec) -> None:
    """Raise ``RowsRejectedError`` when rows can't be read as they are when they are written."""
    read_rows(rows, arrow_schema(spec.columns))
