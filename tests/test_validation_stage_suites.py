"""The suites of the stages' tables: sound tables pass, and each fault fails its own check."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

from spectra_logging.errors import ConfigurationError
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.tables import ACTIVITY_LOG, TableSpec
from spectra_stage.tables import PREPARE_TABLES, SOURCE_TABLES, table_path
from spectra_stage.validation.results import Outcome
from spectra_stage.validation.run import run
from spectra_stage.validation.suite import Suite
from spectra_stage.validation.suites import (
    CONFIG_KEYS,
    SUITES,
    log_suite,
    prepare_suite,
    source_suite,
)
from tests.stages import RECORD, run_stage
from tests.validations import UTC, outcomes

NOW = dt.datetime(2024, 5, 6, 7, 8, 9, 10, UTC)
BROKEN = (Outcome.FAILED, Outcome.WARNING, Outcome.ERROR)

Row = dict[str, Any]

POLARS = {
    "string": pl.String,
    "long": pl.Int64,
    "integer": pl.Int32,
    "double": pl.Float64,
    "boolean": pl.Boolean,
    "timestamp": pl.Datetime("us", "UTC"),
    "date": pl.Date,
}

PATHS = ("/project/details", "/release/{id}", "/cycle/{id}/phase")
ENDPOINTS = [
    {
        **RECORD,
        "endpoint_path": path,
        "full_path": path,
        "category": path.split("/")[1],
        "hierarchical": "{" in path,
        "path_parameters": ["id"] if "{" in path else [],
        "query_parameters": ["limit", "offset"],
    }
    for path in PATHS
]
CONFIG = [{"config_key": key, "config_value": "x", "last_updated": NOW} for key in CONFIG_KEYS]
CREDENTIALS = [
    {
        "credential_type": "api_token",
        "credential_value": "***xyz",
        "last_validated": NOW,
        "validation_status": "Success",
    }
]
PORTFOLIO = [
    {
        "source_system": "zephyr",
        "contract_version": "3.0.0",
        "discovery_date": NOW.date(),
        "total_endpoints": 3,
        "endpoint_categories": '{"project": 1, "release": 1, "cycle": 1}',
        "hierarchical_endpoints": 2,
        "auth_method": "apiToken",
        "auth_status": "Success",
        "last_auth_check": NOW,
        "hierarchical_access_validated": True,
        "endpoint_success_rate": 1.0,
        "supports_incremental": True,
        "status": "active",
        "is_enabled": True,
        "last_updated": NOW,
    },
    # Another system's row, of an earlier run, counts the catalogue of that time.
    {
        "source_system": "jira",
        "contract_version": "10.20.30",
        "discovery_date": dt.date(2020, 2, 29),
        "total_endpoints": 0,
        "endpoint_categories": "{}",
        "hierarchical_endpoints": 0,
        "auth_method": "basic",
        "auth_status": "Unknown",
        "last_auth_check": None,
        "hierarchical_access_validated": False,
        "endpoint_success_rate": 0.0,
        "supports_incremental": False,
        "status": "active",
        "is_enabled": False,
        "last_updated": NOW - dt.timedelta(days=1),
    },
]
SCHEMA: list[Row] = [
    {
        "group": None,
        "entity": "issue",
        "fieldId": "summary",
        "structureType": "scalar",
        "rawField": ["fields.summary"],
        "targetField": ["summary"],
        "dataType": ["text", "json"],
        "keyField": [False],
        "columnOrder": [1],
    },
    {"entity": "issue", "fieldId": "id", "structureType": "array", "dataType": None},
]
PREPARE_ROWS = [
    {
        "sourceSystem": "zephyr",
        "endpointPath": "/a",
        "fullPath": "/a",
        "httpMethod": method,
    }
    for method in ("GET", "POST")
]
STATES = [
    {"sourceSystem": "z", "entity": "issue", "sourceStatusName": name, "targetStatus": "done"}
    for name in ("Closed", "Done")
]
LOG = [
    {
        **{c.name: "x" for c in ACTIVITY_LOG.columns if c.type == "string"},
        "activity_id": str(number),
        "execution_mode": "pipeline",
        "status": "Failed",
        "duration_seconds": 0.0,
        "error_summary": "{}",
        "parameters": '{"debug": false}',
        "metadata": None,
        "row_count": 0,
        "field_count": None,
        "start_time": NOW,
        "end_time": NOW,
        "recorded_at": NOW,
        "process_id": 1,
    }
    for number in range(2)
]

SPECS = {spec.name: spec for spec in (*SOURCE_TABLES, *PREPARE_TABLES)}
SOUND: dict[str, list[Row]] = {
    "source.config": CONFIG,
    "source.credentials": CREDENTIALS,
    "source.endpoints": ENDPOINTS,
    "source.portfolio": PORTFOLIO,
    "prepare._schema": SCHEMA,
    "prepare._endpoints": PREPARE_ROWS,
    "prepare._statusMap": STATES,
    "log.sourcelog": LOG,
}
OF_SUITE = {
    "source": [spec.name for spec in SOURCE_TABLES],
    "prepare": [spec.name for spec in PREPARE_TABLES],
    "log": ["log.sourcelog"],
}


def spec_of(table: str) -> TableSpec:
    return SPECS.get(table, ACTIVITY_LOG)


def polars_type(name: str) -> Any:
    if name.startswith("array<"):
        return pl.List(polars_type(name[6:-1]))
    return POLARS[name]


def frame_of(table: str, rows: list[Row]) -> pl.DataFrame:
    types = {column.name: polars_type(column.type) for column in spec_of(table).columns}
    return pl.DataFrame(
        [{name: row.get(name) for name in types} for row in rows], schema=types, orient="row"
    )


def write(root: Path, table: str, frame: pl.DataFrame) -> None:
    place = root / "Tables" / table.replace(".", "/")
    write_deltalake(place, frame, mode="overwrite", schema_mode="overwrite")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lakehouse with all tables as they should be; each test leaves it so."""
    root = tmp_path_factory.mktemp("lakehouse")
    for table, rows in SOUND.items():
        write(root, table, frame_of(table, rows))
    return root


