"""The engine ``spark``: Delta tables through a Spark session that exists, classic or Connect."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from arro3.core import Table

from spectra_logging.errors import TableNotFoundError
from spectra_logging.feedback import log_from_worker
from spectra_logging.lakehouse.arrow import arrow_schema, read_rows
from spectra_logging.lakehouse.base import (
    AT_LEAST_ONCE,
    ArrowStream,
    Commit,
    Lakehouse,
    QueryResult,
    Staged,
    TableChange,
    Transaction,
    UpkeepReport,
    check_write,
)
from spectra_logging.lakehouse.conform import as_table, conform, schema_for
from spectra_logging.lakehouse.deltalake import EmbeddedLakehouse
from spectra_logging.lakehouse.dialect import SPARK, condition_of
from spectra_logging.lakehouse.schemas import missing_columns
from spectra_logging.lakehouse.spark_constraints import constraints_of, numbered, refusals
from spectra_logging.lakehouse.spark_errors import (
    OccupiedError,
    OvertakenError,
    PatchyLogError,
    SessionExpiredError,
    translated,
)
from spectra_logging.lakehouse.spark_found import Session
from spectra_logging.lakehouse.spark_handover import handed_over, shares_files
from spectra_logging.lakehouse.spark_log import LogReader, LogReaders, commit_mark
from spectra_logging.lakehouse.spark_proof import keeps_transactions
from spectra_logging.lakehouse.spark_query import run_query
from spectra_logging.lakehouse.spark_session import QUERIES_AT_ONCE, SparkSessions
from spectra_logging.lakehouse.spark_tables import (
    creation_sql,
    is_spark_frame,
    register_table,
    sql_name,
    write_frame,
)
from spectra_logging.lakehouse.spark_types import column_ddl, ddl_of
from spectra_logging.lakehouse.spark_upkeep import SparkUpkeep
from spectra_logging.lakehouse.stored import typed
from spectra_logging.tables import Column, TableSpec

__all__ = ["SparkLakehouse"]

ATTEMPTS = 10
"""How often a change is planned anew when another process's commit came first."""

OCCUPIED_PAUSE_SECONDS = 0.5
"""Another process that makes the same table needs a second or two for its first log entry."""

RECENT_COMMITS = 20

_T = TypeVar("_T")


