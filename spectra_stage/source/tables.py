"""The rows of the four ``source`` tables, and writing them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from spectra_logging._version import __version__
from spectra_logging.paths import resolve_table
from spectra_logging.session import NotebookSession
from spectra_logging.tables import TableSpec, is_type_of_spec
from spectra_stage.catalog import EndpointCatalog
from spectra_stage.source.authentication import masked
from spectra_stage.source.settings import SourceSettings
from spectra_stage.tables import (
    SOURCE_CONFIG,
    SOURCE_CREDENTIALS,
    SOURCE_ENDPOINTS,
    SOURCE_PORTFOLIO,
    table_path,
)

__all__ = [
    "Findings",
    "note_failed_authentication",
    "write_config",
    "write_credentials",
    "write_endpoints",
    "write_portfolio",
]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a run found out about the source system.

    Args:
        auth_status: Success, Failed or Unknown.
        checked_at: When that was tried.
        resource_read: Whether something below a project could be read.
        success_rate: The share of the endpoints tried that answered.
    """

    auth_status: str
    checked_at: datetime
    resource_read: bool
    success_rate: float


def write_config(session: NotebookSession) -> None:
    """Write ``source.config``: how this run was started."""
    now = datetime.now(timezone.utc)
    settings = {
        "execution_mode": session.environment.execution_mode,
        "operation_type": session.pipeline.operation_type,
        "notebook_name": session.ctx["notebook_name"],
        "stage": session.ctx["stage"],
        "sdk_version": __version__,
        "bootstrap_enabled": str(session.params["bootstrap"]).lower(),
    }
    _overwrite(
        session,
        SOURCE_CONFIG,
        [
            {"config_key": key, "config_value": value, "last_updated": now}
            for key, value in settings.items()
        ],
    )


def write_credentials(
    session: NotebookSession, token: str, *, accepted: bool, checked_at: datetime
) -> None:
    """Write ``source.credentials``: the token, masked, and whether it was accepted."""
    _overwrite(
        session,
        SOURCE_CREDENTIALS,
        [
            {
                "credential_type": "api_token",
                "credential_value": masked(token),
                "last_validated": checked_at,
                "validation_status": "Success" if accepted else "Failed",
            }
        ],
    )


def write_endpoints(session: NotebookSession, catalog: EndpointCatalog) -> None:
    """Write ``source.endpoints``: the catalogue, in place of what was there."""
    _overwrite(session, SOURCE_ENDPOINTS, catalog.rows())


def write_portfolio(session: NotebookSession, settings: SourceSettings, findings: Findings) -> None:
    """Write this source system's row of ``source.portfolio``; those of others stay.

    So does what users' own columns hold, in this row too. The counts are those of
    ``source.endpoints`` as it is now, and the discovery date is the one of the row that was there.
    """
    now = datetime.now(timezone.utc)
    spec = _portfolio_spec(session)
    known = _portfolio_row(session, spec) or {}
    endpoints = session.delta.lakehouse.query(
        "SELECT category, hierarchical FROM endpoints",
        {"endpoints": resolve_table(table_path(SOURCE_ENDPOINTS))},
    ).to_dicts()
    # Others may have written them: a null is for the validation to find.
    named = [endpoint["category"] for endpoint in endpoints if endpoint["category"] is not None]
    categories = Counter(named)
    row = {
        **known,
        "source_system": session.ctx["source_system"],
        "contract_version": settings.contract_version,
        "discovery_date": known.get("discovery_date") or now.date(),
        "total_endpoints": len(endpoints),
        "endpoint_categories": json.dumps(dict(sorted(categories.items())), ensure_ascii=False),
        "hierarchical_endpoints": sum(bool(endpoint["hierarchical"]) for endpoint in endpoints),
        "auth_method": settings.auth_method,
        "auth_status": findings.auth_status,
        "last_auth_check": findings.checked_at,
        "hierarchical_access_validated": findings.resource_read,
        "endpoint_success_rate": float(findings.success_rate),
        "supports_incremental": settings.profile.supports_incremental,
        "status": "active",
        "is_enabled": True,
        "last_updated": now,
    }
    _replace_portfolio_row(session, spec, row)


def note_failed_authentication(session: NotebookSession, findings: Findings) -> None:
    """Let an earlier run's row of ``source.portfolio`` tell that authentication failed since.

    A first run that fails leaves none.
    """
    spec = _portfolio_spec(session)
    known = _portfolio_row(session, spec)
    if known is None:
        return
    known["auth_status"] = findings.auth_status
    known["last_auth_check"] = findings.checked_at
    known["last_updated"] = datetime.now(timezone.utc)
    _replace_portfolio_row(session, spec, known)


def _portfolio_spec(session: NotebookSession) -> TableSpec:
    """``source.portfolio`` as it is there: with the columns that its users added.

    Those of a type that no spec can have are left out, and come out null in the row written.
    """
    place = resolve_table(table_path(SOURCE_PORTFOLIO))
    lakehouse = session.delta.lakehouse
    if not lakehouse.exists(place):
        return SOURCE_PORTFOLIO
    # Columns of the spec that an older table lacks are there to be asked for afterwards.
    lakehouse.ensure(place, SOURCE_PORTFOLIO)
    declared = {column.name for column in SOURCE_PORTFOLIO.columns}
    added = [
        column
        for column in lakehouse.schema(place)
        if column.name not in declared and is_type_of_spec(column.type)
    ]
    return replace(SOURCE_PORTFOLIO, columns=(*SOURCE_PORTFOLIO.columns, *added))


def _portfolio_row(session: NotebookSession, spec: TableSpec) -> dict[str, Any] | None:
    """This source system's row of ``source.portfolio``; ``None`` where there is none."""
    place = resolve_table(table_path(spec))
    if not session.delta.lakehouse.exists(place):
        return None
    lakehouse = session.delta.lakehouse
    quote = lakehouse.dialect([place]).quote
    names = ", ".join(quote(column.name) for column in spec.columns)
    rows = lakehouse.query(
        f"SELECT {names} FROM portfolio",  # noqa: S608 - the table's own names, quoted
        {"portfolio": place},
    ).to_dicts()
    own = (row for row in rows if row["source_system"] == session.ctx["source_system"])
    return next(own, None)


def _replace_portfolio_row(
    session: NotebookSession, spec: TableSpec, row: Mapping[str, Any]
) -> None:
    """Write this source system's row, and touch no other: stages may run side by side."""
    session.delta.lakehouse.write(
        resolve_table(table_path(spec)),
        [row],
        spec=spec,
        replacing={"source_system": session.ctx["source_system"]},
    )


def _overwrite(
    session: NotebookSession, spec: TableSpec, rows: Sequence[Mapping[str, Any]]
) -> None:
    session.delta.lakehouse.write(resolve_table(table_path(spec)), rows, spec=spec)
