"""The one interface through which tables are reached.

The handler's writer, the stage helpers and validation speak to a :class:`Lakehouse` and to nothing
else; what runs below it (delta-rs in this process, or a Spark session) is the engine's own
business, and engine packages are imported nowhere outside this folder.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from spectra_logging.errors import ConfigurationError, RowsRejectedError
from spectra_logging.lakehouse.choice import EngineChoice
from spectra_logging.lakehouse.dialect import DATAFUSION, SPARK, Dialect
from spectra_logging.lakehouse.schemas import missing_columns
from spectra_logging.tables import Column, TableSpec

__all__ = [
    "AT_LEAST_ONCE",
    "EXACTLY_ONCE",
    "ArrowStream",
    "Commit",
    "Lakehouse",
    "QueryResult",
    "Staged",
    "Stager",
    "TableChange",
    "Transaction",
    "UpkeepReport",
    "check_write",
]


EXACTLY_ONCE = "exactly once"
AT_LEAST_ONCE = "at least once"


class ArrowStream(Protocol):
    """Anything that exports Arrow's C stream: a pyarrow, polars, DuckDB or arro3 table."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """Delta's ``txn`` action: at most one commit per application id and version.

    Args:
        application_id: The journal's id.
        version: The batch's number, rising by one a batch.
    """

    application_id: str
    version: int


class Staged(Protocol):
    """Rows that an engine has written and not committed."""

    def discard(self) -> None:
        """Remove what has not become part of a table; doing it twice changes nothing."""


Stager: TypeAlias = Callable[[bytes], Staged]
"""Writes rows that are to be appended; may be called on any thread, and on several at once."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """What an append did.

    Args:
        version: The table's version after it.
        replayed: The transaction was in the table already, so nothing was written.
        found: It was there before this append had tried anything, as far as the engine tells.
    """

    version: int
    replayed: bool = False
    found: bool = False


@dataclass(frozen=True, kw_only=True)
class TableChange:
    """What :meth:`Lakehouse.ensure` did, or found already done.

    Args:
        created: The table was made.
        added_columns: Columns added to an existing table.
    """

    created: bool = False
    added_columns: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.created or bool(self.added_columns)


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """Rows of a query, as plain Python values; timestamps are aware datetimes in UTC.

    Dates and timestamps of years that Python has not are texts: ``+12024-02-29``.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary a row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, kw_only=True)
class UpkeepReport:
    """What a round of :meth:`Lakehouse.upkeep` did."""

    compacted_files: int = 0
    checkpointed: bool = False
    vacuumed_files: int = 0


def check_write(mode: str, replacing: Mapping[str, str] | None = None) -> None:
    """Refuse what :meth:`Lakehouse.write` can't do.

    Raises:
        ConfigurationError: The mode is neither ``overwrite`` nor ``append``, or the rows to replace
            are told otherwise than by texts, or to ``append``.
    """
    if mode not in {"overwrite", "append"}:
        raise ConfigurationError(f"mode={mode!r} may be overwrite or append")
    if replacing and mode != "overwrite":
        raise ConfigurationError(f"mode={mode!r} must be overwrite where replacing= is given")
    for name, text in (replacing or {}).items():
        if not isinstance(text, str):
            raise ConfigurationError(f"replacing={{{name!r}: {text!r}}} must be a text")


