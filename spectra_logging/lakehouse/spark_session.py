"""The Spark session to work with: whose it is, our own beside it, and the names of our jobs.

Only what classic sessions and Spark Connect have in common is used (no JVM, no RDD); where they
differ, this file knows.
"""

from __future__ import annotations

import ctypes
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias, TypeVar

from spectra_logging.errors import EngineUnavailableError
from spectra_logging.fabric import started_spark

__all__ = [
    "JOB_GROUP",
    "QUERIES_AT_ONCE",
    "Session",
    "SessionReference",
    "SparkSessions",
    "find_session",
    "is_connect",
    "remember_session",
]

Session: TypeAlias = Any
"""A ``SparkSession``, classic or Connect: two classes, and PySpark may not be installed."""

_T = TypeVar("_T")

JOB_GROUP = "spectra-logging"
"""Group of our jobs in the Spark UI; on Connect, their tag."""

QUERIES_AT_ONCE = 4
"""A query over little data waits for Spark's driver more than it keeps it busy."""

_OWN_SETTINGS = {
    # Delta puts a table's state together in as many tasks as this to look a transaction up: 50 by
    # default, which takes a second.
    "spark.databricks.delta.snapshotPartitions": "1",
    # A vacuum lists files in as many tasks as this: 10,000 by default.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    # By default Parquet holds nanoseconds, which others read in 64 bits: from 1677 to 2262.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Spark 3 refuses times before 1900 unless it is told by which calendar: everybody else's.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    # As the embedded engine reads SQL: "name" is a column, and what can't be cast is an error.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
}

_NOT_OURS = (
    "spark.databricks.delta.write.txnAppId",
    "spark.databricks.delta.write.txnVersion",
)
"""By these Delta skips what the user's program repeats; of ours it would skip all."""

_COPIED_SETTINGS = ("fs.", "spark.hadoop.", "spark.sql.", "spark.databricks.", "spark.microsoft.")


def find_session() -> Session | None:
    """The session that this process was given last or has started, if any.

    Neither imports Spark nor starts a session. In a forked child there is none: the connection to
    the parent's is the parent's.
    """
    remembered = _remembered.get()
    if remembered is not None and is_alive(remembered):
        return remembered
    return started_spark()


class SessionReference:
    """A Spark session that is not kept alive, or whichever there is when one is needed.

    Args:
        session: The session, if one was given.
    """

    def __init__(self, session: Session | None = None) -> None:
        self._session = (lambda: None) if session is None else _weakly(session)

    def get(self) -> Session | None:
        """The session that was given, while there is one."""
        return self._session()

    @property
    def alive(self) -> bool:
        """Whether there is a session, given or found, that has not been stopped."""
        session = self.get()
        if session is None or not is_alive(session):
            session = find_session()
        return session is not None and is_alive(session)


def _weakly(session: Session) -> Callable[[], Session | None]:
    try:
        return weakref.ref(session)
    except TypeError:
        return lambda: session


_remembered = SessionReference()


def remember_session(session: Session | None) -> None:
    """Take note of a session that the user has handed over, for whatever may need one.

    Args:
        session: The session; ``None`` changes nothing.
    """
    global _remembered  # noqa: PLW0603 - the session given last serves the process
    if session is not None:
        _remembered = SessionReference(session)


def _after_fork_in_child() -> None:
    global _remembered  # noqa: PLW0603 - it is the parent's
    _remembered = SessionReference()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def is_connect(session: Session) -> bool:
    """Whether a session speaks Spark Connect."""
    return any(".connect." in kind.__module__ for kind in type(session).__mro__)


def is_alive(session: Session) -> bool:
    """Whether a session has not been stopped, as far as this process knows."""
    if is_connect(session):
        return not session.is_stopped
    try:
        session.sparkContext.getLocalProperty(JOB_GROUP)
    except Exception:  # noqa: BLE001 - AttributeError of a stopped one, or a JVM that is gone
        return False
    return True


class _Beside:
    """Our own session beside one of the user's, for all engines of this process."""

    def __init__(self, users: Session) -> None:
        self.users = _weakly(users)
        self.mark = f"spectra-logging {uuid.uuid4()}"
        self.session = _beside(users)
        self.session.conf.set("spark.databricks.delta.commitInfo.userMetadata", self.mark)
        self.known: dict[Callable[[Session], Any], Any] = {}
        self._free = [self.session]
        self._places = threading.Semaphore(QUERIES_AT_ONCE)

    @contextmanager
    def for_a_query(self, users: Session) -> Iterator[Session]:
        """A session that no other query has meanwhile; the first of them is the one that writes.

        Args:
            users: The user's session.
        """
        with self._places:
            try:
                session = self._free.pop()
            except IndexError:
                session = _beside(users)
            try:
                yield session
            finally:
                self._free.append(session)