class SparkLakehouse(Lakehouse):
    """Delta tables through a Spark session.

    Statements run in a session of our own beside the user's, whose settings stay as they are. Where
    this process reaches a table's log itself, what the log says is read with delta-rs, which takes
    milliseconds where a Spark job takes hundreds.

    Args:
        session: The user's session; by default the one that is active when one is needed. Should
            it be stopped, the one that is active then takes its place.
        storage_options: Options of the object store, as delta-rs takes them; Spark has its own.
    """

    engine = "spark"
    queries_at_once = QUERIES_AT_ONCE

    def __init__(
        self, session: Session | None = None, storage_options: Mapping[str, str] | None = None
    ) -> None:
        self._sessions = SparkSessions(session)
        self._logs = LogReaders(self._sessions, storage_options)
        self._verified: bool | None = None
        self._at_least_once: set[str] = set()
        self._upkeep = SparkUpkeep(self._sessions)

    def delivery(self, table: str) -> str:
        """At least once, where a server that ignores transactions is all that reaches the table."""
        return AT_LEAST_ONCE if table in self._at_least_once else super().delivery(table)

    def exists(self, table: str) -> bool:
        """Whether a Delta table can be read there."""
        return self._log(table).exists(table)

    def schema(self, table: str) -> tuple[Column, ...]:
        """The table's columns, in order, with their comments."""
        return self._log(table).schema(table)

    def version(self, table: str) -> int:
        """The table's newest version."""
        return self._log(table).version(table)

    def transaction_version(self, table: str, application_id: str) -> int | None:
        """The newest version in the table's log under that application id."""
        return self._log(table).transaction_version(table, application_id)

    def ensure(self, table: str, spec: TableSpec) -> TableChange:
        """Create the table with the spec's properties and comments, or add what it lacks.

        Where this process reaches the table, the embedded engine does it: on a file system Delta
        keeps two makers apart only within one JVM, and one's log entry may end up beside the
        checksum of the other's. A table with later features of Delta's is changed by Spark.
        """
        if embedded := self._logs.keeper(table):
            return embedded.ensure(table, spec)
        return self._until_done(lambda: self._converge(table, spec))

    def append(
        self,
        table: str,
        rows: bytes,
        spec: TableSpec,
        *,
        transaction: Transaction,
        staged: Staged | None = None,  # noqa: ARG002 - this engine stages nothing
    ) -> Commit:
        """Append rows as one commit, which carries the transaction, unless the table has it."""
        if embedded := self._instead(table):
            return embedded.append(table, rows, spec, transaction=transaction)
        data = read_rows(rows, arrow_schema(spec.columns))
        commit = self._until_done(lambda: self._append_once(table, data, spec, transaction))
        if commit.replayed:
            # Rows that the table can't take are to be told of in a replay too.
            self._check_constraints(table, rows, spec)
        return commit

    def split_refused(
        self, table: str, rows: bytes, spec: TableSpec
    ) -> tuple[bytes, list[tuple[bytes, str]]]:
        """Tell the rows that the table takes from those that its constraints keep out."""
        if embedded := self._instead(table):
            return embedded.split_refused(table, rows, spec)
        with self._sessions.working(f"constraints of {table}") as session, translated(table):
            constraints = constraints_of(session, table)
        if not constraints:
            return rows, []
        data = numbered(read_rows(rows, arrow_schema(spec.columns)))
        with self._handed_over(f"constraints of {table}", table, data) as (session, frame):
            reasons = refusals(session, table, frame, constraints)
        lines = [line for line in rows.split(b"\n") if line.strip()]
        taken = (line + b"\n" for number, line in enumerate(lines) if number not in reasons)
        return b"".join(taken), [(lines[number], reasons[number]) for number in sorted(reasons)]

    def write(
        self,
        table: str,
        data: ArrowStream | Sequence[Mapping[str, Any]],
        *,
        spec: TableSpec | None = None,
        mode: str = "overwrite",
        replacing: Mapping[str, str] | None = None,
    ) -> int:
        """Write a whole data set; overwriting without a spec also replaces the columns.

        The data may also be a data frame of Spark's, which is then not brought here.
        """
        check_write(mode, replacing)
        where = condition_of(replacing, SPARK)
        if is_spark_frame(data):
            return self._until_done(lambda: self._write_frame(table, data, spec, mode, where))
        if embedded := self._instead(table):
            return embedded.write(table, data, spec=spec, mode=mode, replacing=replacing)
        with translated(table):
            rows = as_table(table, data, spec)
        return self._until_done(lambda: self._write_once(table, rows, spec, mode, where))

    def query(
        self, sql: str, tables: Mapping[str, str], *, versions: Mapping[str, int] | None = None
    ) -> QueryResult:
        """Run one statement of Spark's SQL, in which "name" is a column and not a text."""
        return self._until_done(
            lambda: run_query(self._sessions, self._logs, sql, tables, versions or {})
        )

    def register(self, table: str, name: str) -> bool:
        """Register the table in the session's metastore, and its schema if that is missing.

        Raises:
            LakehouseError: The metastore refused, or has the name for a table somewhere else.
        """
        if table == name:
            return True
        with self._sessions.working(f"register {name}") as session, translated(name):
            register_table(session, table, name)
        return True

    def upkeep(self, table: str) -> UpkeepReport:
        """Compact, and once an hour remove expired data files.

        Where this process reaches the table and it is plain, the embedded engine does it, in a
        hundredth of the time.
        """
        if embedded := self._logs.keeper(table):
            return embedded.upkeep(table)
        return self._upkeep.run(table, self._log(table))

    # -- inside ------------------------------------------------------------------------------

    def _log(self, table: str) -> LogReader:
        return self._logs.of(table)

    def _instead(self, table: str) -> EmbeddedLakehouse | None:
        """The embedded engine, where the server would not keep a transaction and it can."""
        return None if self._keeps_transactions() is not False else self._logs.embedded(table)

    def _until_done(self, do: Callable[[], _T]) -> _T:
        """Do something, anew from the newest version whenever another commit came first.

        Anew also in another session, when the server had dropped the one that there was.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return do()
            except OccupiedError:
                time.sleep(OCCUPIED_PAUSE_SECONDS)
            except (OvertakenError, PatchyLogError, SessionExpiredError):
                continue
        return do()

    def _converge(self, table: str, spec: TableSpec) -> TableChange:
        try:
            present = self._log(table).schema(table)
        except TableNotFoundError:
            self._change(table, creation_sql(table, spec))
            # Delta is content when another process has made the very same table meanwhile.
            _, creator = self._log(table).recent_commits(table, RECENT_COMMITS)[-1]
            return TableChange(created=creator == self._sessions.mark)
        missing = missing_columns(table, present, spec)
        if missing:
            columns = ", ".join(column_ddl(column, nullable=True) for column in missing)
            self._change(table, f"ALTER TABLE {sql_name(table)} ADD COLUMNS ({columns})")
        return TableChange(added_columns=tuple(column.name for column in missing))

    def _change(self, table: str, statement: str) -> None:
        with self._sessions.working(f"change {table}") as session, translated(table):
            session.sql(statement).collect()

    def _append_once(
        self, table: str, data: Table, spec: TableSpec, transaction: Transaction
    ) -> Commit:
        log = self._log(table)
        kept = self._keeps_transactions()
        # Delta looks by itself. By us it is worth a look where that takes no Spark job.
        if log.engine == "deltalake" or not kept:
            seen = log.transaction_version(table, transaction.application_id)
            if seen is not None and seen >= transaction.version:
                return Commit(version=log.version(table), replayed=True)
        if missing_columns(table, log.schema(table), spec):
            self.ensure(table, spec)
        mark = f"{commit_mark(transaction.application_id)}{transaction.version} {uuid.uuid4()}"
        options = {
            "txnAppId": transaction.application_id,
            "txnVersion": str(transaction.version),
            "userMetadata": mark,
        }
        self._save(table, data, "append", options)
        if not kept and not self._verify(table, spec, transaction):
            return Commit(version=self._log(table).version(table))
        commits = log.recent_commits(table, RECENT_COMMITS)
        for version, metadata in commits:
            if metadata == mark:
                return Commit(version=version)
        # Another process has committed this transaction meanwhile, and Spark has written nothing.
        return Commit(version=commits[0][0], replayed=True)

    def _keeps_transactions(self) -> bool | None:
        """Whether the server keeps transactions; ``None`` until the first commit has shown it."""
        kept = self._sessions.known(keeps_transactions)
        return self._verified if kept is None else kept

    def _verify(self, table: str, spec: TableSpec, transaction: Transaction) -> bool:
        """See by a table whether the server has kept the transaction just committed to it."""
        seen = self._log(table).transaction_version(table, transaction.application_id)
        self._verified = seen is not None and seen >= transaction.version
        if self._verified:
            return True
        if embedded := self._logs.embedded(table):
            # It commits to this table from now on; this batch it notes as done.
            embedded.append(table, b"", spec, transaction=transaction)
        elif table not in self._at_least_once:
            self._at_least_once.add(table)
            log_from_worker(
                logging.WARNING,
                f"the Spark Connect server ignores Delta's transactions: rows of {table} are "
                "delivered at least once, and a commit that is interrupted may double its rows",
            )
        return False

    def _write_once(
        self, table: str, data: Table, spec: TableSpec | None, mode: str, where: str | None
    ) -> int:
        if spec is not None:
            self.ensure(table, spec)
        log = self._log(table)
        new_columns = spec is None and mode == "overwrite" and where is None
        if not new_columns and log.exists(table):
            # Columns that the data lacks are Delta's to fill, which may have a default for them.
            given = [c for c in log.schema(table) if c.name in data.column_names or not c.nullable]
            data = conform(data, schema_for(data, given))
        else:
            data = typed(data)
        self._save(table, data, mode, {}, new_columns=new_columns, where=where)
        return log.version(table)

    def _write_frame(
        self, table: str, frame: Any, spec: TableSpec | None, mode: str, where: str | None
    ) -> int:
        if spec is not None:
            self.ensure(table, spec)
        new_columns = spec is None and mode == "overwrite" and where is None
        # Translated outside: it is not our session that has expired, should the frame's have.
        with translated(table), self._sessions.working(f"{mode} {table}"):
            write_frame(frame, table, mode, {}, new_columns=new_columns, where=where)
        return self._log(table).version(table)

    def _save(
        self,
        table: str,
        data: Table,
        mode: str,
        options: Mapping[str, str],
        *,
        new_columns: bool = False,
        where: str | None = None,
    ) -> None:
        with self._handed_over(f"{mode} {table}", table, data) as (_, frame):
            write_frame(frame, table, mode, options, new_columns=new_columns, where=where)

    @contextmanager
    def _handed_over(self, what: str, table: str, data: Table) -> Iterator[tuple[Session, Any]]:
        """Our session, and Arrow data as a data frame of it."""
        with (
            self._sessions.working(what) as session,
            translated(table),
            handed_over(
                session,
                self._sessions.users(),
                data,
                schema=ddl_of(data.schema),
                by_file=self._sessions.known(shares_files),
            ) as frame,
        ):
            yield session, frame
