"""Appending to a plain table on a file system: data files first, then one entry of its log."""

from __future__ import annotations

import os

from deltalake.exceptions import CommitFailedError

from spectra_logging.lakehouse.base import Commit, Transaction
from spectra_logging.lakehouse.local_log import LocalLog
from spectra_logging.lakehouse.staging import StagedRows, stage
from spectra_logging.tables import TableSpec

__all__ = ["append_rows"]


def append_rows(
    log: LocalLog,
    rows: bytes,
    spec: TableSpec,
    transaction: Transaction,
    staged: StagedRows | None = None,
) -> Commit:
    """Append rows as one commit, unless the table has the transaction.

    A process killed on the way leaves a folder of staged rows; or, in the instant between the
    files' move and the entry, files that no entry names. Upkeep removes both, and neither is part
    of the table.

    Args:
        log: The log, at the table's newest version.
        rows: Newline-delimited JSON.
        spec: The rows' columns, all of which the table has.
        transaction: The transaction.
        staged: These rows, if they are staged already; written anew where they don't fit.

    Raises:
        CommitFailedError: Another commit came first after which this one has to be planned anew.
    """
    if log.has(transaction):
        return Commit(version=log.version, replayed=True, found=True)
    folder = log.folder.parent
    # The table may have got a column since, or may be another one.
    if staged is None or staged.columns != log.columns or not staged.place.exists():
        staged = stage(folder, rows, spec, log.columns, log.configuration)
    try:
        moved = False
        while True:
            # Right before the attempt, since writing the files took a while.
            if not log.catch_up():
                raise CommitFailedError(f"the table's schema or protocol changed: {folder}")
            if log.has(transaction):
                return Commit(version=log.version, replayed=True)
            if not moved:
                for file in staged.files:
                    os.rename(file.path, folder / file.path.name)
                moved = True
            if log.append([file.add for file in staged.files], transaction, staged.place):
                return Commit(version=log.version)
    finally:
        staged.discard()
