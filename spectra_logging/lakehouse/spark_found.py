"""The user's Spark session: the one that was handed over, or the one that there is."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

from spectra_logging.fabric import started_spark
from spectra_logging.forks import at_fork

__all__ = [
    "Session",
    "SessionReference",
    "find_session",
    "is_alive",
    "is_connect",
    "remember_session",
    "weakly",
]

Session: TypeAlias = Any
"""A ``SparkSession``, classic or Connect: two classes, and PySpark may not be installed."""


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
        self._session = (lambda: None) if session is None else weakly(session)

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


def weakly(session: Session) -> Callable[[], Session | None]:
    """Gives a session for as long as somebody else keeps it."""
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


at_fork(after_in_child=_after_fork_in_child)


def is_connect(session: Session) -> bool:
    """Whether a session speaks Spark Connect."""
    return any(".connect." in kind.__module__ for kind in type(session).__mro__)


def is_alive(session: Session) -> bool:
    """Whether a session has not been stopped, as far as this process knows."""
    if is_connect(session):
        return not session.is_stopped
    try:
        session.sparkContext.getLocalProperty("spark.jobGroup.id")
    except Exception:  # noqa: BLE001 - AttributeError of a stopped one, or a JVM that is gone
        return False
    return True
