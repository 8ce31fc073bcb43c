"""The log of a plain Delta table on a file system, followed and appended to without listing it.

delta-rs lists the whole log twice a commit. A table that is committed to every five seconds has
fifty thousand entries in the three days that its readers are given, and listing them takes longer
than all the rest. An append needs none of that: it knows the version that it saw last, looks
whether there is a next one, and if not, makes it.

The rules are those of Delta's protocol (PROTOCOL.md of delta-io/delta):

- *Delta Log Entries*: entry *n* is ``_delta_log/<n, 20 digits>.json``, an action a line; entries
  are contiguous, made once and never changed. So the finished file is linked to its name, which
  fails when the name is taken, and no reader sees half of it.
- *Transaction Identifiers*: a ``txn`` action holds an application's newest version. Entries that
  came first are read before the next attempt, so of two writers of one transaction one appends.
- *Requirements for Writers*: up to writer version 2 a writer must heed append-only tables, which an
  append does, and column invariants. Tables with those, with a newer protocol, with partitions or
  with arrays that must not hold nulls are left to delta-rs.
- An append that has read no rows conflicts with no other change of rows. After a change of schema
  or protocol it is planned anew.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec
from deltalake import DeltaTable

from spectra_logging._version import __version__
from spectra_logging.lakehouse.base import Transaction
from spectra_logging.lakehouse.delta_schema import arrays_without_nulls, columns_of, has_invariants
from spectra_logging.lakehouse.protocol import is_plain
from spectra_logging.tables import Column

__all__ = ["Identity", "LocalLog", "entry_identity"]

Identity: TypeAlias = tuple[int, int, int]


def entry_identity(log: Path, version: int) -> Identity | None:
    """What tells a log entry from another of the same version; ``None`` when there is none."""
    try:
        found = os.stat(_entry(log, version))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _entry(log: Path, version: int) -> Path:
    return log / f"{version:020}.json"


class _Txn(msgspec.Struct, rename="camel"):
    app_id: str
    version: int


class _Action(msgspec.Struct, rename="camel"):
    """A line of an entry, as far as it concerns an append."""

    txn: _Txn | None = None
    meta_data: object = None
    protocol: object = None


_action = msgspec.json.Decoder(_Action)


@dataclass
class LocalLog:
    """Where a table's log ends, and what an append must know of the table.

    Args:
        folder: The log's folder.
        delta: The table as delta-rs opened it, at this version or an earlier one.
        version: The newest entry seen.
        identity: That entry's file: a table made anew has another.
        columns: The table's columns.
        configuration: Its properties.
        transactions: Versions by application id, where known without asking delta-rs.
    """

    folder: Path
    delta: DeltaTable
    version: int
    identity: Identity
    columns: tuple[Column, ...]
    configuration: dict[str, str]
    transactions: dict[str, int]

    @classmethod
    def of(cls, delta: DeltaTable, folder: Path) -> LocalLog | None:
        """The log of a table that has just been opened; ``None`` when delta-rs is to append to it.

        That is so for tables that are not plain, on file systems without hard links, and where
        the log is on another one than the table's folder.
        """
        version = delta.version()
        identity = entry_identity(folder, version)
        metadata, schema = delta.metadata(), delta.schema()
        if not is_plain(delta) or metadata.partition_columns:
            return None
        if has_invariants(schema) or arrays_without_nulls(schema):
            return None
        if identity is None or not _can_link(_entry(folder, version), folder.parent):
            return None
        configuration = dict(metadata.configuration)
        return cls(folder, delta, version, identity, columns_of(schema), configuration, {})

    def catch_up(self) -> bool:
        """Read the entries that others have committed.

        Returns:
            ``False`` when the table has to be opened anew: it is gone or another one, an entry
            changes its schema or protocol, or one can't be read.
        """
        if entry_identity(self.folder, self.version) != self.identity:
            return False
        while True:
            path = _entry(self.folder, self.version + 1)
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return True
            try:
                actions = [_action.decode(line) for line in content.split(b"\n") if line.strip()]
            except msgspec.DecodeError:
                return False
            if not actions or any(action.meta_data or action.protocol for action in actions):
                return False
            identity = entry_identity(self.folder, self.version + 1)
            if identity is None:
                return False
            self.version, self.identity = self.version + 1, identity
            for action in actions:
                if action.txn:
                    self.transactions[action.txn.app_id] = action.txn.version

    def transaction_version(self, application_id: str) -> int | None:
        """The application's newest version in the log; ``None`` when it has none."""
        version = self.transactions.get(application_id)
        if version is None:
            version = self.delta.transaction_version(application_id)
            if version is not None:
                self.transactions[application_id] = version
        return version

    def has(self, transaction: Transaction) -> bool:
        """Whether the transaction is committed, or one of its application that came after it."""
        newest = self.transaction_version(transaction.application_id)
        return newest is not None and newest >= transaction.version

    def append(self, adds: Sequence[bytes], transaction: Transaction, place: Path) -> bool:
        """Commit data files that are in place, as the next version.

        Args:
            adds: Their ``add`` actions, as lines of an entry.
            transaction: Committed with them.
            place: A folder on the same file system, for the entry while it is written.

        Returns:
            Whether it is committed. ``False`` when the log has to be looked at anew: by
            :meth:`catch_up`, or by opening the table if that says so.

        Raises:
            OSError: It could not be written.
        """
        actions = [
            msgspec.json.encode({"commitInfo": self._commit_info()}),
            *adds,
            msgspec.json.encode(
                {"txn": {"appId": transaction.application_id, "version": transaction.version}}
            ),
        ]
        # A new file each time: its time is the commit's, by which time travel and clean-up go.
        draft = place / f"{uuid.uuid4()}.json"
        draft.write_bytes(b"\n".join(actions) + b"\n")
        try:
            os.link(draft, _entry(self.folder, self.version + 1))
        except FileExistsError:
            return False
        self.version += 1
        found = os.stat(draft)
        self.identity = found.st_ino, found.st_mtime_ns, found.st_size
        self.transactions[transaction.application_id] = transaction.version
        return True

    @staticmethod
    def _commit_info() -> dict[str, object]:
        return {
            "timestamp": time.time_ns() // 1_000_000,
            "operation": "WRITE",
            "operationParameters": {"mode": "Append"},
            # Spark's overwrites and deletes need not give way to an append that read nothing.
            "isBlindAppend": True,
            "engineInfo": f"spectra-logging:{__version__}",
        }


def _can_link(entry: Path, folder: Path) -> bool:
    """Whether a log entry can have a second name in a folder, and so the other way round.

    Not so on some mounts of object stores, nor where the log is on another file system.
    """
    second = folder / f".{uuid.uuid4()}.link"
    try:
        os.link(entry, second)
        second.unlink()
    except OSError:
        return False
    return True
