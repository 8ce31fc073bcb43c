"""The suites of the stages' own tables, and the checks that a table's spec stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

from spectra_logging.errors import ConfigurationError
from spectra_logging.tables import ACTIVITY_LOG, Column, TableSpec
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
    NotNull,
    Pattern,
    Range,
    RowCount,
    TableExists,
    TableSchema,
    Unique,
    ValidJson,
)
from spectra_stage.validation.suite import Suite, TableSuite

__all__ = [
    "CONFIG_KEYS",
    "SUITES",
    "checks_of",
    "log_suite",
    "prepare_suite",
    "source_suite",
    "suite_named",
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


def checks_of(spec: TableSpec) -> tuple[Check, ...]:
    """The checks that a spec stands for: its columns, nulls, keys, and what is valid in each."""
    checks: list[Check] = [TableExists(), TableSchema(declared=spec.columns)]
    for column in spec.columns:
        checks += _checks_of_column(column)
    if spec.keys:
        key = spec.keys[0] if len(spec.keys) == 1 else spec.keys
        checks.append(Unique(column=key))
    return tuple(checks)


def _checks_of_column(column: Column) -> list[Check]:
    checks: list[Check] = []
    if not column.nullable:
        checks.append(NotNull(column=column.name))
    if column.minimum is not None or column.maximum is not None:
        checks.append(Range(column=column.name, minimum=column.minimum, maximum=column.maximum))
    if column.allowed_values:
        checks.append(AllowedValues(column=column.name, values=column.allowed_values))
    if column.pattern is not None:
        checks.append(Pattern(column=column.name, pattern=column.pattern))
    if column.json is not None:
        checks.append(ValidJson(column=column.name, value=column.json))
    return checks


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


def suite_named(name: str) -> Suite:
    """One of the stages' own suites.

    Raises:
        ConfigurationError: There is none of that name.
    """
    if name not in SUITES:
        raise ConfigurationError(f"suite={name!r} may be {', '.join(SUITES)}")
    return SUITES[name]()
