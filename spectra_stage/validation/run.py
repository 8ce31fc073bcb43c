"""Running a suite: what becomes of each check, table by table."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.parallel import call_all
from spectra_stage.validation.opened import OpenTables
from spectra_stage.validation.results import Report, TableResult
from spectra_stage.validation.suite import Suite, place_of
from spectra_stage.validation.table_run import TableRun

__all__ = ["Progress", "run"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run has come, told as each table begins.

    Args:
        table: The table's dotted name.
        checks: How many checks it has.
        number: Its number among the tables, from 1.
        tables: How many tables there are.
    """

    table: str
    checks: int
    number: int
    tables: int


def run(
    suite: Suite,
    lakehouse: Lakehouse,
    *,
    root: str | Path | None = None,
    places: Mapping[str, str] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Make every check of a suite.

    Each table is looked at in the one version that it has when it is first opened, and all its
    checks are one statement. The engine ``spark`` looks at several tables side by side. Nothing
    that a table holds, or that an engine can't do, raises: it is a finding.

    Args:
        suite: The suite.
        lakehouse: The engine.
        root: The folder or URI that relative paths are below; by default the default lakehouse.
        places: Paths or URIs of tables, by dotted name, that are somewhere else.
        on_progress: Called as each table begins, by one thread at a time.
    """
    started_at = dt.datetime.now(dt.timezone.utc)
    began = time.perf_counter()
    told = {table.table: table for table in suite.tables}

    def place(table: str) -> str:
        path = told[table].path if table in told else None
        return place_of(table, path, root=root, places=places)

    tables = OpenTables(lakehouse, place, started_at)
    results: dict[int, TableResult] = {}
    waiting = iter(enumerate(suite.tables, start=1))
    lock = threading.Lock()

    def check_tables() -> None:
        while True:
            with lock:
                number, table = next(waiting, (0, None))
                if table is None:
                    return
                if on_progress is not None:
                    on_progress(
                        Progress(
                            table=table.table,
                            checks=len(table.checks),
                            number=number,
                            tables=len(suite.tables),
                        )
                    )
            results[number] = TableRun(table, tables, told).result()

    call_all([check_tables] * min(lakehouse.queries_at_once, len(suite.tables)))
    return Report(
        suite=suite.name,
        engine=lakehouse.engine,
        started_at=started_at,
        duration_seconds=time.perf_counter() - began,
        tables=tuple(results[number] for number in sorted(results)),
    )
