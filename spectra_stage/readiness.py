"""May the next stage start? Each condition with what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spectra_logging.activity import SUCCESS
from spectra_logging.errors import LakehouseError, TableNotFoundError
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.paths import resolve_table
from spectra_stage.errors import NotReadyError
from spectra_stage.source.settings import DEFAULT_CONTRACT_VERSION
from spectra_stage.tables import SOURCE_ENDPOINTS, SOURCE_PORTFOLIO, SOURCE_TABLES, table_path

__all__ = ["Condition", "Readiness", "check"]

SOURCE_LOG = "Tables/log/sourcelog"

# One row a source system: the names of source systems need no quoting this way.
_NEWEST_RECORDS = """
SELECT source_system, status, execution_id, recorded_at FROM (
    SELECT source_system, status, execution_id, recorded_at,
        row_number() OVER (
            PARTITION BY source_system ORDER BY recorded_at DESC, activity_id DESC
        ) AS place
    FROM log WHERE event = 'record'
) AS records WHERE place = 1
"""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition.

    Args:
        name: What must be so.
        ok: Whether it is.
        finding: What was found, in words.
    """

    name: str
    ok: bool
    finding: str


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Whether the stage after Source may start.

    Args:
        source_system: The source system asked about.
        conditions: Each condition, in the order in which they were looked at.
        execution_id: The run that downstream stages cite; ``None`` when none was recorded.
    """

    source_system: str
    conditions: tuple[Condition, ...]
    execution_id: str | None

    @property
    def ready(self) -> bool:
        """Whether every condition holds."""
        return all(condition.ok for condition in self.conditions)

    def require(self) -> str:
        """The execution id to cite.

        Raises:
            NotReadyError: Some condition does not hold; the message has each finding.
        """
        failed = [condition.finding for condition in self.conditions if not condition.ok]
        if failed or self.execution_id is None:
            raise NotReadyError(
                f"the stage after Source may not start for {self.source_system}: "
                f"{'; '.join(failed)}. Run the Source stage again, then ask anew."
            )
        return self.execution_id


def check(
    source_system: str,
    *,
    contract_version: str = DEFAULT_CONTRACT_VERSION,
    lakehouse: Lakehouse | None = None,
) -> Readiness:
    """Look whether the Source stage has left all that the next stage needs.

    The newest record of the source system in ``Tables/log/sourcelog`` says Success; the ``source``
    tables are there; ``source.portfolio`` says that authentication succeeded, counts as many
    endpoints as ``source.endpoints`` has, and names the expected contract.

    A table that can't be read is a finding, and no exception.

    Args:
        source_system: The source system's key.
        contract_version: The contract that the next stage was made for.
        lakehouse: The engine to ask; by default ``auto``.
    """
    look = _Look(lakehouse or open_lakehouse(), source_system)
    conditions = (
        look.condition("recorded", look.record),
        look.condition("tables", look.tables),
        look.condition("authenticated", look.authentication),
        look.condition("endpoints", look.endpoints),
        look.condition("contract", lambda: look.contract(contract_version)),
    )
    return Readiness(
        source_system=source_system, conditions=conditions, execution_id=look.execution_id
    )


class _Look:
    """One look at the tables; each condition gives whether it holds, and the finding."""

    def __init__(self, lakehouse: Lakehouse, source_system: str) -> None:
        self.execution_id: str | None = None
        self._lakehouse = lakehouse
        self._source_system = source_system
        self._portfolio: dict[str, Any] | None = None

    def condition(self, name: str, look: Callable[[], tuple[bool, str]]) -> Condition:
        try:
            ok, finding = look()
        except TableNotFoundError as error:
            ok, finding = False, str(error)
        except LakehouseError as error:
            ok, finding = False, f"{type(error).__name__}: {error}"
        return Condition(name=name, ok=ok, finding=finding)

    def record(self) -> tuple[bool, str]:
        place = resolve_table(SOURCE_LOG)
        row = self._row_of(_NEWEST_RECORDS, "log", place)
        if row is None:
            return False, f"{place} has no record of {self._source_system}"
        self.execution_id = row["execution_id"]
        at = f"{row['recorded_at']:%Y-%m-%d %H:%M:%S} UTC"
        return row["status"] == SUCCESS, f"{row['execution_id']} ended as {row['status']} at {at}"

    def tables(self) -> tuple[bool, str]:
        missing = [
            spec.name
            for spec in SOURCE_TABLES
            if not self._lakehouse.exists(resolve_table(table_path(spec)))
        ]
        if missing:
            return False, f"missing: {', '.join(missing)}"
        return True, f"all {len(SOURCE_TABLES)} source tables are there"

    def authentication(self) -> tuple[bool, str]:
        row = self._portfolio_row()
        if row is None:
            return False, f"source.portfolio has no row of {self._source_system}"
        status = row["auth_status"]
        return status == SUCCESS, f"source.portfolio says auth_status {status}"

    def endpoints(self) -> tuple[bool, str]:
        row = self._portfolio_row()
        counted = self._lakehouse.query(
            "SELECT count(*) AS n FROM endpoints",
            {"endpoints": resolve_table(table_path(SOURCE_ENDPOINTS))},
        ).rows[0][0]
        expected = None if row is None else row["total_endpoints"]
        return (
            counted == expected,
            f"source.endpoints has {counted} rows, source.portfolio counts {expected}",
        )

    def contract(self, expected: str) -> tuple[bool, str]:
        row = self._portfolio_row()
        version = None if row is None else row["contract_version"]
        return (
            version == expected,
            f"source.portfolio has contract {version}, expected is {expected}",
        )

    def _portfolio_row(self) -> dict[str, Any] | None:
        if self._portfolio is None:
            self._portfolio = self._row_of(
                "SELECT source_system, auth_status, total_endpoints, contract_version "
                "FROM portfolio",
                "portfolio",
                resolve_table(table_path(SOURCE_PORTFOLIO)),
            )
        return self._portfolio

    def _row_of(self, sql: str, name: str, place: str) -> dict[str, Any] | None:
        """The source system's row; ``None`` when there is none."""
        rows = self._lakehouse.query(sql, {name: place}).to_dicts()
        return next((row for row in rows if row["source_system"] == self._source_system), None)
