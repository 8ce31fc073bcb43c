"""Prepare's tables, made to fit before the stage first runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spectra_logging.errors import SchemaConflictError
from spectra_logging.lakehouse.base import Lakehouse, TableChange
from spectra_logging.paths import resolve_table
from spectra_logging.session.delta import DeltaTables
from spectra_stage.tables import PREPARE_TABLES, table_path

__all__ = ["PrepareReport", "PreparedTable", "initialize_prepare_stage"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PreparedTable:
    """What was done to one table, or would be.

    Args:
        name: Its dotted name, ``prepare._schema``.
        path: Its absolute path or URI.
        created: It was missing.
        added_columns: The columns that it lacked.
        registered: Whether there is a metastore, which has it under its name now.
    """

    name: str
    path: str
    created: bool = False
    added_columns: tuple[str, ...] = ()
    registered: bool = False

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.created or bool(self.added_columns)

    @property
    def in_words(self) -> str:
        """``created``, ``added group, notes``, or ``nothing to do``."""
        if self.created:
            return "created"
        return f"added {', '.join(self.added_columns)}" if self.added_columns else "nothing to do"


@dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """What the initialisation did, or would do.

    Args:
        tables: One entry a table.
        planned: Whether this is a plan, and nothing was done.
    """

    tables: tuple[PreparedTable, ...]
    planned: bool = False

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return any(table.changed for table in self.tables)

    def __str__(self) -> str:
        lines = [f"{table.name}: {table.in_words}" for table in self.tables]
        return "; ".join([*lines, "nothing was changed: a plan"] if self.planned else lines)

    def summary(self) -> dict[str, Any]:
        """What a log record tells of it."""
        return {
            "created": [table.name for table in self.tables if table.created],
            "added_columns": {
                table.name: list(table.added_columns)
                for table in self.tables
                if table.added_columns
            },
        }


def initialize_prepare_stage(
    *,
    delta: DeltaTables | None = None,
    logger: Any | None = None,
    source_system: str | None = None,
    plan: bool = False,
) -> PrepareReport:
    """Make ``prepare._schema``, ``prepare._endpoints`` and ``prepare._statusMap`` fit their specs.

    Creates the tables that are missing, empty, and adds the columns that are missing. Extra
    columns and all rows are left alone. All tables are looked at before one is changed. Two
    callers may race: the tables come out the same. Tables are registered where there is a
    metastore.

    Args:
        delta: The session's tables, ``session.delta``; by default those of ``auto``.
        logger: Where to tell what was done; by default this module's logger.
        source_system: Named in what is told.
        plan: Whether to change nothing and say what would be done.

    Raises:
        SchemaConflictError: Columns of existing tables contradict the specs. The message lists
            each difference, and no table was changed.
        LakehouseError: A table could not be read or made.
    """
    delta = delta or DeltaTables()
    places = [resolve_table(table_path(spec)) for spec in PREPARE_TABLES]
    changes = _planned(delta.lakehouse, places)
    if not plan:
        changes = [
            delta.lakehouse.ensure(place, spec)
            for spec, place in zip(PREPARE_TABLES, places, strict=True)
        ]
    report = PrepareReport(
        tables=tuple(
            PreparedTable(
                name=spec.name,
                path=place,
                created=change.created,
                added_columns=change.added_columns,
                registered=not plan and delta.register(spec.name, table_path(spec)),
            )
            for spec, place, change in zip(PREPARE_TABLES, places, changes, strict=True)
        ),
        planned=plan,
    )
    told = f"{source_system}: {report}" if source_system else str(report)
    # Arguments are not for structlog's generic logger.
    (logger or _logger).info(f"prepare stage initialised: {told}")
    return report


def _planned(lakehouse: Lakehouse, places: Sequence[str]) -> list[TableChange]:
    """What each table needs.

    Raises:
        SchemaConflictError: Some contradict their specs; every difference of all is in it.
    """
    changes, conflicts = [], []
    for spec, place in zip(PREPARE_TABLES, places, strict=True):
        try:
            changes.append(lakehouse.plan(place, spec))
        except SchemaConflictError as conflict:
            conflicts.append(conflict)
    if len(conflicts) > 1:
        raise SchemaConflictError(
            ", ".join(conflict.table for conflict in conflicts),
            [
                f"{conflict.table}: {difference}"
                for conflict in conflicts
                for difference in conflict.differences
            ],
        )
    if conflicts:
        raise conflicts[0]
    return changes
