"""``engine="auto"``: each table through the engine that suits it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from spectra_logging.errors import UnsupportedFeaturesError
from spectra_logging.lakehouse.base import (
    ArrowStream,
    Commit,
    Lakehouse,
    QueryResult,
    Staged,
    Stager,
    TableChange,
    Transaction,
    UpkeepReport,
)
from spectra_logging.lakehouse.choice import EngineChoice, choose_engine
from spectra_logging.lakehouse.dialect import DATAFUSION, SPARK, Dialect
from spectra_logging.lakehouse.spark_found import SessionReference
from spectra_logging.lakehouse.storage import check_storage_options, why_unreached
from spectra_logging.tables import Column, TableSpec

__all__ = ["AutoLakehouse"]

_T = TypeVar("_T")


class AutoLakehouse(Lakehouse):
    """Delta tables, each through the engine that :func:`choose_engine` names for it.

    Engines open with their first table. A choice stands, but for a table that turns out to use
    Delta features the embedded engine lacks, and for one that only Spark could reach while there
    was no session.

    Args:
        engine: ``auto``, or ``deltalake`` for the embedded engine with Spark's metastore to
            register in.
        storage_options: Options of the object store, as delta-rs takes them.
        spark: The Spark session to turn to; by default one that is known or active then.

    Raises:
        ConfigurationError: An option holds nonsense.
    """

    def __init__(
        self,
        engine: str = "auto",
        storage_options: Mapping[str, str] | None = None,
        spark: Any | None = None,
    ) -> None:
        self._asked_for = engine
        self._options = check_storage_options(storage_options)
        self._session = SessionReference(spark)
        self._engines: dict[str, Lakehouse] = {}
        self._choices: dict[str, EngineChoice] = {}
        self._lacking: dict[str, str] = {}
        self._wants_spark: set[str] = set()
        self._last_used = "deltalake"

    @property
    def engine(self) -> str:  # type: ignore[override]
        """Name of the engine that served last; before that, of the one that comes first."""
        return self._last_used

    def choice(self, table: str) -> EngineChoice | None:
        """The engine that serves a table and why; ``None`` before it was needed."""
        return self._choices.get(table)

    def delivery(self, table: str) -> str:
        """What the engine that serves a table promises of it."""
        choice = self._choices.get(table)
        engine = self._engines.get(choice.engine) if choice else None
        return engine.delivery(table) if engine else super().delivery(table)

    def dialect(self, tables: Iterable[str]) -> Dialect:
        """The SQL of the engine that runs a statement over these tables."""
        return SPARK if self._name_for(list(tables)) == "spark" else DATAFUSION

    def exists(self, table: str) -> bool:
        """Whether there is a Delta table at that place."""
        return self._through(table, lambda engine: engine.exists(table))

    def schema(self, table: str) -> tuple[Column, ...]:
        """The table's columns, in order."""
        return self._through(table, lambda engine: engine.schema(table))

    def version(self, table: str) -> int:
        """The table's newest version."""
        return self._through(table, lambda engine: engine.version(table))

    def ensure(self, table: str, spec: TableSpec) -> TableChange:
        """Make the table fit the spec."""
        return self._through(table, lambda engine: engine.ensure(table, spec))

    def stager(self, table: str, spec: TableSpec) -> Stager | None:
        """What writes rows ahead of their append, if the table's engine can."""
        return self._through(table, lambda engine: engine.stager(table, spec))

    def append(
        self,
        table: str,
        rows: bytes,
        spec: TableSpec,
        *,
        transaction: Transaction,
        staged: Staged | None = None,
    ) -> Commit:
        """Append rows as one commit, exactly once per transaction, whichever engine it was."""
        return self._through(
            table,
            lambda engine: engine.append(table, rows, spec, transaction=transaction, staged=staged),
        )

    def split_refused(
        self, table: str, rows: bytes, spec: TableSpec
    ) -> tuple[bytes, list[tuple[bytes, str]]]:
        """Tell the rows that the table takes from those that its constraints keep out."""
        return self._through(table, lambda engine: engine.split_refused(table, rows, spec))

    def transaction_version(self, table: str, application_id: str) -> int | None:
        """The newest version committed under that application id."""
        return self._through(
            table, lambda engine: engine.transaction_version(table, application_id)
        )

    def write(
        self,
        table: str,
        data: ArrowStream | Sequence[Mapping[str, Any]],
        *,
        spec: TableSpec | None = None,
        mode: str = "overwrite",
        replacing: Mapping[str, str] | None = None,
    ) -> int:
        """Write a whole data set."""
        return self._through(
            table,
            lambda engine: engine.write(table, data, spec=spec, mode=mode, replacing=replacing),
        )

    def query(
        self, sql: str, tables: Mapping[str, str], *, versions: Mapping[str, int] | None = None
    ) -> QueryResult:
        """Run one statement: in Spark where it serves any of the tables, else embedded."""
        return self._through_one(
            tables.values(), lambda engine: engine.query(sql, tables, versions=versions)
        )

    def register(self, table: str, name: str) -> bool:
        """Register in the Spark session's metastore, also a table that it does not write."""
        return self._session.alive and self._opened("spark").register(table, name)

    def upkeep(self, table: str) -> UpkeepReport:
        """Keep the table fast to append to and to read."""
        return self._through(table, lambda engine: engine.upkeep(table))

    # -- inside ------------------------------------------------------------------------------

    def _through(self, table: str, use: Callable[[Lakehouse], _T]) -> _T:
        return self._through_one([table], use)

    def _through_one(self, tables: Iterable[str], use: Callable[[Lakehouse], _T]) -> _T:
        """Use the one engine that serves all of some tables."""
        tables = list(tables)
        name = self._name_for(tables)
        try:
            return use(self._opened(name))
        except UnsupportedFeaturesError as error:
            if name != "deltalake":
                raise
            for table in tables:
                # It may name several, and one's place may begin as another's does.
                if f", {table}, " in f", {error.table}, ":
                    self._lacking[table] = error.features
                    self._choices.pop(table, None)
            if self._name_for(tables) == name:
                raise
        return use(self._opened("spark"))

    def _name_for(self, tables: Sequence[str]) -> str:
        names = {self._choose(table).engine for table in tables}
        return "spark" if "spark" in names else "deltalake"

    def _choose(self, table: str) -> EngineChoice:
        known = self._choices.get(table)
        # One that went embedded for want of a session is chosen for anew.
        if known is not None and (known.engine == "spark" or table not in self._wants_spark):
            return known
        unreached = why_unreached(table, self._options)
        lacking = self._lacking.get(table)
        in_doubt = unreached is not None or lacking is not None
        if in_doubt:
            self._wants_spark.add(table)
        choice = choose_engine(
            engine=self._asked_for,
            environment=os.environ.get("SPECTRA_ENGINE"),
            table=table,
            # Not asked where it makes no difference: a look at the session is a call to the JVM.
            has_spark=in_doubt and self._session.alive,
            unreached=unreached,
            lacking=lacking,
        )
        self._choices[table] = choice
        return choice

    def _opened(self, name: str) -> Lakehouse:
        opened = self._engines.get(name)
        if opened is None:
            if name == "spark":
                from spectra_logging.lakehouse.spark import SparkLakehouse

                opened = SparkLakehouse(self._session.get(), self._options)
            else:
                from spectra_logging.lakehouse.deltalake import EmbeddedLakehouse

                opened = EmbeddedLakehouse(self._options)
            self._engines[name] = opened
        self._last_used = name
        return opened