@dataclass(frozen=True)
class Fault:
    """A change to one table, and the checks that tell of it, as ``table: kind columns``."""

    name: str
    table: str
    change: Callable[[pl.DataFrame], pl.DataFrame]
    told: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.table} {self.name}"


def value(table: str, column: str, new: Any, *told: str, name: str = "", row: int = 0) -> Fault:
    """Another value in one row."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        rows = frame.to_dicts()
        rows[row][column] = new
        return frame_of(table, rows)

    checks = tuple(check if ":" in check else f"{table}: {check} {column}" for check in told)
    return Fault(f"{column} {name or new!r}", table, change, checks)


def frame(
    name: str, table: str, change: Callable[[pl.DataFrame], pl.DataFrame], *told: str
) -> Fault:
    """Other rows or columns."""
    checks = tuple(check if ":" in check else f"{table}: {check}" for check in told)
    return Fault(name, table, change, checks)


def null_in(table: str) -> list[Fault]:
    """A null in each column that never holds one."""
    return [
        # The older row of the portfolio: which of them is the newest is to stay clear.
        value(table, column.name, None, "not_null", row=table == "source.portfolio")
        for column in spec_of(table).columns
        if not column.nullable
    ]


def another_type_in(table: str) -> list[Fault]:
    """Each column of another type, which only its own schema tells."""

    def as_binary(name: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
        return lambda rows: rows.with_columns(pl.lit(b"x").alias(name))

    return [
        frame(f"{column.name} of another type", table, as_binary(column.name), "table_schema")
        for column in spec_of(table).columns
        if column.name not in spec_of(table).keys
    ]


def missing_from(table: str) -> list[Fault]:
    """Each column missing."""

    def without(name: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
        return lambda rows: rows.drop(name)

    return [
        frame(f"without {column.name}", table, without(column.name), "table_schema")
        for column in spec_of(table).columns
    ]


def renamed(old: str, new: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda rows: rows.rename({old: new})


def twice(rows: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([rows, rows.head(1)])


PORTFOLIO_NAME = "source.portfolio"
COUNTS_ALL = "source.portfolio: counts_rows total_endpoints"
COUNTS_HIERARCHICAL = "source.portfolio: counts_rows hierarchical_endpoints"
COUNTS_BY = "source.portfolio: counts_by endpoint_categories"

FAULTS = [
    *[fault for table in SOUND for fault in null_in(table)],
    *[fault for table in SOUND for fault in another_type_in(table)],
    *[fault for table in SOUND for fault in missing_from(table)],
    *[
        frame(
            "with another column",
            table,
            lambda rows: rows.with_columns(pl.lit(1).alias("more")),
            "table_schema",
        )
        for table in SOUND
    ],
    # source.config: six keys, each once.
    value("source.config", "config_key", "stage", "unique", name="twice"),
    value("source.config", "config_key", "colour", "allowed_values"),
    frame("a key short", "source.config", lambda rows: rows.tail(5), "row_count"),
    frame(
        "config_key spelt otherwise",
        "source.config",
        renamed("config_key", "Config_Key"),
        "table_schema",
    ),
    # source.credentials: one row, masked.
    frame("empty", "source.credentials", lambda rows: rows.clear(), "row_count"),
    frame("two rows", "source.credentials", twice, "unique credential_type", "row_count"),
    value("source.credentials", "credential_type", "password", "allowed_values"),
    value("source.credentials", "validation_status", "Unknown", "allowed_values"),
    *[
        value("source.credentials", "credential_value", shown, "masked")
        for shown in ("example-token-1234", "***1234", "**123", "", "x***123", "*** 123\n")
    ],
    # source.endpoints: unique by path and method, of five methods.
    value(
        "source.endpoints",
        "full_path",
        PATHS[1],
        "source.endpoints: unique full_path,http_method",
        name="twice",
    ),
    value("source.endpoints", "http_method", "get", "allowed_values"),
    value(
        "source.endpoints",
        "path_parameters",
        ["id"],
        "source.endpoints: condition hierarchical,path_parameters",
    ),
    # source.portfolio: one row a source system, its values, and its agreement with the catalogue.
    frame(
        "the same system twice",
        "source.portfolio",
        lambda rows: rows.with_columns(pl.lit("zephyr").alias("source_system")),
        "unique source_system",
    ),
    frame("empty", "source.portfolio", lambda rows: rows.clear(), "row_count"),
    *[
        value("source.portfolio", "contract_version", version, "pattern")
        for version in ("3.0", "v3.0.0", "3.0.0\n", "3.0.0-beta", "")
    ],
    value("source.portfolio", "auth_status", "OK", "allowed_values"),
    value("source.portfolio", "status", "retired", "allowed_values"),
    value("source.portfolio", "endpoint_success_rate", 1.01, "range"),
    value("source.portfolio", "endpoint_success_rate", -0.01, "range"),
    value("source.portfolio", "endpoint_success_rate", float("nan"), "range"),
    value("source.portfolio", "total_endpoints", 2, "counts_rows"),
    value("source.portfolio", "total_endpoints", -1, "counts_rows", "range"),
    value("source.portfolio", "total_endpoints", -1, "range", row=1),
    value("source.portfolio", "hierarchical_endpoints", 3, "counts_rows"),
    value("source.portfolio", "hierarchical_endpoints", -1, "range", row=1),
    *[
        value("source.portfolio", "endpoint_categories", text, "valid_json")
        for text in ("", "{'project': 1}", '["project"]', '{"project": 1} trailing', "null")
    ],
    *[
        value("source.portfolio", "endpoint_categories", text, "counts_by")
        for text in (
            '{"project": 2, "release": 1}',
            '{"project": 1, "release": 1, "cycle": "1"}',
            '{"project": 1, "release": 1, "cycle": 1, "more": 1}',
            "{}",
        )
    ],
    value(
        "source.portfolio",
        "discovery_date",
        dt.date(2024, 5, 7),
        "source.portfolio: compare discovery_date,last_updated",
    ),
    frame(
        "an endpoint more than the portfolio counts",
        "source.endpoints",
        lambda rows: pl.concat(
            [rows, rows.head(1).with_columns(pl.lit("/project/more").alias("full_path"))]
        ),
        COUNTS_ALL,
        COUNTS_BY,
    ),
    frame(
        "empty",
        "source.endpoints",
        lambda rows: rows.clear(),
        COUNTS_ALL,
        COUNTS_HIERARCHICAL,
        COUNTS_BY,
    ),
    value("source.endpoints", "category", "other", COUNTS_BY),
    frame(
        "an endpoint that is no longer hierarchical",
        "source.endpoints",
        lambda _rows: frame_of(
            "source.endpoints",
            [*ENDPOINTS[:2], {**ENDPOINTS[2], "hierarchical": False, "path_parameters": []}],
        ),
        COUNTS_HIERARCHICAL,
    ),
    # prepare: unique keys, allowed values.
    value(
        "prepare._schema", "fieldId", "id", "prepare._schema: unique entity,fieldId", name="twice"
    ),
    value("prepare._schema", "structureType", "list", "allowed_values"),
    value("prepare._schema", "dataType", ["text", "varchar"], "allowed_values"),
    value(
        "prepare._endpoints",
        "httpMethod",
        "POST",
        "prepare._endpoints: unique sourceSystem,fullPath,httpMethod",
        name="twice",
    ),
    value("prepare._endpoints", "httpMethod", "HEAD", "allowed_values"),
    value(
        "prepare._statusMap",
        "sourceStatusName",
        "Done",
        "prepare._statusMap: unique sourceSystem,entity,sourceStatusName",
        name="twice",
    ),
    # log: unique rows, allowed values, JSON, times in order.
    value("log.sourcelog", "activity_id", "1", "unique", name="twice"),
    value("log.sourcelog", "execution_mode", "batch", "allowed_values"),
    value("log.sourcelog", "status", "success", "allowed_values"),
    value("log.sourcelog", "duration_seconds", -0.1, "range"),
    value("log.sourcelog", "duration_seconds", float("nan"), "range"),
    value("log.sourcelog", "row_count", -1, "range"),
    value("log.sourcelog", "field_count", -1, "range"),
    *[
        value("log.sourcelog", column, text, "valid_json")
        for column in ("error_summary", "parameters", "metadata")
        for text in ("", "[]", "{} {}")
    ],
    value(
        "log.sourcelog",
        "end_time",
        NOW - dt.timedelta(microseconds=1),
        "log.sourcelog: compare start_time,end_time",
    ),
]


def suite_of(table: str) -> Suite:
    (name,) = [name for name, tables in OF_SUITE.items() if table in tables]
    return SUITES[name]()


@pytest.mark.parametrize("suite", SUITES)
def test_sound_tables_pass(lakehouse: Lakehouse, sound: Path, suite: str) -> None:
    """Every check of the suite passes, and none is left out."""
    report = run(SUITES[suite](), lakehouse, root=sound)
    assert outcomes(report, *set(Outcome) - {Outcome.PASSED}) == []
    assert report.valid
    assert [table.table for table in report.tables] == OF_SUITE[suite]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_fails_its_own_check_and_no_other(
    lakehouse: Lakehouse, sound: Path, fault: Fault
) -> None:
    """Checks that can't be made for the same cause are skipped, never failed, never passed."""
    suite = suite_of(fault.table)
    looked_at = {fault.table, PORTFOLIO_NAME} & {table.table for table in suite.tables}
    write(sound, fault.table, fault.change(frame_of(fault.table, SOUND[fault.table])))
    try:
        report = run(suite.only(*looked_at), lakehouse, root=sound)
    finally:
        write(sound, fault.table, frame_of(fault.table, SOUND[fault.table]))
    assert sorted(outcomes(report, *BROKEN)) == sorted(fault.told)
    assert report.valid == all(
        check.startswith("source.endpoints: condition") for check in fault.told
    )


