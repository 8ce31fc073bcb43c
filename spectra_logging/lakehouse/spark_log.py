"""What a table's log says: by delta-rs where this process reaches the log, else through Spark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from spectra_logging.errors import LakehouseError, TableNotFoundError, TableUnavailableError
from spectra_logging.lakehouse.deltalake import EmbeddedLakehouse
from spectra_logging.lakehouse.spark_errors import SessionExpiredError, translated
from spectra_logging.lakehouse.spark_handover import shares_files
from spectra_logging.lakehouse.spark_session import SparkSessions
from spectra_logging.lakehouse.spark_tables import location_of, read_table, sql_name
from spectra_logging.lakehouse.spark_types import columns_of
from spectra_logging.lakehouse.storage import why_unreached
from spectra_logging.paths import is_catalog_name, is_uri
from spectra_logging.tables import Column

__all__ = ["LogReader", "LogReaders", "SparkLog", "commit_mark"]

_ACTIONS = "txn STRUCT<appId: STRING, version: BIGINT>"


def commit_mark(application_id: str) -> str:
    """How a commit begins to say in a table's history that it is of that application id."""
    return f"spectra-logging {application_id} "


class LogReader(Protocol):
    """Reads tables' logs; each method raises ``TableNotFoundError`` when there is no table."""

    engine: str
    """``deltalake`` when a look takes milliseconds, ``spark`` when each is a job."""

    def exists(self, table: str) -> bool:
        """Whether there is a Delta table."""

    def schema(self, table: str) -> tuple[Column, ...]:
        """The table's columns, in order, with their comments."""

    def version(self, table: str) -> int:
        """The table's newest version."""

    def transaction_version(self, table: str, application_id: str) -> int | None:
        """The newest version under that application id; ``None`` when there is none."""

    def recent_commits(self, table: str, count: int) -> list[tuple[int, str | None]]:
        """The newest commits, newest first: version, and what its writer said of it."""


class LogReaders:
    """Chooses how a table's log is read.

    Args:
        sessions: The Spark session's.
        storage_options: Options of the object store, as delta-rs takes them.
    """

    def __init__(
        self, sessions: SparkSessions, storage_options: Mapping[str, str] | None = None
    ) -> None:
        self._sessions = sessions
        self._options = dict(storage_options or {})
        self._embedded = EmbeddedLakehouse(storage_options)
        self._by_spark = SparkLog(sessions)
        self._beyond_embedded: set[str] = set()

    def of(self, table: str) -> LogReader:
        """The way to a table's log."""
        return self.embedded(table) or self._by_spark

    def embedded(self, table: str) -> EmbeddedLakehouse | None:
        """The embedded engine, where it reaches the table that Spark means and can read it."""
        if table in self._beyond_embedded or not self._reaches(table):
            return None
        try:
            self._embedded.exists(table)
        except TableUnavailableError:
            raise
        except LakehouseError:
            # Features of Delta's that delta-rs lacks, or a path that it reads in another way.
            self._beyond_embedded.add(table)
            return None
        return self._embedded

    def keeper(self, table: str) -> EmbeddedLakehouse | None:
        """The embedded engine, where it can change the table's columns, log and files in full.

        That is so of a plain table, and of one that is still to be made.
        """
        embedded = self.embedded(table)
        if embedded and embedded.exists(table) and not embedded.is_plain(table):
            return None
        return embedded

    def _reaches(self, table: str) -> bool:
        if why_unreached(table, self._options) is not None:
            return False
        # A remote server's /data is not this machine's.
        on_object_store = is_uri(table) and not table.startswith("file:")
        return on_object_store or self._sessions.known(shares_files)


class SparkLog:
    """What a table's log says, by statements in a Spark session.

    Args:
        sessions: Where they run.
    """

    engine = "spark"

    def __init__(self, sessions: SparkSessions) -> None:
        self._sessions = sessions

    def exists(self, table: str) -> bool:
        """Whether a Delta table can be read there."""
        try:
            self.schema(table)
        except TableNotFoundError:
            return False
        return True

    def schema(self, table: str) -> tuple[Column, ...]:
        """The table's columns, in order, with their comments."""
        with self._sessions.working(f"look at {table}") as session, translated(table):
            return columns_of(read_table(session, table).schema)

    def version(self, table: str) -> int:
        """The table's newest version."""
        try:
            return self.recent_commits(table, 1)[0][0]
        except (TableNotFoundError, TableUnavailableError):
            raise
        except LakehouseError:
            # A server that is no Spark and knows no history: count what the log's files hold.
            return self._commit_count(table) - 1

    def recent_commits(self, table: str, count: int) -> list[tuple[int, str | None]]:
        """The newest commits, newest first: version, and what its writer said of it."""
        with self._sessions.working(f"history of {table}") as session, translated(table):
            history = session.sql(f"DESCRIBE HISTORY {sql_name(table)} LIMIT {count}")
            rows = history.select("version", "userMetadata").collect()
        return [(int(row[0]), row[1]) for row in rows]

    def transaction_version(self, table: str, application_id: str) -> int | None:
        """The newest version under that application id, by reading all of the log's files.

        Nobody may read those of a table that Unity Catalog manages. Of such a one its history
        tells, in which our commits say what they are.
        """
        self.schema(table)
        try:
            return self._in_files(table, application_id)
        except SessionExpiredError:
            raise
        except LakehouseError:
            if not is_catalog_name(table):
                raise
        return self._in_history(table, application_id)

    def _in_files(self, table: str, application_id: str) -> int | None:
        with self._sessions.working(f"transactions of {table}") as session, translated(table):
            place = location_of(session, sql_name(table)) if is_catalog_name(table) else table
            log = _log_of(place)
            reader = session.read.schema(_ACTIONS)
            found = [_newest(reader.json(f"{log}/*.json"), application_id)]
        try:
            with self._sessions.working(f"transactions of {table}"), translated(table):
                checkpoints = reader.parquet(f"{log}/*.checkpoint*.parquet")
                found.append(_newest(checkpoints, application_id))
        except TableNotFoundError:
            pass  # There are no checkpoints yet.
        return max((version for version in found if version is not None), default=None)

    def _in_history(self, table: str, application_id: str) -> int | None:
        mark = commit_mark(application_id)
        with self._sessions.working(f"transactions of {table}") as session, translated(table):
            history = session.sql(f"DESCRIBE HISTORY {sql_name(table)}")
            own = history.where(history["userMetadata"].startswith(mark))
            number = f"split(substring(userMetadata, {len(mark) + 1}), ' ')[0]"
            version = own.selectExpr(f"max(CAST({number} AS BIGINT))").collect()[0][0]
        return None if version is None else int(version)

    def _commit_count(self, table: str) -> int:
        with self._sessions.working(f"commits of {table}") as session, translated(table):
            actions = session.read.schema("commitInfo STRUCT<operation: STRING>")
            commits = actions.json(f"{_log_of(table)}/*.json").where("commitInfo IS NOT NULL")
            return int(commits.count())


def _log_of(place: str) -> str:
    """A table's log as the beginning of a pattern, in which the place's own signs mean nothing."""
    return re.sub(r"([*?\[\]{}])", r"\\\1", place) + "/_delta_log"


def _newest(actions: Any, application_id: str) -> int | None:
    own = actions.where(actions["txn.appId"] == application_id)
    version = own.selectExpr("max(txn.version)").collect()[0][0]
    return None if version is None else int(version)
