"""The suites of the stages' own tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

from spectra_logging.tables import ACTIVITY_LOG
from spectra_stage.tables import (
    PREPARE_TABLES,
    SOURCE_CONFIG,
    SOURCE_CREDENTIALS,
    SOURCE_ENDPOINTS,
    SOURCE_PORTFOLIO,
)
from spectra_stage.validation.checks import (
    AllowedValues,
    Check,
    Compare,
    Condition,
    CountsBy,
    CountsRows,
    Masked,
    RowCount,
)
from spectra_stage.validation.specs import checks_of
from spectra_stage.validation.suite import Suite, TableSuite

__all__ = [
    "CONFIG_KEYS",
    "SUITES",
    "log_suite",
    "prepare_suite",
    "source_suite",
]

CONFIG_KEYS = (
    "execution_mode",
    "operation_type",
    "notebook_name",
    "stage",
    "sdk_version",
    "bootstrap_enabled",
)
"""The settings that ``source.config`` holds, each once."""


def source_suite(
    *, config_keys: Sequence[str] = CONFIG_KEYS, endpoints: int | None = None
) -> Suite:
    """What the Source stage promises of its four tables, and of their agreement.

    Args:
        config_keys: The settings that ``source.config`` is to hold.
        endpoints: How many endpoints there are to be, where that is known.
    """
    newest = "last_updated"
    agreement = (
        CountsRows(column="total_endpoints", newest_by=newest, table=SOURCE_ENDPOINTS.name),
        CountsRows(
            column="hierarchical_endpoints",
            newest_by=newest,
            table=SOURCE_ENDPOINTS.name,
            where="hierarchical",
        ),
        CountsBy(
            column="endpoint_categories",
            newest_by=newest,
            table=SOURCE_ENDPOINTS.name,
            by="category",
        ),
    )
    promised: dict[str, tuple[Check, ...]] = {
        SOURCE_CONFIG.name: (
            RowCount(exactly=len(config_keys)),
            AllowedValues(column="config_key", values=tuple(config_keys)),
        ),
        SOURCE_CREDENTIALS.name: (RowCount(exactly=1), Masked(column="credential_value")),
        SOURCE_ENDPOINTS.name: (
            *(() if endpoints is None else (RowCount(exactly=endpoints),)),
            # A catalogue of records may have it otherwise, and its word counts.
            Condition(
                condition="hierarchical = (cardinality(path_parameters) > 0)",
                name="hierarchical says whether there are path_parameters",
                severity="warning",
            ),
        ),
        SOURCE_PORTFOLIO.name: (
            RowCount(minimum=1),
            Compare(left="discovery_date", operator="<=", right="last_updated"),
            *agreement,
        ),
    }
    specs = (SOURCE_CONFIG, SOURCE_CREDENTIALS, SOURCE_ENDPOINTS, SOURCE_PORTFOLIO)
    return Suite(
        name="source",
        tables=tuple(
            TableSuite(table=spec.name, checks=(*checks_of(spec), *promised[spec.name]))
            for spec in specs
        ),
    )


def prepare_suite() -> Suite:
    """What the Prepare stage promises of its three tables."""
    return Suite(
        name="prepare",
        tables=tuple(
            TableSuite(table=spec.name, checks=checks_of(spec)) for spec in PREPARE_TABLES
        ),
    )


def log_suite(stage: str = "source") -> Suite:
    """What the activity log of a stage promises.

    Args:
        stage: The stage whose log it is, ``source`` for ``log.sourcelog``.
    """
    promised = (Compare(left="start_time", operator="<=", right="end_time"),)
    return Suite(
        name="log",
        tables=(
            TableSuite(
                table=f"log.{stage.lower()}log", checks=(*checks_of(ACTIVITY_LOG), *promised)
            ),
        ),
    )


SUITES: MappingProxyType[str, Callable[[], Suite]] = MappingProxyType(
    {"source": source_suite, "prepare": prepare_suite, "log": log_suite}
)
"""The stages' own suites by name."""
