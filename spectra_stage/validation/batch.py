"""All that a table's checks ask, in one statement; taken apart only when that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spectra_logging.errors import (
    LakehouseError,
    TableForbiddenError,
    TableNotFoundError,
    TableUnavailableError,
    TableUnreadableError,
)
from spectra_stage.validation.opened import OpenTables
from spectra_stage.validation.samples import engine_log_silenced, error_in_words

__all__ = ["Batch"]

# Names that no column has by accident.
ROWS = "spectra_rows"

_KINDS = (
    TableForbiddenError,
    TableNotFoundError,
    TableUnavailableError,
    TableUnreadableError,
    LakehouseError,
)
_Rows = tuple[tuple[Any, ...], ...]


@dataclass
class Batch:
    """What is asked of one table.

    Args:
        tables: The run's tables.
        table: The one that is asked, by its dotted name.

    Attributes:
        statements: How many statements were run.
        rows: The table's rows, once they are known.
    """

    tables: OpenTables
    table: str
    statements: int = 0
    rows: int | None = None
    _known: dict[str, _Rows] = field(default_factory=dict)

    def ask(
        self, scalars: Mapping[int, Mapping[str, str]]
    ) -> dict[int, dict[str, Any] | LakehouseError]:
        """The scalars of each check by its number; an error for a check that can't be asked.

        Where the one statement fails, each half is asked by itself, down to the check that is to
        blame.
        """
        found: dict[int, dict[str, Any] | LakehouseError] = {}
        self._ask(scalars, found)
        if self.rows is None:
            self.rows = int(self.query(f"SELECT count(*) AS {ROWS} FROM t")[0][0])
        return found

    def query(self, statement: str) -> _Rows:
        """The rows of a statement of its own; one that was run before is not run again.

        Raises:
            LakehouseError: It failed; the message has none of the table's values.
        """
        if statement not in self._known:
            self._known[statement] = self._run(statement)
        return self._known[statement]

    def _ask(
        self,
        scalars: Mapping[int, Mapping[str, str]],
        found: dict[int, dict[str, Any] | LakehouseError],
    ) -> None:
        expressions = list(
            dict.fromkeys(sql for asked in scalars.values() for sql in asked.values())
        )
        try:
            values = self._row(expressions)
        except LakehouseError as error:
            numbers = list(scalars)
            if len(numbers) < 2 or not self._to_blame(error):
                found.update(dict.fromkeys(numbers, error))
                return
            half = len(numbers) // 2
            for part in (numbers[:half], numbers[half:]):
                self._ask({number: scalars[number] for number in part}, found)
            return
        for number, asked in scalars.items():
            found[number] = {name: values[sql] for name, sql in asked.items()}

    def _row(self, expressions: Sequence[str]) -> dict[str, Any]:
        """The values of expressions, and the number of rows."""
        if not expressions and self.rows is not None:
            return {}
        aliases = {sql: f"spectra_{number}" for number, sql in enumerate(expressions)}
        aggregates = {sql: alias for sql, alias in aliases.items() if not _is_subquery(sql)}
        listed = "".join(f",\n{sql} AS {alias}" for sql, alias in aggregates.items())
        statement = f"SELECT count(*) AS {ROWS}{listed}\nFROM t"
        subqueries = "".join(
            f",\n{sql} AS {alias}" for sql, alias in aliases.items() if _is_subquery(sql)
        )
        if subqueries:
            # Spark takes no subquery beside aggregates.
            statement = (
                f"SELECT spectra_counted.*{subqueries}\nFROM (\n{statement}\n) AS spectra_counted"
            )
        (row,) = self._run(statement)
        self.rows = int(row[0])
        in_order = [*aggregates, *(sql for sql in expressions if sql not in aggregates)]
        return dict(zip(in_order, row[1:], strict=True))

    def _run(self, statement: str) -> _Rows:
        places, versions = self.tables.sources(self.table, statement)
        self.statements += 1
        try:
            with engine_log_silenced():
                return self.tables.lakehouse.query(statement, places, versions=versions).rows
        except LakehouseError as error:
            names = {column.name for column in self.tables.open(self.table).view.columns}
            kind = next(kind for kind in _KINDS if isinstance(error, kind))
            raise kind(error_in_words(error, statement, names)) from None

    def _to_blame(self, error: LakehouseError) -> bool:
        """Whether the statement may be to blame, and not the table."""
        if isinstance(error, (TableForbiddenError, TableUnreadableError)):
            # It may be another that can't be read.
            return self.tables.names_others(self.table)
        return self.tables.is_in_reach(self.table)


def _is_subquery(expression: str) -> bool:
    return expression.startswith("(SELECT")
