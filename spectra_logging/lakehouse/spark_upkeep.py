"""The upkeep of tables that Spark alone can change."""

from __future__ import annotations

import time

from spectra_logging.lakehouse.base import UpkeepReport
from spectra_logging.lakehouse.spark_errors import OvertakenError, translated
from spectra_logging.lakehouse.spark_log import LogReader
from spectra_logging.lakehouse.spark_session import SparkSessions
from spectra_logging.lakehouse.spark_tables import sql_name

__all__ = ["SparkUpkeep"]

VACUUM_EVERY_SECONDS = 3600.0


class SparkUpkeep:
    """Compacts, and once an hour removes expired data files; Delta itself checkpoints.

    Args:
        sessions: Where the statements run.
    """

    def __init__(self, sessions: SparkSessions) -> None:
        self._sessions = sessions
        self._done_versions: dict[str, int] = {}
        self._vacuumed_at_seconds: dict[str, float] = {}

    def run(self, table: str, log: LogReader) -> UpkeepReport:
        """See to a table, unless nothing was committed since it was seen to.

        Args:
            table: The table's place or name.
            log: What reads its log.
        """
        if self._done_versions.get(table) == log.version(table):
            return UpkeepReport()
        try:
            compacted = self._upkeep(table)
        except OvertakenError:
            # Another process sees to it just now, and the next round will show what is left to do.
            return UpkeepReport()
        self._done_versions[table] = log.version(table)
        return UpkeepReport(compacted_files=compacted)

    def _upkeep(self, table: str) -> int:
        """Compact, and vacuum where it is time to; returns how many files were compacted."""
        with self._sessions.working(f"upkeep of {table}") as session, translated(table):
            metrics = session.sql(f"OPTIMIZE {sql_name(table)}").collect()[0]["metrics"]
            now = time.monotonic()
            last = self._vacuumed_at_seconds.get(table)
            if last is None or now - last >= VACUUM_EVERY_SECONDS:
                self._vacuumed_at_seconds[table] = now
                session.sql(f"VACUUM {sql_name(table)}").collect()
        return int(metrics["numFilesRemoved"])