def test_every_check_of_every_suite_is_failed_by_some_fault(tmp_path: Path) -> None:
    """No check is in a suite that nothing can fail."""
    told = {check for fault in FAULTS for check in fault.told}
    report_of_sound = [
        run(SUITES[suite](), open_lakehouse("deltalake"), root=tmp_path) for suite in SUITES
    ]
    # No table is there, so each one's existence fails too.
    missing = {check for report in report_of_sound for check in outcomes(report, Outcome.FAILED)}
    expected = set()
    for table, rows in SOUND.items():
        write(tmp_path, table, frame_of(table, rows))
    for suite in SUITES:
        expected |= set(
            outcomes(
                run(SUITES[suite](), open_lakehouse("deltalake"), root=tmp_path), Outcome.PASSED
            )
        )
    assert expected - told - missing == set()


def test_a_run_of_the_stage_leaves_tables_that_pass(stage_root: Path) -> None:
    """What the stage writes is what the suites promise."""
    run_stage([RECORD, {**ENDPOINTS[1]}])
    lakehouse = open_lakehouse()
    for suite in (source_suite(), prepare_suite(), log_suite()):
        report = run(suite, lakehouse)
        assert outcomes(report, *set(Outcome) - {Outcome.PASSED}) == []


def test_the_number_of_endpoints_and_the_keys_can_be_told(
    lakehouse: Lakehouse, sound: Path
) -> None:
    """As notebooks pass them."""
    suite = source_suite(config_keys=[*CONFIG_KEYS, "more"], endpoints=4)
    assert outcomes(run(suite, lakehouse, root=sound), Outcome.FAILED) == [
        "source.config: row_count",
        "source.endpoints: row_count",
    ]


