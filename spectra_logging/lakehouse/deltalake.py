"""The embedded engine: delta-rs in this process, no JVM."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    QueryBuilder,
    WriterProperties,
    write_deltalake,
)
from deltalake import Field as DeltaField
from deltalake import Schema as DeltaSchema
from deltalake import Transaction as DeltaTransaction
from deltalake.exceptions import SchemaMismatchError
from deltalake.exceptions import TableNotFoundError as DeltaTableNotFoundError
from deltalake.schema import ArrayType, PrimitiveType

from spectra_logging.errors import (
    ConfigurationError,
    LakehouseError,
    RowsRejectedError,
    SchemaConflictError,
    TableNotFoundError,
    TableUnavailableError,
)
from spectra_logging.lakehouse.arrow import read_rows, table_of
from spectra_logging.lakehouse.base import (
    ArrowStream,
    Commit,
    Lakehouse,
    QueryResult,
    TableChange,
    Transaction,
    UpkeepReport,
)
from spectra_logging.paths import is_uri
from spectra_logging.tables import Column, TableSpec

__all__ = ["EmbeddedLakehouse"]

COMPACTED_FILE_BYTES = 32 << 20
"""Files of this size are not compacted again, so that upkeep does not rewrite a growing table."""

VACUUM_EVERY_SECONDS = 3600.0

# The writer does this in its upkeep, not in the midst of an append.
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_COMPRESSED = WriterProperties(compression="ZSTD", compression_level=1)


class EmbeddedLakehouse(Lakehouse):
    """Delta tables through delta-rs.

    Args:
        storage_options: Options of the object store, as delta-rs takes them.
    """

    engine = "deltalake"

    def __init__(self, storage_options: Mapping[str, str] | None = None) -> None:
        self._storage_options = dict(storage_options or {})
        self._open: dict[str, tuple[DeltaTable, object]] = {}
        self._vacuumed_at_seconds: dict[str, float] = {}

    def exists(self, table: str) -> bool:
        try:
            self._current(table)
        except TableNotFoundError:
            return False
        return True

    def schema(self, table: str) -> tuple[Column, ...]:
        with _translated(table):
            fields = self._current(table).schema().fields
        return tuple(
            Column(
                name=field.name,
                type=_type_name(field.type),
                nullable=field.nullable,
                comment=str(field.metadata.get("comment", "")),
            )
            for field in fields
        )

    def ensure(self, table: str, spec: TableSpec) -> TableChange:
        for attempts_left in (2, 1, 0):
            try:
                return self._converge(table, spec)
            except TableUnavailableError:
                # Another process may have made the same change this very moment; then there is
                # nothing left to do, which looking again tells.
                if not attempts_left:
                    raise
        raise AssertionError("unreachable")

    def append(
        self, table: str, rows: bytes, spec: TableSpec, *, transaction: Transaction
    ) -> Commit:
        current = self._current(table)
        # delta-rs records the transaction but does not refuse a version it has seen.
        with self._changing(table):
            seen = current.transaction_version(transaction.application_id)
        if seen is not None and seen >= transaction.version:
            return Commit(version=current.version(), replayed=True)
        schema = current.schema()
        if not {column.name for column in spec.columns} <= {field.name for field in schema.fields}:
            self.ensure(table, spec)
            current = self._current(table)
            schema = current.schema()
        # By the table's schema rather than the spec's: columns that only it has become null.
        data = read_rows(rows, schema.to_arrow())
        properties = CommitProperties(
            app_transactions=[
                DeltaTransaction(transaction.application_id, transaction.version)
            ]
        )
        with self._changing(table):
            write_deltalake(
                current,
                data,
                mode="append",
                writer_properties=_COMPRESSED,
                commit_properties=properties,
                post_commithook_properties=_NO_HOOKS,
            )
        return Commit(version=current.version())

    def transaction_version(self, table: str, application_id: str) -> int | None:
        current = self._current(table)
        with _translated(table):
            return current.transaction_version(application_id)

    def write(
        self,
        table: str,
        data: ArrowStream | Sequence[Mapping[str, Any]],
        *,
        spec: TableSpec | None = None,
        mode: str = "overwrite",
    ) -> int:
        if mode not in ("overwrite", "append"):
            raise ConfigurationError(f"mode={mode!r} may be overwrite or append")
        if not hasattr(data, "__arrow_c_stream__"):
            if spec is None:
                raise ConfigurationError(
                    f"rows for {table} came as mappings, whose types only a spec can tell; pass spec="
                )
            data = table_of(data, spec.columns)
        if spec is not None:
            self.ensure(table, spec)
        target: DeltaTable | str = self._current(table) if self.exists(table) else table
        replaces_schema = mode == "overwrite" and spec is None
        with self._changing(table):
            write_deltalake(
                target,
                data,
                mode=mode,  # type: ignore[call-overload]
                schema_mode="overwrite" if replaces_schema else None,
                storage_options=self._storage_options,
                writer_properties=_COMPRESSED,
            )
        return self._current(table).version()

    def query(self, sql: str, tables: Mapping[str, str]) -> QueryResult:
        builder = QueryBuilder()
        for name, table in tables.items():
            builder.register(name, self._current(table))
        with _translated(", ".join(tables.values())):
            result = builder.execute(sql).read_all()
            columns = [result.column(name).to_pylist() for name in result.column_names]
        return QueryResult(
            columns=tuple(result.column_names), rows=tuple(zip(*columns, strict=True))
        )

    def register(self, table: str, name: str) -> bool:
        return False

    def upkeep(self, table: str) -> UpkeepReport:
        current = self._current(table)
        with self._changing(table):
            compacted = current.optimize.compact(
                target_size=COMPACTED_FILE_BYTES,
                max_concurrent_tasks=1,
                writer_properties=_COMPRESSED,
                post_commithook_properties=_NO_HOOKS,
            )
            current.create_checkpoint()
            current.cleanup_metadata()
            vacuumed = self._vacuum(table, current)
        return UpkeepReport(
            compacted_files=compacted["numFilesRemoved"],
            checkpointed=True,
            vacuumed_files=vacuumed,
        )

    def _vacuum(self, table: str, current: DeltaTable) -> int:
        """Remove data files that compaction replaced longer ago than the table's retention.

        It lists the whole table, so not each time.
        """
        now = time.monotonic()
        if now - self._vacuumed_at_seconds.get(table, -VACUUM_EVERY_SECONDS) < VACUUM_EVERY_SECONDS:
            return 0
        self._vacuumed_at_seconds[table] = now
        # Without retention_hours: delta.deletedFileRetentionDuration, a week unless it says else.
        return len(current.vacuum(dry_run=False, post_commithook_properties=_NO_HOOKS))

    def _converge(self, table: str, spec: TableSpec) -> TableChange:
        try:
            present = {column.name: column for column in self.schema(table)}
        except TableNotFoundError:
            fields = [_delta_field(column) for column in spec.columns]
            with self._changing(table):
                DeltaTable.create(
                    table,
                    DeltaSchema(fields),
                    mode="error",
                    name=spec.name,
                    description=spec.comment,
                    configuration=dict(spec.properties),
                    storage_options=self._storage_options,
                )
            return TableChange(created=True)
        if differences := _conflicts(present, spec):
            raise SchemaConflictError(table, differences)
        missing = [column for column in spec.columns if column.name not in present]
        if missing:
            with self._changing(table):
                self._current(table).alter.add_columns(
                    [_delta_field(column, nullable=True) for column in missing],
                    post_commithook_properties=_NO_HOOKS,
                )
        return TableChange(added_columns=tuple(column.name for column in missing))

    def _current(self, table: str) -> DeltaTable:
        """The table at its newest version, from the log entries that are new since the last look.

        Raises:
            TableNotFoundError: There is no table.
        """
        known, identity = self._open.pop(table, (None, None))
        found_identity = _log_identity(table)
        with _translated(table):
            if known is None or identity != found_identity:
                known = DeltaTable(table, storage_options=self._storage_options)
            else:
                known.update_incremental()
        self._open[table] = known, found_identity
        return known

    @contextmanager
    def _changing(self, table: str) -> Iterator[None]:
        """A change to a table: when it fails, what is known of the table is forgotten."""
        try:
            with _translated(table):
                yield
        except BaseException:
            self._open.pop(table, None)
            raise


def _log_identity(table: str) -> object:
    """What tells a table's log from that of another table later made at the same place.

    delta-rs looks for new log entries only, and so would not see that the old ones are gone.

    Raises:
        TableNotFoundError: There is no log.
    """
    if is_uri(table):
        return None
    try:
        found = os.stat(os.path.join(table, "_delta_log"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise TableNotFoundError(f"{table}: there is no Delta table") from error
    return found.st_dev, found.st_ino


@contextmanager
def _translated(table: str) -> Iterator[None]:
    """Raise our errors in place of delta-rs's."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, LakehouseError):
        raise
    except DeltaTableNotFoundError as error:
        raise TableNotFoundError(f"{table}: there is no Delta table") from error
    except SchemaMismatchError as error:
        raise RowsRejectedError(f"{table}: {_in_one_line(error)}") from error
    # A panic in Rust is a BaseException of pyo3's.
    except BaseException as error:
        raise TableUnavailableError(f"{table}: {_in_one_line(error)}") from error


