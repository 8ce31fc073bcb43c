"""Making a Spark session of our own: the user's settings, then ours, and the user's place."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager

from spectra_logging.lakehouse.spark_errors import translated
from spectra_logging.lakehouse.spark_found import Session, is_connect
from spectra_logging.lakehouse.spark_types import quoted

__all__ = ["session_beside", "set_if_available"]

_OWN_SETTINGS = {
    # Delta puts a table's state together in as many tasks as this to look a transaction up: 50 by
    # default, which takes a second.
    "spark.databricks.delta.snapshotPartitions": "1",
    # OPTIMIZE rewrites all smaller files each time, up to a gigabyte of them by default.
    "spark.databricks.delta.optimize.minFileSize": str(64 << 20),
    # A vacuum lists files in as many tasks as this: 10,000 by default.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    # By default Parquet holds nanoseconds, which others read in 64 bits: from 1677 to 2262.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Spark 3 refuses times before 1900 unless it is told by which calendar: everybody else's.
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    # Spark 2's takes the microseconds in our rows' texts for milliseconds.
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    # By default ${env:HOME} is put in, also within a literal, and ${name} is nothing.
    "spark.sql.variable.substitute": "false",
    # As the embedded engine reads SQL: "name" is a column, and what can't be cast is an error.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
}

_AT_EXIT = ("_cleanup_ml_cache", "_on_exit")
"""What a client of Spark Connect's has called at exit: Spark 4.1's, and Spark 4.2's."""

_NOT_OURS = (
    "spark.databricks.delta.write.txnAppId",
    "spark.databricks.delta.write.txnVersion",
)
"""By these Delta skips what the user's program repeats; of ours it would skip all."""

_ESCAPING_NOTHING = "spark.sql.parser.escapedStringLiterals"
"""With it a backslash in a literal is one; those of our literals are doubled."""

_COPIED_SETTINGS = ("fs.", "spark.hadoop.", "spark.sql.", "spark.databricks.", "spark.microsoft.")


@translated("a Spark session beside the user's")
def session_beside(users: Session) -> Session:
    """A session of the same application with the user's settings, then ours, and in its place.

    Raises:
        LakehouseError: The server makes none: it can't be reached, say.
    """
    if is_connect(users):
        own = _beside_on_connect(users)
    else:
        own = users.newSession()
        _copy_settings(users, own)
    for key, value in _OWN_SETTINGS.items():
        set_if_available(own, key, value)
    for key in _NOT_OURS:
        with _unless_unavailable():
            own.conf.unset(key)
    with _unless_unavailable():
        if own.conf.get(_ESCAPING_NOTHING, "false") == "true":
            # By SQL, since conf.set() would warn the user that it is deprecated.
            own.sql(f"SET {_ESCAPING_NOTHING}=false").collect()
    _go_where_it_is(users, own)
    return own


def _go_where_it_is(users: Session, own: Session) -> None:
    """Have a name of two words mean in our session the table that it means in the user's."""
    catalog, schema = _place(users)
    if _place(own) != (catalog, schema):
        try:
            own.sql(f"USE {quoted(catalog)}.{schema}").collect()
        except Exception:  # noqa: BLE001 - the schema was dropped, or there is none
            own.catalog.setCurrentCatalog(catalog)


def _place(session: Session) -> tuple[str, str]:
    """A session's current catalog, and its schema as SQL names it."""
    return session.catalog.currentCatalog(), session.catalog.currentDatabase()


def set_if_available(session: Session, key: str, value: str) -> None:
    """Make a setting, or go without: the time zone is the one of ours that every server takes."""
    with _unless_unavailable():
        session.conf.set(key, value)


@contextmanager
def _unless_unavailable() -> Iterator[None]:
    """Pass over a refusal of Databricks' serverless compute, which leaves few settings to users.

    There the others can't even be asked for, not with a default either.
    """
    try:
        yield
    except Exception as error:
        if "CONFIG_NOT_AVAILABLE" not in str(error):
            raise


def _beside_on_connect(users: Session) -> Session:
    try:
        own = users.cloneSession()
    except Exception:  # noqa: BLE001 - a client before 4.1, or a server that can't
        # A client of the same server, made without becoming this process's active session.
        own = type(users)(connection=users.client._builder)  # noqa: SLF001
        _copy_settings(users, own)

    # At exit a client has its server forget models, of which ours knows none, and where that server
    # is gone it may ask again for ten minutes.
    for name in _AT_EXIT:
        if forget_models := getattr(own.client, name, None):
            atexit.unregister(forget_models)

    import ctypes  # takes two milliseconds

    # Never to be finalised: the garbage collector would do so in the midst of a call that holds the
    # lock this takes, and the interpreter's end would wait there for threads of gRPC's that are
    # gone.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(own))
    return own


def _copy_settings(users: Session, own: Session) -> None:
    """Settings that the user made at run time, such as the keys to a store."""
    try:
        theirs, ours = (dict(map(tuple, session.sql("SET").collect())) for session in (users, own))
    except Exception:  # noqa: BLE001 - a server that is no Spark
        return
    for key, shown in theirs.items():
        # What SET shows of a secret is the same for all.
        if key.startswith(_COPIED_SETTINGS) and (shown != ours.get(key) or "redacted" in shown):
            with _unless_unavailable():
                value = users.conf.get(key)
                if value != own.conf.get(key, None):
                    own.conf.set(key, value)