class Lakehouse(abc.ABC):
    """Delta tables through one engine.

    Tables are named by absolute path or URI. Methods may be called from any thread, one at a time
    per instance, but for :attr:`queries_at_once`. All raise
    :class:`~spectra_logging.errors.LakehouseError` or a subclass of it; of these only
    ``TableUnavailableError`` is worth a retry. An instance must not cross a fork.
    """

    engine: str
    """The engine's name: ``deltalake`` or ``spark``."""

    queries_at_once: int = 1
    """How many threads may be in :meth:`query` at once, where that is worth while."""

    reason: str = "it was opened by its name"
    """In words, why it is this engine."""

    def choice(self, table: str) -> EngineChoice | None:  # noqa: ARG002 - one for all tables
        """The engine that serves a table and why; ``None`` while that is not known."""
        return EngineChoice(engine=self.engine, reason=self.reason)

    def delivery(self, table: str) -> str:  # noqa: ARG002 - one for all tables
        """What :meth:`append` has turned out to promise: exactly once, or at least once."""
        return EXACTLY_ONCE

    def dialect(self, tables: Iterable[str]) -> Dialect:  # noqa: ARG002 - one for all tables
        """How :meth:`query` wants what each engine's SQL has its own way to write.

        Args:
            tables: The places of all tables of the statement.
        """
        return SPARK if self.engine == "spark" else DATAFUSION

    @abc.abstractmethod
    def exists(self, table: str) -> bool:
        """Whether there is a Delta table at that place."""

    @abc.abstractmethod
    def schema(self, table: str) -> tuple[Column, ...]:
        """The table's columns, in order.

        Raises:
            TableNotFoundError: There is no table.
        """

    @abc.abstractmethod
    def version(self, table: str) -> int:
        """The table's newest version.

        Raises:
            TableNotFoundError: There is no table.
        """

    def plan(self, table: str, spec: TableSpec) -> TableChange:
        """What :meth:`ensure` would do now; changes nothing.

        Raises:
            SchemaConflictError: As :meth:`ensure` would.
        """
        if not self.exists(table):
            return TableChange(created=True)
        missing = missing_columns(table, self.schema(table), spec)
        return TableChange(added_columns=tuple(column.name for column in missing))

    @abc.abstractmethod
    def ensure(self, table: str, spec: TableSpec) -> TableChange:
        """Make the table fit the spec: create it, or add the columns that are missing.

        Extra columns and all rows are left alone. Added columns are nullable whatever the spec
        says, since rows already there have no value for them. Safe when two callers race.

        Raises:
            SchemaConflictError: A column has another type or spelling there, or is never null
                there though rows of the spec may lack it; nothing was changed.
        """

    def stager(self, table: str, spec: TableSpec) -> Stager | None:  # noqa: ARG002
        """What writes rows ahead of their :meth:`append`, if the engine can for that table.

        Args:
            table: The table's place; it must exist, with at least the spec's columns.
            spec: The columns to read the rows as.
        """
        return None

    @abc.abstractmethod
    def append(
        self,
        table: str,
        rows: bytes,
        spec: TableSpec,
        *,
        transaction: Transaction,
        staged: Staged | None = None,
    ) -> Commit:
        """Append rows as one commit, exactly once per transaction.

        Asks the table for the transaction first, so that a retry after an error, a crash or a
        commit that succeeded and still raised writes nothing twice.

        Args:
            table: The table's place; it must exist, with at least the spec's columns.
            rows: Newline-delimited JSON, an object a row, keys as the spec's columns and integer
                microseconds since 1970 in UTC for timestamps. Keys without a column are ignored.
            spec: The columns to read the rows as.
            transaction: The journal's id and this batch's number.
            staged: What :meth:`stager` made of these rows, if they are staged; to be discarded
                by the caller afterwards, whatever comes of the append.

        Raises:
            RowsRejectedError: Some row can't be read as the spec's columns, or breaks a constraint
                of the table's; nothing was written.
        """

    def split_refused(
        self,
        table: str,  # noqa: ARG002 - not told apart here
        rows: bytes,
        spec: TableSpec,  # noqa: ARG002 - likewise
    ) -> tuple[bytes, list[tuple[bytes, str]]]:
        """Tell the rows that the table takes from those that its constraints keep out.

        Args:
            table: The table's place.
            rows: Newline-delimited JSON that :meth:`append` has rejected, though each row can be
                read as the spec's columns.
            spec: The columns.

        Returns:
            The rows that it takes, and each of the others with the reason; all and none where the
            engine can't tell.
        """
        return rows, []

    def _check_constraints(self, table: str, rows: bytes, spec: TableSpec) -> None:
        """Raise ``RowsRejectedError`` when :meth:`split_refused` finds rows that are kept out."""
        if self.split_refused(table, rows, spec)[1]:
            raise RowsRejectedError(f"{table} refuses rows: its constraints keep some out")

    @abc.abstractmethod
    def transaction_version(self, table: str, application_id: str) -> int | None:
        """The newest version committed under that application id; ``None`` when there is none."""

    @abc.abstractmethod
    def write(
        self,
        table: str,
        data: ArrowStream | Sequence[Mapping[str, Any]],
        *,
        spec: TableSpec | None = None,
        mode: str = "overwrite",
        replacing: Mapping[str, str] | None = None,
    ) -> int:
        """Write a whole data set, creating the table when it is missing.

        Args:
            table: The table's place.
            data: An Arrow stream, or rows as mappings (then ``spec`` is required).
            spec: The columns; creation, order and types follow it.
            mode: ``overwrite`` replaces all rows in one commit, ``append`` adds to them.
            replacing: Columns and texts: overwriting replaces only the rows that have all of these
                values, as those of ``data`` must, and leaves the columns alone. Others' rows stay,
                also those that are written at the same time.

        Returns:
            The table's version after the write.
        """

    @abc.abstractmethod
    def query(
        self, sql: str, tables: Mapping[str, str], *, versions: Mapping[str, int] | None = None
    ) -> QueryResult:
        """Run one SQL statement.

        Args:
            sql: The statement; it calls each table by its key in ``tables``.
            tables: Name in the statement → the table's place.
            versions: Name in the statement → the version to read; the newest of those not named.
        """

    @abc.abstractmethod
    def register(self, table: str, name: str) -> bool:
        """Register the table in the metastore under that name.

        Returns:
            Whether there is a metastore that took it; the embedded engine has none.
        """

    @abc.abstractmethod
    def upkeep(self, table: str) -> UpkeepReport:
        """Keep the table fast to append to and to read: compact, checkpoint, clean up, vacuum.

        Removes only what no reader can still need: data files and log entries past the table's
        own retention (``delta.deletedFileRetentionDuration``, ``delta.logRetentionDuration``).
        """
