"""Delta tables kept open, so that an append costs milliseconds, and never stale."""

from __future__ import annotations

from dataclasses import dataclass

from deltalake import DeltaTable

from spectra_logging.errors import TableForbiddenError
from spectra_logging.lakehouse.folders import local_folder
from spectra_logging.lakehouse.local_log import Identity, LocalLog, entry_identity
from spectra_logging.lakehouse.storage import StorageAccess
from spectra_logging.lakehouse.translation import translated

__all__ = ["OpenTables"]


@dataclass(frozen=True)
class _Open:
    """A table as it was when last looked at: a log entry that it had, and that file's identity."""

    delta: DeltaTable
    version: int
    identity: Identity


class OpenTables:
    """Delta tables by place, each at its newest version whenever it is asked for.

    delta-rs's own ``update_incremental`` takes no notice when a table was removed, or removed and
    made anew, below an open ``DeltaTable``; what is committed through it then is lost, or spoils
    the new table's log. So on a file system the log entry last seen must still be the same file.
    Stores of objects have no such cheap look: there a table is opened afresh for each use.

    Args:
        storage: How their stores are reached.
    """

    def __init__(self, storage: StorageAccess) -> None:
        self._storage = storage
        self._open: dict[str, _Open] = {}
        self._logs: dict[str, LocalLog] = {}

    def current(self, table: str) -> DeltaTable:
        """The table at its newest version.

        Raises:
            TableNotFoundError: There is no table.
            TableUnavailableError: Its store can't be reached.
        """
        folder = local_folder(table)
        log = folder / "_delta_log" if folder else None
        # Out of the dictionary until all has gone well, so that no error leaves it stale there.
        known = self._open.pop(table, None)
        with translated(table):
            if known and log and entry_identity(log, known.version) == known.identity:
                delta = known.delta
                # One look instead of listing the log, which takes longer the more it holds.
                if entry_identity(log, delta.version() + 1):
                    delta.update_incremental()
            else:
                delta = self.at_version(table)
            version = delta.version()
            if log and (identity := entry_identity(log, version)):
                self._open[table] = _Open(delta, version, identity)
        return delta

    def log(self, table: str) -> LocalLog | None:
        """The table's log at its newest version; ``None`` when delta-rs is to append to it.

        Raises:
            TableNotFoundError: There is no table.
            TableUnavailableError: It can't be read.
        """
        folder = local_folder(table)
        if folder is None:
            return None
        with translated(table):
            log = self._logs.pop(table, None)
            if log is None or not log.catch_up():
                log = LocalLog.of(self.current(table), folder / "_delta_log")
        if log is not None:
            self._logs[table] = log
        return log

    def at_version(self, table: str, version: int | None = None) -> DeltaTable:
        """The table as it was at a version, opened afresh.

        A store that refuses a token of Fabric's is asked once more with a new one.

        Raises:
            TableNotFoundError: There is no table.
            TableUnavailableError: Its store can't be reached.
            TableForbiddenError: Its store denies access.
        """
        try:
            return self._opened(table, version)
        except TableForbiddenError:
            if not self._storage.can_renew(table):
                raise
            return self._opened(table, version)

    def _opened(self, table: str, version: int | None) -> DeltaTable:
        options = self._storage.options(table)
        with translated(table):
            return DeltaTable(table, version=version, storage_options=options)

    def forget(self, table: str) -> None:
        """Open the table afresh the next time: what is known of it may be wrong."""
        self._open.pop(table, None)
        self._logs.pop(table, None)
