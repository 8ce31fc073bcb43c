"""Logging from code that Spark runs on its executors: UDFs, ``mapInPandas``, ``foreachPartition``.

Spark runs such code in Python processes of its own, a few on each host, which it uses again for
task after task and ends without a word: no ``atexit``, often by a signal. A handler there journals
like any other, so nothing that was logged is lost with the process; what counts is who drains, and
when. A ``with`` block around a partition waits for the table at its end. Otherwise the process's
writer thread commits within the handler's interval while the process lives, and what it leaves
behind is committed by the next process on that host that logs to the table, in local mode the
driver among them, or by ``spectra log drain``.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spectra_logging.errors import ConfigurationError
from spectra_logging.forks import at_fork
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.handlers.options import check_level, check_seconds
from spectra_logging.hierarchy import handlers_above, loggers_above
from spectra_logging.lakehouse.storage import check_storage_options
from spectra_logging.paths import is_catalog_name, is_uri, resolve_table
from spectra_logging.stderr import tell

__all__ = ["worker_logger", "worker_logging"]

_handlers: dict[tuple[str, str], DeltaHandler] = {}
_seen_storage_options: dict[DeltaHandler, list[dict[str, str]]] = {}
"""Of the handlers that were made here; copies, as a program may put a new token in place."""
_lock = threading.RLock()


def worker_logger(
    table: str, name: str = "spark.worker", *, level: int | str = "INFO", **options: Any
) -> logging.Logger:
    """A logger of this process whose records go to a table; the same one for the same names.

    Cheap to call for each row: the handler is made with the first call of a process. Where a logger
    above it sends its records to the table already, that logger's handler serves both.

    Args:
        table: Absolute path or URI, as the driver sees it: ``resolve_table("Tables/log/events")``
            there. A relative path would be another place in each process.
        name: The logger's name.
        level: Its level, by name or number.
        options: As :class:`~spectra_logging.handlers.delta.DeltaHandler` takes them. Those of the
            first call count, and of later ones ``storage_options`` that are new: another token.

    Raises:
        ConfigurationError: The table is relative or a name in a catalog, or an option holds
            nonsense.
    """
    _check_table(table)
    with _lock:
        handler = _handlers.get((table, name))
        logger = logging.getLogger(name)
        if handler is None:
            number = check_level("level", level)
            handler = _handler_above(logger, table, number) or _made(table, options)
            _handlers[table, name] = handler
            logger.setLevel(number)
        elif "storage_options" in options:
            _renew(handler, options["storage_options"])
        if handler not in handlers_above(logger):
            logger.addHandler(handler)
            _detach_below(logger, table, handler)
    return logger


@contextmanager
def worker_logging(
    table: str,
    name: str = "spark.worker",
    *,
    level: int | str = "INFO",
    execution_id: str | None = None,
    flush_timeout_seconds: float = 30.0,
    **options: Any,
) -> Iterator[logging.Logger]:
    """A logger for one partition, whose records are in the table when the block ends.

    Rows carry the task's stage, partition and attempt, so that those of a task that Spark ran twice
    can be told apart. A table that can't be reached fails no task: the records stay journalled on
    the executor's host, and its stderr says so.

    Args:
        table: As :func:`worker_logger` takes it.
        name: The logger's name.
        level: Its level, by name or number.
        execution_id: The notebook session's, ``session.ctx["execution_id"]``, for the column of
            that name.
        flush_timeout_seconds: The longest that the block's end waits for the table.
        options: As :class:`~spectra_logging.handlers.delta.DeltaHandler` takes them.

    Raises:
        ConfigurationError: As :func:`worker_logger` raises it.
    """
    import structlog

    check_seconds("flush_timeout_seconds", flush_timeout_seconds)
    logger = worker_logger(table, name, level=level, **options)
    begun_with = _handlers[table, name]
    context = {**_task(), **({} if execution_id is None else {"execution_id": execution_id})}
    with structlog.contextvars.bound_contextvars(**context):
        try:
            yield logger
        finally:
            # A logger above may have come to serve this one meanwhile.
            for handler in dict.fromkeys((begun_with, _handlers[table, name])):
                if not handler.flush(flush_timeout_seconds):
                    stats = handler.stats()
                    tell(
                        f"{stats.pending} records are not yet in {table} ({stats.last_error}); "
                        f"they are journalled in {stats.journal_directory}"
                    )


def _made(table: str, options: dict[str, Any]) -> DeltaHandler:
    handler = DeltaHandler(table, **options)
    _seen_storage_options[handler] = [check_storage_options(options.get("storage_options"))]
    return handler


def _renew(handler: DeltaHandler, storage_options: Any) -> None:
    """Have a handler of ours use options that come the first time.

    Spark uses its workers again, and what a function brings for its store may be a token, newer
    than the one that the worker was first given, which is over by then. Functions run by turns may
    bring one each: the later to come is taken for the newer.
    """
    seen = _seen_storage_options.get(handler)
    brought = check_storage_options(storage_options)
    if seen is not None and brought and brought not in seen:
        handler.renew_storage_options(brought)
        seen.append(brought)


def _handler_above(logger: logging.Logger, table: str, level: int) -> DeltaHandler | None:
    """A handler that takes all of the logger's records to the table already.

    Such as that of ``spark.worker`` for ``spark.worker.udf``, or the driver's own for code that
    Spark runs there. With one more, each row would land twice.
    """
    resolved = resolve_table(table)
    for handler in handlers_above(logger):
        takes_all = handler.level <= level and not handler.filters
        if isinstance(handler, DeltaHandler) and handler.table == resolved and takes_all:
            return handler
    return None


def _detach_below(logger: logging.Logger, table: str, handler: DeltaHandler) -> None:
    """Have loggers below this one, whose records now come here, use this one's handler alone."""
    for key, other in _handlers.items():
        below = logging.getLogger(key[1])
        if key[0] == table and below is not logger and logger in loggers_above(below):
            below.removeHandler(other)
            _handlers[key] = handler


def _check_table(table: str) -> None:
    absolute = isinstance(table, str) and (is_uri(table) or os.path.isabs(table))
    if not absolute or is_catalog_name(table):
        raise ConfigurationError(
            f"table={table!r} must be an absolute path or a URI: a worker knows neither the "
            "driver's working directory nor a catalog. Call resolve_table() on the driver."
        )


def _task() -> dict[str, int]:
    """The task that this process runs, by Spark's names."""
    module = sys.modules.get("pyspark.taskcontext") or sys.modules.get("pyspark")
    try:
        task = module.TaskContext.get()  # type: ignore[union-attr]
        return {
            "spark_stage_id": task.stageId(),
            "spark_partition_id": task.partitionId(),
            "spark_attempt": task.attemptNumber(),
        }
    except Exception:  # noqa: BLE001 - this is no worker of Spark's
        return {}


def _after_fork_in_child() -> None:
    # Another thread of the parent may have held it.
    global _lock  # noqa: PLW0603 - one lock a process
    _lock = threading.RLock()


at_fork(after_in_child=_after_fork_in_child)
