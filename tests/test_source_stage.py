"""The Source stage end to end: its tables, its capabilities, and what reruns leave."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import structlog
from deltalake import DeltaTable, write_deltalake

from spectra_logging._version import __version__
from spectra_logging.errors import StageFailedError
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.session import NotebookSession
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.errors import AuthenticationError
from spectra_stage.source import execute_source_stage
from spectra_stage.tables import PREPARE_TABLES, SOURCE_PORTFOLIO, SOURCE_TABLES, table_path
from tests.stages import (
    AT_ONCE,
    CAPABILITIES,
    IDENTITY,
    RECORD,
    describe,
    record_rows,
    run_stage,
    set_up,
    source,
)


def test_the_stage_leaves_all_its_tables_as_designed(
    stage_root: Path, system: FakeSourceSystem
) -> None:
    """Each column of each row of the four tables, and the capabilities in their order."""
    before = dt.datetime.now(dt.timezone.utc)
    catalog = [RECORD, {**RECORD, "full_path": "/a/{id}", "category": "a", "hierarchical": True}]
    session = run_stage(catalog)
    after = dt.datetime.now(dt.timezone.utc)

    assert session.result["status"] == "Success"
    assert session.result["capabilities"] == CAPABILITIES
    config = source(stage_root, "config")
    assert {row["config_key"]: row["config_value"] for row in config} == {
        "execution_mode": "local",
        "operation_type": "local",
        "notebook_name": "zephyrSource",
        "stage": "Source",
        "sdk_version": __version__,
        "bootstrap_enabled": "true",
    }
    assert len(config) == 6
    (credentials,) = source(stage_root, "credentials")
    assert before <= credentials.pop("last_validated") <= after
    assert credentials == {
        "credential_type": "api_token",
        "credential_value": "***" + system.token[-3:],
        "validation_status": "Success",
    }
    assert source(stage_root, "endpoints") == sorted(catalog, key=lambda row: row["full_path"])
    (portfolio,) = source(stage_root, "portfolio")
    assert before <= portfolio.pop("last_auth_check") <= portfolio.pop("last_updated") <= after
    assert portfolio == {
        "source_system": "zephyr",
        "contract_version": "3.0.0",
        "discovery_date": before.date(),
        "total_endpoints": 2,
        "endpoint_categories": '{"a": 1, "project": 1}',
        "hierarchical_endpoints": 1,
        "auth_method": "apiToken",
        "auth_status": "Success",
        "hierarchical_access_validated": True,
        "endpoint_success_rate": 1.0,
        "supports_incremental": True,
        "status": "active",
        "is_enabled": True,
    }
    assert system.requests == [
        ("GET", "/project/details", 200),
        ("GET", "/release/project/1", 200),
    ]


def test_the_tables_are_as_their_specs_declare_them(stage_root: Path) -> None:
    """Names, types and nulls of every table's columns, and no rows in Prepare's."""
    run_stage()
    lakehouse = open_lakehouse()
    for spec in (*SOURCE_TABLES, *PREPARE_TABLES):
        place = str(stage_root / table_path(spec))
        assert [(c.name, c.type, c.nullable) for c in lakehouse.schema(place)] == [
            (c.name, c.type, c.nullable) for c in spec.columns
        ], spec.name
    for spec in PREPARE_TABLES:
        assert DeltaTable(str(stage_root / table_path(spec))).count() == 0


def test_blanks_around_a_variable_are_no_part_of_it(
    stage_root: Path, system: FakeSourceSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values are copied, and files end in a line break: neither can be seen in a form."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, f" {value}\n")
    monkeypatch.setenv("BASE_URL", f" {system.base_url}/\n")
    monkeypatch.setenv("BASE_PATH", " / ")
    monkeypatch.setenv("TEST_PROJECT_ID", "1 ")
    monkeypatch.setenv("AUTH_METHOD", " bearer\n")
    monkeypatch.setenv("CONTRACT_VERSION", "3.1.0\n")
    monkeypatch.setenv("TEST_ENDPOINT", " /project/details\n")
    monkeypatch.setenv("RESOURCE_ENDPOINT_TEMPLATE", "/release/project/{projectId}\n")
    session = run_stage()
    assert session.result["capabilities"] == CAPABILITIES
    assert session.ctx["full_url"] == system.base_url
    (row,) = record_rows(stage_root)
    assert {name: row[name.lower()] for name in IDENTITY} == IDENTITY
    (portfolio,) = source(stage_root, "portfolio")
    assert (portfolio["auth_method"], portfolio["contract_version"]) == ("bearer", "3.1.0")


def test_the_discovery_date_survives_reruns(stage_root: Path) -> None:
    """A rerun renews all of the row but the day when the source system was first discovered."""
    run_stage()
    lakehouse = open_lakehouse()
    (spec,) = [spec for spec in SOURCE_TABLES if spec.name == "source.portfolio"]
    (row,) = source(stage_root, "portfolio")
    first = dt.date(2020, 2, 29)
    lakehouse.write(
        str(stage_root / table_path(spec)), [{**row, "discovery_date": first}], spec=spec
    )
    run_stage()
    (rerun,) = source(stage_root, "portfolio")
    assert rerun["discovery_date"] == first
    assert rerun["last_updated"] > row["last_updated"]


def test_other_source_systems_keep_their_portfolio_rows(
    stage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row a source system: a second system's run leaves the first one's row as it was."""
    run_stage()
    (first,) = source(stage_root, "portfolio")
    monkeypatch.setenv("SOURCE_SYSTEM", "another")
    run_stage(test_endpoint="/project/details")
    another, zephyr = source(stage_root, "portfolio")
    assert another["source_system"] == "another"
    assert zephyr == first


