"""Draining: a journal's batches go to its table, each as one commit, exactly once."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from spectra_logging.activity import RECORD
from spectra_logging.ahead import Ahead
from spectra_logging.errors import LakehouseError, RowsRejectedError, TableNotFoundError
from spectra_logging.journal.batches import Batch, Batches
from spectra_logging.journal.content import Reject
from spectra_logging.journal.folder import find_journals, read_identity
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Commit, Lakehouse, Staged, Stager, Transaction
from spectra_logging.lakehouse.choice import EngineChoice
from spectra_logging.lakehouse.ndjson import split_unreadable
from spectra_logging.paths import resolve_table
from spectra_logging.stats import CommitFigures
from spectra_logging.tables import TableSpec, load_spec

__all__ = ["DrainReport", "Drainer", "drain_journals"]

UPKEEP_EVERY_VERSIONS = 50


class _ActivityRow(msgspec.Struct):
    """What tells whether a run has recorded how it went."""

    execution_id: str = ""
    event: str = ""


_activity_row = msgspec.json.Decoder(_ActivityRow)


@dataclass(frozen=True, kw_only=True)
class DrainReport:
    """What draining did.

    Args:
        rows: Rows committed; those of a batch that an earlier drain had committed count too.
        batches: Commits.
        quarantined: Pieces set aside because they are no sound record or fit no row.
        busy: Somebody else is draining this journal, so nothing was done.
        last_commit: The newest commit; ``None`` when there was none.
        left_behind: Those of the rows that processes left which are gone: killed, or too short to
            drain themselves.
        unrecorded_runs: Of the activity log, the runs among these that had not recorded how they
            went.
    """

    rows: int = 0
    batches: int = 0
    quarantined: int = 0
    busy: bool = False
    last_commit: CommitFigures | None = None
    left_behind: int = 0
    unrecorded_runs: tuple[str, ...] = ()

    def __add__(self, other: DrainReport) -> DrainReport:
        return DrainReport(
            rows=self.rows + other.rows,
            batches=self.batches + other.batches,
            quarantined=self.quarantined + other.quarantined,
            busy=self.busy or other.busy,
            last_commit=other.last_commit or self.last_commit,
            left_behind=self.left_behind + other.left_behind,
            unrecorded_runs=(*self.unrecorded_runs, *other.unrecorded_runs),
        )


class Drainer:
    """Drains one journal into its table. Not for two threads at once.

    Args:
        directory: The journal's folder.
        table: Path or URI of the table.
        spec: The rows' spec.
        open_engine: Gives the engine; called at the first drain, so that a process which never
            drains never loads one.
    """

    def __init__(
        self,
        directory: Path,
        table: str,
        spec: TableSpec,
        open_engine: Callable[[], Lakehouse],
    ) -> None:
        self._batches = Batches(directory)
        self.directory = directory
        self.table = table
        self._spec = spec
        self._open_engine = open_engine
        self._lakehouse: Lakehouse | None = None
        self._opened_by: Callable[[], Lakehouse] | None = None
        self._newest_in_table: int | None = None
        self._ensured = False
        self._upkeep_due = False
        self._version: int | None = None
        self._untold = DrainReport()

    @property
    def choice(self) -> EngineChoice | None:
        """The engine that serves the table and why; ``None`` until one was needed."""
        return self._lakehouse.choice(self.table) if self._lakehouse else None

    @property
    def delivery(self) -> str | None:
        """What the engine promises of a row; ``None`` until one was needed."""
        return self._lakehouse.delivery(self.table) if self._lakehouse else None

    def reopen(self, open_engine: Callable[[], Lakehouse]) -> None:
        """Have drains that begin from now on go through another engine; for any thread.

        Args:
            open_engine: Gives it.
        """
        self._open_engine = open_engine

    def has_records(self) -> bool:
        """Whether anything waits to be drained."""
        return self._batches.has_records()

    def drain(self) -> DrainReport:
        """Commit all that the journal holds now.

        Returns:
            What it did, and what a call before it had done that then failed.

        Raises:
            LakehouseError: The table could not be written to. The batch stays sealed; the next
                call, here or in another process, commits the very same one.
        """
        with self._batches.draining() as acquired:
            if not acquired:
                return DrainReport(busy=True)
            lakehouse = self._opened()
            newest = self._newest_transaction(lakehouse)
            with Ahead(self._batches, lambda: self._stager(lakehouse)).open() as ahead:
                while batch := ahead.next_batch(after=newest):
                    with ahead.staged() as staged:
                        self._untold += self._commit(batch, lakehouse, staged)
                    newest = self._newest_in_table = batch.number
                    if not batch.more:
                        break  # That was all; what has come since is for the next time.
            self._batches.remove_leavings()
        report, self._untold = self._untold, DrainReport()
        return report

    def upkeep(self) -> None:
        """Do the table's upkeep, when commits by this process have made it due.

        Raises:
            LakehouseError: It failed; the records are not concerned.
        """
        if not self._upkeep_due or self._lakehouse is None:
            return
        with self._batches.draining() as acquired:
            if acquired:
                self._upkeep_due = False
                self._lakehouse.upkeep(self.table)

    def _opened(self) -> Lakehouse:
        open_engine = self._open_engine
        if self._lakehouse is None or self._opened_by is not open_engine:
            self._lakehouse, self._opened_by = open_engine(), open_engine
        return self._lakehouse

    def _newest_transaction(self, lakehouse: Lakehouse) -> int:
        """The newest batch that the table itself has of this journal, asked once.

        It is beyond the journal's own count when the journal's state was lost; numbers that are
        taken must not be given out again, or the table would skip new rows as old.
        """
        if self._newest_in_table is None:
            application_id = self._batches.state().application_id
            try:
                version = lakehouse.transaction_version(self.table, application_id)
            except TableNotFoundError:
                version = None
            self._newest_in_table = version or 0
        return self._newest_in_table

    def _stager(self, lakehouse: Lakehouse) -> Stager | None:
        try:
            self._ensure(lakehouse)
            return lakehouse.stager(self.table, self._spec)
        except LakehouseError:
            return None  # The append meets it again, and tells of it.

    def _commit(self, batch: Batch, lakehouse: Lakehouse, staged: Staged | None) -> DrainReport:
        rejected = list[Reject]()
        commit = None
        if batch.rows:
            commit, rejected = self._append_rows(lakehouse, batch, staged)
            if commit is not None and commit.found and not batch.recovered:
                # Nobody has tried to commit it before: what the table has is another's.
                batch = self._batches.renew_id(batch)
                commit, rejected = self._append_rows(lakehouse, batch, staged)
        self._batches.note_committed(batch, rejected)
        row_count = batch.row_count - len(rejected)
        last_commit = None
        if commit is not None:
            self._note_version(commit.version)
            now = dt.datetime.now(dt.timezone.utc)
            last_commit = CommitFigures(
                version=commit.version, batch=batch.number, rows=row_count, at=now
            )
        return DrainReport(
            rows=row_count,
            batches=1,
            quarantined=len(batch.damaged) + len(rejected),
            last_commit=last_commit,
            left_behind=batch.left_behind,
            unrecorded_runs=self._unrecorded_runs(batch.left_behind_rows),
        )

    def _append_rows(
        self, lakehouse: Lakehouse, batch: Batch, staged: Staged | None
    ) -> tuple[Commit | None, list[Reject]]:
        """Append a batch's rows; returns those that the table can't take with the reasons."""
        transaction = Transaction(application_id=batch.application_id, version=batch.number)
        try:
            return self._append(lakehouse, batch.rows, transaction, staged), []
        except RowsRejectedError:
            return self._append_what_fits(lakehouse, batch.rows, transaction)

    def _append_what_fits(
        self, lakehouse: Lakehouse, rows: bytes, transaction: Transaction
    ) -> tuple[Commit | None, list[Reject]]:
        """Append the rows that the table can take; returns the others with the reasons."""
        rows, rejected = split_unreadable(rows, self._spec)
        commit = None
        if rows:
            try:
                commit = self._append(lakehouse, rows, transaction)
            except RowsRejectedError:
                rows, refused = lakehouse.split_refused(self.table, rows, self._spec)
                rejected += refused
                commit = self._append(lakehouse, rows, transaction) if rows else None
        return commit, [Reject(line, reason) for line, reason in rejected]

    def _note_version(self, version: int) -> None:
        """Others commit too: the version that ends a round of upkeep may be anybody's."""
        last = version - 1 if self._version is None else self._version
        self._upkeep_due |= version // UPKEEP_EVERY_VERSIONS > last // UPKEEP_EVERY_VERSIONS
        self._version = version

    def _unrecorded_runs(self, left_behind: bytes) -> tuple[str, ...]:
        """The runs that left rows and among them no record of how they went."""
        if not any(column.name == "activity_id" for column in self._spec.columns):
            return ()
        events: dict[str, set[str]] = {}
        for line in left_behind.splitlines():
            try:
                row = _activity_row.decode(line)
            except msgspec.DecodeError:
                continue  # It is set aside, or has been.
            events.setdefault(row.execution_id, set()).add(row.event)
        return tuple(run for run, said in events.items() if run and RECORD not in said)

    def _append(
        self,
        lakehouse: Lakehouse,
        rows: bytes,
        transaction: Transaction,
        staged: Staged | None = None,
    ) -> Commit:
        self._ensure(lakehouse)
        try:
            return lakehouse.append(
                self.table, rows, self._spec, transaction=transaction, staged=staged
            )
        except TableNotFoundError:
            # Somebody has removed the table since; the log goes on in a new one.
            lakehouse.ensure(self.table, self._spec)
            return lakehouse.append(self.table, rows, self._spec, transaction=transaction)

    def _ensure(self, lakehouse: Lakehouse) -> None:
        if not self._ensured:
            lakehouse.ensure(self.table, self._spec)
            self._ensured = True


def drain_journals(
    table: str | os.PathLike[str],
    *,
    journal_directory: str | os.PathLike[str] | None = None,
    engine: str = "auto",
    storage_options: Mapping[str, str] | None = None,
) -> DrainReport:
    """Drain every journal for a table below one folder, such as a dead process left.

    A table in a catalog takes a Spark session in this process.

    Args:
        table: The table, as ``DeltaHandler(table)`` takes it.
        journal_directory: The folder for all journals, where the handler was given one or a
            temporary one serves; by default as for handlers.
        engine: The engine, as ``DeltaHandler(engine=…)`` takes it.
        storage_options: Likewise.

    Raises:
        LakehouseError: The table could not be written to; the records stay journalled.
        ConfigurationError: An option holds nonsense.
        OSError: A journal can't be read or written now: it is another user's, say.
    """
    place = resolve_table(table)
    report = DrainReport()
    for directory in find_journals(place, journal_directory):
        spec = load_spec(read_identity(directory).spec)
        drainer = Drainer(
            directory,
            place,
            spec,
            lambda: open_lakehouse(engine, storage_options=storage_options),
        )
        report += drainer.drain()
        drainer.upkeep()
    return report
