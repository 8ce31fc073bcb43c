"""Appending to a plain table on a file system: data files first, then one entry of its log."""

from __future__ import annotations

import os

from deltalake.exceptions import CommitFailedError

from spectra_logging.lakehouse.arrow import arrow_schema, in_order
from spectra_logging.lakehouse.base import Commit, Transaction
from spectra_logging.lakehouse.local_log import LocalLog
from spectra_logging.lakehouse.staging import slices_of, stage, workshop
from spectra_logging.tables import TableSpec

__all__ = ["append_rows"]


def append_rows(log: LocalLog, rows: bytes, spec: TableSpec, transaction: Transaction) -> Commit:
    """Append rows as one commit, unless the table has the transaction.

    A process killed on the way leaves a workshop; or, in the instant between the files' move and
    the entry, files that no entry names. Upkeep removes both, and neither is part of the table.

    Args:
        log: The log, at the table's newest version.
        rows: Newline-delimited JSON.
        spec: The rows' columns, all of which the table has.
        transaction: The transaction.

    Raises:
        CommitFailedError: Another commit came first after which this one has to be planned anew.
    """
    if log.has(transaction):
        return Commit(version=log.version, replayed=True)
    folder = log.folder.parent
    # Nulls are as the spec has them: columns that were added later may hold some in the table.
    # Columns that only the table has are null where a file lacks them.
    schema = in_order(arrow_schema(spec.columns), [column.name for column in log.columns])
    with workshop(folder) as place:
        files = stage(place, slices_of(rows), schema, spec, log.configuration)
        moved = False
        while True:
            # Right before the attempt, since writing the files took a while.
            if not log.catch_up():
                raise CommitFailedError(f"the table's schema or protocol changed: {folder}")
            if log.has(transaction):
                return Commit(version=log.version, replayed=True)
            if not moved:
                for file in files:
                    os.rename(file.path, folder / file.path.name)
                moved = True
            if log.append([file.add for file in files], transaction, place):
                return Commit(version=log.version)
