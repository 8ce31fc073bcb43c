"""Rows that break a check, told from those that don't, and set aside with the reasons."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from spectra_logging.errors import ConfigurationError
from spectra_logging.lakehouse.base import Commit, Lakehouse, QueryResult, Transaction
from spectra_logging.paths import is_catalog_name
from spectra_logging.redaction import REDACTED, is_secret_key, redact_text
from spectra_logging.tables import Column, TableSpec
from spectra_stage.validation.batch import Batch
from spectra_stage.validation.checks import Check, CountingCheck, Masked
from spectra_stage.validation.opened import OpenTables
from spectra_stage.validation.suite import distinct_names, place_of
from spectra_stage.validation.view import ImpossibleError, TableView

__all__ = ["QUARANTINE", "Split", "split"]

QUARANTINE = TableSpec(
    name="quarantine.rows",
    comment="Rows that broke a check: one row a row and version.",
    columns=(
        Column(name="table_name", type="string", nullable=False, comment="Its table."),
        Column(name="table_version", type="long", nullable=False, comment="The table's version."),
        Column(name="reasons", type="array<string>", nullable=False, comment="What it broke."),
        Column(
            name="row",
            type="string",
            nullable=False,
            comment="Its values by column, a JSON object.",
            json="object",
        ),
        Column(name="quarantined_at", type="timestamp", nullable=False, comment="When, in UTC."),
    ),
)
"""``quarantine.<stage>_<entity>``: rows that broke a check."""


def split(
    table: str,
    checks: Sequence[Check],
    lakehouse: Lakehouse,
    *,
    root: str | Path | None = None,
    places: Mapping[str, str] | None = None,
) -> Split:
    """Tell a table's good rows from its bad ones, at the version that it has now.

    A row is bad when it breaks a check of severity ``error``, whatever the check's tolerance. Of
    rows that repeat a key all are bad. Nothing is removed: the table stays as it is.

    Args:
        table: The table's dotted name.
        checks: The checks; those that are not about rows are left alone.
        lakehouse: The engine.
        root: The folder or URI that relative paths are below.
        places: Paths or URIs of tables that are somewhere else, by dotted name.

    Raises:
        ConfigurationError: No check is about rows, or one can't be asked of the table.
        LakehouseError: The table can't be read.
    """

    def place(name: str) -> str:
        return place_of(name, None, root=root, places=places)

    # As the report on all of the checks calls them.
    asked = {
        name: check
        for name, check in zip(distinct_names(checks), checks, strict=True)
        if isinstance(check, CountingCheck) and check.severity == "error"
    }
    if not asked:
        raise ConfigurationError(f"checks of {table}: none of them is an error of single rows")
    tables = OpenTables(lakehouse, place, dt.datetime.now(dt.timezone.utc))
    view = tables.open(table).view
    try:
        flagged = _flagged(view, asked.values())
        if (dialect := tables.dialect(table)) is not view.dialect:
            flagged = _flagged(replace(view, dialect=dialect), asked.values())
    except ImpossibleError as error:
        raise ConfigurationError(f"{table} can't be split: {error}") from error
    hidden = {
        name.lower() for check in checks if isinstance(check, Masked) for name in check.columns
    }
    return Split(
        tables=tables, table=table, checks=asked, flagged=flagged, hidden=hidden, root=root
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """A table's good rows and its bad ones.

    Rows are read when they are asked for, of the version that the table had when it was split.

    Args:
        tables: The tables that are read.
        table: The table's dotted name.
        checks: The checks that rows may break, by name.
        flagged: A statement for all rows, each with a flag for each check.
        hidden: Columns of which nothing may be shown, in lower case.
        root: The folder or URI that relative paths are below.
    """

    tables: OpenTables
    table: str
    checks: Mapping[str, CountingCheck]
    flagged: str
    hidden: set[str]
    root: str | Path | None = None

    @property
    def version(self) -> int:
        """The table's version that was split."""
        return self.tables.open(self.table).version

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many rows break each check, by its words."""
        counted = ", ".join(f"count({_flag(n)}) AS {_flag(n)}" for n in range(len(self.checks)))
        (row,) = self._query(f"SELECT {counted} FROM ({self.flagged}) AS flagged")
        return {name: int(n) for name, n in zip(self.checks, row, strict=True)}

    @cached_property
    def good(self) -> QueryResult:
        """The rows that break nothing, as they are in the table."""
        none = " AND ".join(f"{_flag(n)} IS NULL" for n in range(len(self.checks)))
        rows = self._query(f"SELECT {self._columns} FROM ({self.flagged}) AS flagged WHERE {none}")
        return QueryResult(columns=self._names, rows=rows)

    @cached_property
    def bad(self) -> QueryResult:
        """The rows that break something, and as a last column, ``reasons``, what they break."""
        flags = [_flag(n) for n in range(len(self.checks))]
        some = " OR ".join(f"{flag} IS NOT NULL" for flag in flags)
        found = self._query(
            f"SELECT {self._columns}, {', '.join(flags)} FROM ({self.flagged}) AS flagged "
            f"WHERE {some}"
        )
        width = len(self._names)
        rows = tuple((*row[:width], self._reasons(row[width:])) for row in found)
        return QueryResult(columns=(*self._names, "reasons"), rows=rows)

    def append(self, place: str | None = None) -> Commit:
        """Append the bad rows to a quarantine table, exactly once.

        Called again for the same rows it writes nothing. Values of columns that hold secrets are
        written as ``***``.

        Args:
            place: The table's path, URI or name in a catalog; a relative path is below the same
                root as the table's. By default ``Tables/quarantine/<stage>_<entity>``.

        Returns:
            The commit; where no row is bad none is made, and this is the table as it was.

        Raises:
            LakehouseError: The quarantine table can't be written to.
        """
        lakehouse = self.tables.lakehouse
        name = f"quarantine.{self.table.replace('.', '_')}"
        if not place:
            place = self.tables.place_of(name)
        elif not is_catalog_name(place):
            place = place_of(name, place, root=self.root)
        rows = sorted(map(self._quarantined, self.bad.rows))
        lakehouse.ensure(place, QUARANTINE)
        if not rows:
            # It would leave an empty entry and a transaction for each version of a sound table.
            return Commit(version=lakehouse.version(place), replayed=True)
        at = int(dt.datetime.now(dt.timezone.utc).timestamp() * 1_000_000)
        # The same rows of the same version are the same transaction, whenever they come again.
        digest = hashlib.sha256(b"\n".join(rows)).hexdigest()
        lines = b"".join(b'%s,"quarantined_at":%d}\n' % (row[:-1], at) for row in rows)
        return lakehouse.append(
            place,
            lines,
            QUARANTINE,
            transaction=Transaction(application_id=f"{name}:{self.version}:{digest}", version=1),
        )

    def _quarantined(self, row: tuple[Any, ...]) -> bytes:
        # By position: the table may have a column `reasons` of its own.
        *values, reasons = row
        shown = {
            name: REDACTED
            if value is not None and name.lower() in self.hidden
            else _shown(name, value)
            for name, value in zip(self._names, values, strict=True)
        }
        return msgspec.json.encode(
            {
                "table_name": self.table,
                "table_version": self.version,
                "reasons": list(reasons),
                "row": msgspec.json.encode(shown).decode(),
            }
        )

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.tables.open(self.table).view.columns)

    @property
    def _columns(self) -> str:
        quote = self.tables.dialect(self.table).quote
        return ", ".join(map(quote, self._names))

    def _reasons(self, flags: Sequence[Any]) -> list[str]:
        return [name for name, flag in zip(self.checks, flags, strict=True) if flag is not None]

    def _query(self, statement: str) -> tuple[tuple[Any, ...], ...]:
        return Batch(self.tables, self.table).query(statement)


def _flagged(view: TableView, checks: Collection[CountingCheck]) -> str:
    # Without t in front of them, which may be a column, too; what is joined has names of its own.
    columns = ", ".join(view.dialect.quote(column.name) for column in view.columns)
    flags = "".join(
        f",\nCASE WHEN (\n{check.breaks(view)}\n) THEN 1 END AS {_flag(number)}"
        for number, check in enumerate(checks)
    )
    # Two checks of one reference are joined once.
    joins = dict.fromkeys(join for check in checks if (join := check.join(view)))
    return f"SELECT {columns}{flags}\nFROM t\n" + "\n".join(joins)


def _flag(number: int) -> str:
    return f"spectra_flag_{number}"


def _shown(name: str, value: Any) -> Any:
    return REDACTED if value is not None and is_secret_key(name) else _plain(value)


def _plain(value: Any) -> Any:
    """A value as JSON has it, without secrets, and else with nothing lost: NaN is no null.

    Secrets are looked for here and not in the JSON, whose quotes they would take with them.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {redact_text(str(key)): _shown(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return redact_text(base64.b64encode(value).decode())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = str(value)
    redacted = redact_text(text)
    return value if redacted == text else redacted