def test_the_four_tables_take_a_statement_each(sound: Path) -> None:
    """What portfolio says of endpoints is asked in its own statement, too."""
    report = run(source_suite(), open_lakehouse("deltalake"), root=sound)
    assert [table.statements for table in report.tables] == [1, 1, 1, 1]


def test_places_may_be_told(lakehouse: Lakehouse, sound: Path, tmp_path: Path) -> None:
    """A table that is somewhere else, and the folder that the others are below."""
    moved = sound / "Tables/source/config"
    report = run(
        source_suite().only("source.config", "source.credentials"),
        lakehouse,
        root=tmp_path,
        places={"source.config": str(moved)},
    )
    assert outcomes(report, Outcome.FAILED) == ["source.credentials: table_exists"]
    assert report.tables[0].place == str(moved)


@pytest.mark.parametrize("asked", [("source.confg",), ("source.config", "config"), ()])
def test_a_suite_of_tables_that_it_does_not_have_is_refused(asked: tuple[str, ...]) -> None:
    """A name that is misspelt would make a validation of nothing, which passes."""
    with pytest.raises(ConfigurationError) as raised:
        source_suite().only(*asked)
    assert str(raised.value) == (
        f"suite source: only({', '.join(map(repr, asked))}) must name one or more of "
        "source.config, source.credentials, source.endpoints, source.portfolio"
    )


def test_progress_is_told_as_each_table_begins(sound: Path) -> None:
    """With what a bar needs."""
    told: list[Any] = []
    run(source_suite(), open_lakehouse("deltalake"), root=sound, on_progress=told.append)
    assert [(step.table, step.number, step.tables) for step in told] == [
        (spec.name, number, 4) for number, spec in enumerate(SOURCE_TABLES, start=1)
    ]
    assert table_path(SOURCE_TABLES[0]) == "Tables/source/config"
