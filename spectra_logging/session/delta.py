"""``session.delta``: whole tables written and registered from a notebook."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from spectra_logging.errors import ConfigurationError
from spectra_logging.fabric import has_schemas
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.spark_found import SessionReference
from spectra_logging.paths import resolve_table

if TYPE_CHECKING:
    from spectra_logging.lakehouse.base import ArrowStream, Lakehouse

__all__ = ["DeltaTables"]

_logger = logging.getLogger(__name__)

_ARROW_EXPORTS = ("__arrow_c_stream__", "__arrow_c_array__")


class DeltaTables:
    """Writes and registers Delta tables; the engine opens with the first use.

    Args:
        spark: A Spark session for what only Spark can do: registering, and tables that the
            embedded engine does not reach. It is not kept alive.
    """

    def __init__(self, spark: Any | None = None) -> None:
        self._spark = SessionReference(spark)
        self._lakehouse: Lakehouse | None = None
        self._names_have_schemas: bool | None = None

    @property
    def lakehouse(self) -> Lakehouse:
        """The engine that the session's tables go through."""
        if self._lakehouse is None:
            self._lakehouse = open_lakehouse(spark=self._spark.get())
        return self._lakehouse

    def write(
        self, df: ArrowStream | Any, table_name: str, path: str, mode: str = "overwrite"
    ) -> int:
        """Write a data frame as a Delta table, then register it.

        Args:
            df: Anything that exports an Arrow stream: pyarrow, polars, DuckDB, arro3, pandas 2.2;
                or a data frame of Spark's, which its own session writes.
            table_name: Its name in the metastore, ``source.endpoints``.
            path: Its place, ``Tables/source/endpoints``.
            mode: ``overwrite`` replaces all rows in one commit, ``append`` adds to them.

        Returns:
            The table's version after the write.

        Raises:
            ConfigurationError: It is no such data frame, or there is no such mode.
            LakehouseError: The table could not be written.
        """
        spark = getattr(df, "sparkSession", None)
        if spark is None and not any(hasattr(df, name) for name in _ARROW_EXPORTS):
            raise ConfigurationError(
                f"{table_name} takes a data frame of Spark's or one that exports Arrow, not "
                f"{type(df).__name__}: pass pyarrow.Table.from_pylist(rows), or "
                "pyarrow.Table.from_pandas(df) of a pandas before 2.2"
            )
        writing = self.lakehouse if spark is None else open_lakehouse("spark", spark=spark)
        version = writing.write(resolve_table(path), df, mode=mode)
        self.register(table_name, path)
        return version

    def register(self, table_name: str, path: str) -> bool:
        """Register a table in the metastore; a failure is told as a warning, never raised.

        That takes a Spark session, whichever engine has written the table. In a Fabric lakehouse
        without schemas, ``source.endpoints`` is registered as ``source_endpoints``.

        Returns:
            Whether there is a metastore that took it. Without Spark there is none, and the table
            is found by its path.
        """
        try:
            if "." in table_name and self._without_schemas():
                table_name = table_name.replace(".", "_")
            return self.lakehouse.register(resolve_table(path), table_name)
        except Exception as error:  # noqa: BLE001 - registration never fails a stage
            _logger.warning("table %s at %s could not be registered: %s", table_name, path, error)
            return False

    def _without_schemas(self) -> bool:
        if self._names_have_schemas is None:
            self._names_have_schemas = has_schemas() is not False
        return not self._names_have_schemas
