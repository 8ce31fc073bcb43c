"""The tables of a run, each opened once and looked at in one version."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from spectra_logging.errors import LakehouseError, TableNotFoundError
from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.lakehouse.dialect import DATAFUSION, Dialect
from spectra_stage.validation.view import ImpossibleError, TableView

__all__ = ["OpenTable", "OpenTables"]

ATTEMPTS = 5
"""How often to look anew when a table changes between two looks."""


@dataclass(frozen=True, kw_only=True)
class OpenTable:
    """A table at one version.

    Args:
        place: Its path or URI.
        version: The version.
        view: It, as checks see it.
    """

    place: str
    version: int
    view: TableView


class OpenTables:
    """The tables of a run by their dotted names. Safe for several threads, a table each.

    Args:
        lakehouse: The engine.
        place_of: Where a table is, by its dotted name.
        now: When the run began.
    """

    def __init__(
        self, lakehouse: Lakehouse, place_of: Callable[[str], str], now: dt.datetime
    ) -> None:
        self.lakehouse = lakehouse
        self.place_of = place_of
        self._now = now
        self._opened: dict[str, OpenTable | LakehouseError] = {}
        self._sql_names: dict[str, str] = {}
        self._others: dict[str, set[str]] = {}
        self._lock = threading.RLock()

    def open(self, table: str) -> OpenTable:
        """The table, at the version that it had when it was first asked for.

        Raises:
            LakehouseError: It can't be opened; the same each time.
        """
        with self._lock:
            if table not in self._opened:
                try:
                    self._opened[table] = self._open(table)
                except LakehouseError as error:
                    self._opened[table] = error
        found = self._opened[table]
        if isinstance(found, LakehouseError):
            raise found
        return found

    def is_in_reach(self, table: str) -> bool:
        """Whether a table that was opened can still be."""
        with self._lock:
            try:
                self.lakehouse.version(self.open(table).place)
            except LakehouseError:
                return False
        return True

    def sources(self, table: str, statement: str) -> tuple[dict[str, str], dict[str, int]]:
        """The places and versions of a table, ``t``, and of the others that a statement names."""
        named = self._named(table)
        words = {"t", *re.findall(r"\w+", statement)}
        needed = {name: opened for name, opened in named.items() if name in words}
        # Without the others, another engine may take it, for which it is not written.
        if self._dialect(needed) is self._dialect(named):
            named = needed
        return _sources(named)

    def names_others(self, table: str) -> bool:
        """Whether the table's checks name others."""
        return bool(self._others.get(table))

    def dialect(self, table: str) -> Dialect:
        """How statements on a table, and on those that its checks name, are to be written."""
        named = self._named(table)
        if self._dialect(named) is DATAFUSION:
            # What the embedded engine lacks shows only in a query; Spark takes that over, and would
            # read it as if it were written for it.
            with suppress(LakehouseError):
                places, versions = _sources(named)
                self.lakehouse.query("SELECT 1 AS one", places, versions=versions)
        return self._dialect(named)

    def _named(self, table: str) -> dict[str, OpenTable]:
        """A table and all others that its checks name, by their names in statements."""
        named = {"t": self.open(table)}
        for other in self._others.get(table, ()):
            named[self._sql_names[other]] = self.open(other)
        return named

    def _dialect(self, named: Mapping[str, OpenTable]) -> Dialect:
        return self.lakehouse.dialect([opened.place for opened in named.values()])

    def _open(self, table: str) -> OpenTable:
        place = self.place_of(table)
        version = self.lakehouse.version(place)
        for _ in range(ATTEMPTS):
            columns = self.lakehouse.schema(place)
            # Columns that came with a later version are not in this one.
            newest = self.lakehouse.version(place)
            if newest == version:
                break
            version = newest
        view = TableView(
            table=table,
            columns=columns,
            dialect=self.lakehouse.dialect([place]),
            now=self._now,
            opens=partial(self._other, table),
        )
        return OpenTable(place=place, version=version, view=view)

    def _other(self, of: str, table: str) -> TableView:
        """The view of a table that the checks of another name."""
        try:
            view = self.open(table).view
        except TableNotFoundError:
            raise ImpossibleError(f"there is no table {table}", table=table) from None
        except LakehouseError as error:
            raise ImpossibleError(f"{table} can't be read: {error}", table=table) from error
        self._others.setdefault(of, set()).add(table)
        with self._lock:
            # Names that no statement of a user's has by accident.
            sql_name = self._sql_names.setdefault(table, f"spectra_other_{len(self._sql_names)}")
        return replace(view, sql_name=sql_name)


def _sources(named: Mapping[str, OpenTable]) -> tuple[dict[str, str], dict[str, int]]:
    places = {name: opened.place for name, opened in named.items()}
    return places, {name: opened.version for name, opened in named.items()}