_all_beside: list[_Beside] = []
_lock = threading.Lock()


class SparkSessions:
    """A session of our own beside the user's, so that no setting of theirs is touched.

    When the user's session has been stopped, the one that is active now takes its place.

    Args:
        session: The user's session; by default the one that is active when one is needed.
    """

    def __init__(self, session: Session | None = None) -> None:
        self._users = session

    def users(self) -> Session:
        """The user's session.

        Raises:
            EngineUnavailableError: There is none, or it is stopped and no other has been started.
        """
        if self._users is None or not is_alive(self._users):
            found = find_session()
            if found is None or not is_alive(found):
                had_one = self._users is not None
                raise EngineUnavailableError(
                    "the Spark session was stopped and there is no other"
                    if had_one
                    else "engine='spark' needs a Spark session, and this process has started none"
                )
            self._users = found
        return self._users

    def known(self, find_out: Callable[[Session], _T]) -> _T:
        """A fact about the session's server, found out once a session of the user's.

        Args:
            find_out: Gives it, asked of our session.

        Raises:
            EngineUnavailableError: As :meth:`users`.
        """
        beside = self._beside()
        if find_out not in beside.known:
            beside.known[find_out] = find_out(beside.session)
        found: _T = beside.known[find_out]
        return found

    @property
    def mark(self) -> str:
        """What Delta's log says of our session's commits, unless a commit has a mark of its own."""
        return self._beside().mark

    @contextmanager
    def working(self, what: str) -> Iterator[Session]:
        """Our session, with a name for the jobs that this thread runs in it.

        Args:
            what: What they do, as the Spark UI is to show it.

        Raises:
            EngineUnavailableError: As :meth:`users`.
        """
        session = self._beside().session
        with _named(session, what):
            yield session

    @contextmanager
    def querying(self) -> Iterator[Session]:
        """A session of our own as :meth:`working` gives it, whose temporary views are this query's.

        Raises:
            EngineUnavailableError: As :meth:`users`.
        """
        with self._beside().for_a_query(self.users()) as session, _named(session, "query"):
            yield session

    def _beside(self) -> _Beside:
        users = self.users()
        with _lock:
            for beside in _all_beside:
                if beside.users() is users:
                    return beside
            _all_beside[:] = [beside for beside in _all_beside if beside.users() is not None]
            _all_beside.append(_Beside(users))
            return _all_beside[-1]


def _named(session: Session, what: str) -> AbstractContextManager[None]:
    return _tagged(session) if is_connect(session) else _described(session, what)


@contextmanager
def _tagged(session: Session) -> Iterator[None]:
    session.addTag(JOB_GROUP)
    try:
        yield
    finally:
        session.removeTag(JOB_GROUP)


@contextmanager
def _described(session: Session, what: str) -> Iterator[None]:
    """Name this thread's jobs, and give the thread back the names that it had."""
    context = session.sparkContext
    names = {"spark.jobGroup.id": JOB_GROUP, "spark.job.description": f"{JOB_GROUP}: {what}"}
    before = {key: context.getLocalProperty(key) for key in names}
    for key, name in names.items():
        context.setLocalProperty(key, name)
    try:
        yield
    finally:
        try:
            for key, name in before.items():
                context.setLocalProperty(key, name)
        except Exception:  # noqa: BLE001, S110 - stopped meanwhile: there is nothing to give back
            pass


def _beside(users: Session) -> Session:
    """A session of the same application with the user's settings and then our own."""
    if is_connect(users):
        own = _beside_on_connect(users)
    else:
        own = users.newSession()
        _copy_settings(users, own)
    for key, value in _OWN_SETTINGS.items():
        own.conf.set(key, value)
    for key in _NOT_OURS:
        own.conf.unset(key)
    return own


def _beside_on_connect(users: Session) -> Session:
    try:
        own = users.cloneSession()
    except Exception:  # noqa: BLE001 - a client before 4.1, or a server that can't
        # A client of the same server, made without becoming this process's active session.
        own = type(users)(connection=users.client._builder)  # noqa: SLF001

    # Never to be finalised: the garbage collector would do so in the midst of a call that holds the
    # lock this takes, and the interpreter's end would wait there for threads of gRPC's that are
    # gone.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(own))
    return own


def _copy_settings(users: Session, own: Session) -> None:
    """Settings that the user made at run time, such as the keys to a store."""
    for key, *_ in users.sql("SET").collect():
        if key.startswith(_COPIED_SETTINGS) and users.conf.isModifiable(key):
            # Not the value that SET shows: it hides secrets.
            own.conf.set(key, users.conf.get(key))
