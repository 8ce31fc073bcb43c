"""Our own Spark session beside the user's, and the names of our jobs.

Only what classic sessions and Spark Connect have in common is used (no JVM, no RDD); where they
differ, this file, ``spark_beside.py`` and ``spark_found.py`` know.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from spectra_logging.errors import EngineUnavailableError
from spectra_logging.lakehouse.spark_beside import session_beside, set_if_available
from spectra_logging.lakehouse.spark_errors import SessionExpiredError
from spectra_logging.lakehouse.spark_found import (
    Session,
    find_session,
    is_alive,
    is_connect,
    weakly,
)

__all__ = ["JOB_GROUP", "QUERIES_AT_ONCE", "SparkSessions"]

_T = TypeVar("_T")

JOB_GROUP = "spectra-logging"
"""Group of our jobs in the Spark UI; on Connect, their tag."""

QUERIES_AT_ONCE = 4
"""A query over little data waits for Spark's driver more than it keeps it busy."""


class _Beside:
    """Our own session beside one of the user's, for all engines of this process."""

    def __init__(self, users: Session) -> None:
        self.users = weakly(users)
        self.mark = f"spectra-logging {uuid.uuid4()}"
        self.session = session_beside(users)
        set_if_available(self.session, "spark.databricks.delta.commitInfo.userMetadata", self.mark)
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
                session = session_beside(users)
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
        beside = self._beside()
        with _given_up_when_expired(beside), _named(beside.session, what):
            yield beside.session

    @contextmanager
    def querying(self) -> Iterator[Session]:
        """A session of our own as :meth:`working` gives it, whose temporary views are this query's.

        Raises:
            EngineUnavailableError: As :meth:`users`.
        """
        beside = self._beside()
        with (
            _given_up_when_expired(beside),
            beside.for_a_query(self.users()) as session,
            _named(session, "query"),
        ):
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


@contextmanager
def _given_up_when_expired(beside: _Beside) -> Iterator[None]:
    """Have the next call make a session anew, when the server has dropped one of these."""
    try:
        yield
    except SessionExpiredError:
        with _lock:
            _all_beside[:] = [other for other in _all_beside if other is not beside]
        raise


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
