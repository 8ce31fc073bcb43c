"""Removing what a table's own retention says has expired."""

from __future__ import annotations

import time

from deltalake import DeltaTable

from spectra_logging.lakehouse.folders import local_folder
from spectra_logging.lakehouse.staging import NO_HOOKS, clear_abandoned

__all__ = ["CleanUp"]

EVERY_SECONDS = 3600.0
"""How often to look for log entries and data files that have expired: that lists them all."""

_CLEANS_UP_LOG = "delta.enableExpiredLogCleanup"
_HAS_DELETION_VECTORS = 3
"""The reader version from which on a table may."""


class CleanUp:
    """Removes expired log entries and data files, each table's once an hour at most."""

    def __init__(self) -> None:
        self._done_at_seconds: dict[str, float] = {}

    def run(self, table: str, delta: DeltaTable) -> int:
        """Remove what has expired, unless that has been looked for lately.

        Args:
            table: The table's place.
            delta: Its newest version.

        Returns:
            How many data files were removed.
        """
        now = time.monotonic()
        last = self._done_at_seconds.get(table)
        if last is not None and now - last < EVERY_SECONDS:
            return 0
        self._done_at_seconds[table] = now
        # delta-rs asks this of its own hook only.
        if delta.metadata().configuration.get(_CLEANS_UP_LOG, "true").lower() != "false":
            delta.cleanup_metadata()
        if folder := local_folder(table):
            clear_abandoned(folder)
        # In full: also files that killed processes left and no entry of the log ever named. A
        # deletion vector in use looks like one, as its file is named by no entry of its own.
        full = delta.protocol().min_reader_version < _HAS_DELETION_VECTORS
        # Without retention_hours: delta.deletedFileRetentionDuration, a week unless it says else.
        removed = delta.vacuum(dry_run=False, full=full, post_commithook_properties=NO_HOOKS)
        return len(removed)