def test_stages_side_by_side_keep_each_others_portfolio_rows(
    stage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that lands between a stage's look at the table and its own write stays."""
    run_stage()
    (row,) = source(stage_root, "portfolio")
    session = NotebookSession("example").load_context(bootstrap=True)
    lakehouse = session.delta.lakehouse
    ask = lakehouse.query

    def ask_and_be_overtaken(sql: str, *arguments: Any) -> Any:
        found = ask(sql, *arguments)
        if sql.endswith("FROM portfolio"):
            another = {**row, "source_system": "another"}
            place = str(stage_root / table_path(SOURCE_PORTFOLIO))
            open_lakehouse().write(place, [another], spec=SOURCE_PORTFOLIO, mode="append")
        return found

    monkeypatch.setattr(lakehouse, "query", ask_and_be_overtaken)
    with session:
        execute_source_stage(session=session, catalog=[RECORD], retry=AT_ONCE)
        session.record()
    rows = source(stage_root, "portfolio")
    assert [row["source_system"] for row in rows] == ["another", "zephyr"]


def test_others_portfolio_rows_may_lack_a_column(
    stage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of before that column is given it, and its rows have nulls there."""
    run_stage()
    place = stage_root / "Tables/source/portfolio"
    older = pl.read_delta(str(place)).drop("endpoint_success_rate")
    write_deltalake(place, older, mode="overwrite", schema_mode="overwrite")
    monkeypatch.setenv("SOURCE_SYSTEM", "another")
    run_stage(test_endpoint="/project/details")
    rows = source(stage_root, "portfolio")
    assert [(row["source_system"], row["endpoint_success_rate"]) for row in rows] == [
        ("another", 1.0),
        ("zephyr", None),
    ]


def test_columns_that_users_added_to_the_portfolio_keep_their_values(
    stage_root: Path, system: FakeSourceSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the run's own row and in those of others, after a success and after a failure."""
    run_stage()
    monkeypatch.setenv("SOURCE_SYSTEM", "another")
    run_stage(test_endpoint="/project/details")
    place = stage_root / "Tables/source/portfolio"
    owned = pl.read_delta(str(place)).with_columns(
        pl.lit("me").alias('Our "own"'), rank=7, tags=pl.Series([["a", "b"], []])
    )
    write_deltalake(place, owned, mode="overwrite", schema_mode="overwrite")
    run_stage(test_endpoint="/project/details")
    system.fail_with = 401
    with pytest.raises(AuthenticationError):
        run_stage()
    rows = source(stage_root, "portfolio")
    assert [(row["source_system"], row["auth_status"]) for row in rows] == [
        ("another", "Failed"),
        ("zephyr", "Success"),
    ]
    assert [(row['Our "own"'], row["rank"]) for row in rows] == [("me", 7)] * 2
    assert sorted(row["tags"] for row in rows) == [[], ["a", "b"]]
    system.fail_with = None
    monkeypatch.setenv("SOURCE_SYSTEM", "new")
    run_stage(test_endpoint="/project/details")
    assert [row["rank"] for row in source(stage_root, "portfolio")] == [7, None, 7]


def test_without_bootstrap_the_catalogue_stays(stage_root: Path) -> None:
    """It is written where there is none, and counted but not replaced where there is one."""
    first = run_stage([RECORD], {"bootstrap": False})
    assert "bootstrapped" in first.result["capabilities"]
    second = run_stage([], {"bootstrap": False})
    assert "bootstrapped" not in second.result["capabilities"]
    assert len(source(stage_root, "endpoints")) == 1
    assert source(stage_root, "portfolio")[0]["total_endpoints"] == 1
    run_stage([], {"bootstrap": True})
    assert source(stage_root, "endpoints") == []
    assert source(stage_root, "portfolio")[0]["total_endpoints"] == 0


def test_a_catalogue_that_others_wrote_with_nulls_is_counted_and_found_wanting(
    stage_root: Path,
) -> None:
    """What it lacks is for the validation to name, and not a TypeError of the stage's."""
    others = {**RECORD, "full_path": "/b", "category": None, "hierarchical": None}
    frame = pl.DataFrame([RECORD, others]).cast(
        {"query_parameters": pl.List(pl.String), "path_parameters": pl.List(pl.String)}
    )
    open_lakehouse().write(str(stage_root / "Tables/source/endpoints"), frame)
    with pytest.raises(StageFailedError, match="category is never null; 1 of 2 rows hold null"):
        run_stage(None, {"bootstrap": False, "test": True})
    (portfolio,) = source(stage_root, "portfolio")
    assert portfolio["total_endpoints"] == 2
    assert json.loads(portfolio["endpoint_categories"]) == {"project": 1}


def test_duplicates_are_told_and_never_written(
    stage_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the endpoint, the record's metadata counts it, the table has it once."""
    run_stage([RECORD, RECORD])
    assert len(source(stage_root, "endpoints")) == 1
    assert (
        "endpoint left out: record 2: GET /project/details is record 1 already" in caplog.messages
    )
    (row,) = record_rows(stage_root)
    assert row["metadata"]["capability_metadata"]["bootstrapped"]["duplicates"] == 1


def test_a_structlog_of_the_users_own_need_take_no_arguments(stage_root: Path) -> None:
    """Its generic logger takes an event and fields; the stage tells it all that it has to tell."""
    told: list[str] = []

    def keep(_logger: Any, _method: str, event_dict: Any) -> Any:
        told.append(event_dict["event"])
        raise structlog.DropEvent

    structlog.configure(processors=[keep], wrapper_class=structlog.BoundLogger)
    try:
        run_stage([RECORD, RECORD], {"test": True})
    finally:
        structlog.reset_defaults()
    assert "endpoint left out: record 2: GET /project/details is record 1 already" in told
    assert any(event.startswith("prepare stage initialised: zephyr: ") for event in told)


def test_the_whole_stage_runs_against_an_api_that_others_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpbin: str
) -> None:
    """The API checks the token and describes itself; its catalogue and counts are in the tables."""
    set_up(
        monkeypatch,
        tmp_path,
        SOURCE_SYSTEM="httpbin",
        BASE_URL=httpbin,
        API_TOKEN="example-token-1234",
        TEST_ENDPOINT="/bearer",
        RESOURCE_ENDPOINT_TEMPLATE="/anything/project/{projectId}",
        TEST_PROJECT_ID="7",
        CONTRACT_VERSION="0.9.2",
    )
    session = run_stage(describe(httpbin))
    assert session.result["capabilities"] == CAPABILITIES
    endpoints = source(tmp_path, "endpoints")
    assert len(endpoints) > 50
    (portfolio,) = source(tmp_path, "portfolio")
    assert portfolio["total_endpoints"] == len(endpoints)
    assert portfolio["contract_version"] == "0.9.2"
    assert sum(json.loads(portfolio["endpoint_categories"]).values()) == len(endpoints)
    assert portfolio["hierarchical_endpoints"] == sum(row["hierarchical"] for row in endpoints)
    assert not portfolio["supports_incremental"]


def test_reruns_overwrite(stage_root: Path) -> None:
    """The tables hold what one run leaves, the activity log a row a run."""
    for _ in range(3):
        run_stage()
    assert [len(source(stage_root, name)) for name in ("config", "credentials", "endpoints")] == [
        6,
        1,
        1,
    ]
    assert len(source(stage_root, "portfolio")) == 1
    ids = {row["execution_id"] for row in record_rows(stage_root)}
    assert len(ids) == 3


def test_a_session_has_what_the_stage_found(stage_root: Path) -> None:
    """The record's metadata tells how each capability came about."""
    run_stage()
    (row,) = record_rows(stage_root)
    assert row["capabilities"].split(",") == CAPABILITIES
    found = row["metadata"]["capability_metadata"]
    assert found["prepareInitialised"]["created"] == [spec.name for spec in PREPARE_TABLES]
    assert found["bootstrapped"] == {"endpoints": 1, "duplicates": 0, "skipped": 0}
    assert {name: row[name] for name in ("stage", "source_system", "source_name")} == {
        "stage": IDENTITY["STAGE"],
        "source_system": IDENTITY["SOURCE_SYSTEM"],
        "source_name": IDENTITY["SOURCE_NAME"],
    }


@pytest.mark.parametrize(
    ("parameters", "settings", "asked"),
    [
        ({"test": True}, {}, True),
        ({"test": False}, {}, False),
        ({"test": True}, {"run_validation": False}, False),
        ({"test": False}, {"run_validation": True}, True),
    ],
)
def test_what_the_validation_finds_fails_the_stage_and_is_recorded(
    stage_root: Path, parameters: dict[str, bool], settings: dict[str, bool], asked: bool
) -> None:
    """It runs when the pipeline passes test=True, unless the keyword says otherwise."""
    # The stage keeps columns that it does not know; validation does not let them pass.
    write_deltalake(
        stage_root / "Tables/source/config",
        pl.DataFrame(
            {"config_key": ["a"], "config_value": ["b"], "more": [1]},
        ).with_columns(last_updated=pl.lit(dt.datetime.now(dt.timezone.utc))),
    )
    if not asked:
        assert run_stage(parameters=parameters, **settings).result["validation"] is None
        return
    found = "source.config failed: the columns are as declared; column more is not declared"
    with pytest.raises(StageFailedError, match=f"validation: {re.escape(found)}"):
        run_stage(parameters=parameters, **settings)
    (row,) = record_rows(stage_root)
    assert row["status"] == "Failed"
    assert row["metadata"]["validation"]["errors"] == [found]
    assert row["error_summary"]["errors_by_category"] == {"validation": 1}
    assert row["error_summary"]["errors_by_code"] == {"table_schema": 1}


def test_a_sound_run_is_valid(stage_root: Path) -> None:
    """The findings are in the session's result."""
    session = run_stage(parameters={"test": True})
    validation = session.result["validation"]
    assert validation is not None
    assert (validation["valid"], validation["errors"]) == (True, [])
    assert set(validation["validation_results"]) == {spec.name for spec in SOURCE_TABLES}
    assert validation["summary"]["checks"] > 60
    assert session.result["errors"]["total_errors"] == 0