def _in_one_line(error: BaseException) -> str:
    """delta-rs draws its chain of causes over several lines, with colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return f"{type(error).__name__}: {re.sub(r'[ ]*↳[ ]*', '', ' '.join(plain.split()))}"


def _delta_field(column: Column, *, nullable: bool | None = None) -> DeltaField:
    item = column.type.removeprefix("array<").removesuffix(">")
    primitive = PrimitiveType(item)
    return DeltaField(
        column.name,
        primitive if item == column.type else ArrayType(primitive, contains_null=True),
        nullable=column.nullable if nullable is None else nullable,
        metadata={"comment": column.comment} if column.comment else {},
    )


def _type_name(delta_type: Any) -> str:
    if isinstance(delta_type, ArrayType):
        return f"array<{_type_name(delta_type.element_type)}>"
    return str(delta_type.type)


def _conflicts(present: Mapping[str, Column], spec: TableSpec) -> list[str]:
    """What keeps rows of a spec out of a table, one sentence each.

    A column that may be null there and never here is none: rows of the spec fit it, and columns
    added to a table that has rows can't be otherwise.
    """
    differences = []
    by_lower_case = {name.lower(): name for name in present}
    for column in spec.columns:
        found = present.get(column.name)
        if found is None:
            # Delta's column names differ by more than case.
            if spelt := by_lower_case.get(column.name.lower()):
                differences.append(f"column {column.name} is spelt {spelt} there")
        elif found.type != column.type:
            differences.append(f"column {column.name} is {found.type} there, not {column.type}")
        elif column.nullable and not found.nullable:
            differences.append(f"column {column.name} is never null there, and may be null here")
    needed = {column.name for column in spec.columns}
    differences += [
        f"column {name} is never null there, and rows have no such column here"
        for name, column in present.items()
        if not column.nullable and name not in needed and name.lower() not in map(str.lower, needed)
    ]
    return differences
