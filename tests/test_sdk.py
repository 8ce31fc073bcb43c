"""The names that notebooks use today: all there, with their signatures, and thin."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from spectra_logging.errors import SpectraError
from spectra_logging.testing import FakeSourceSystem
from spectra_stage import sdk
from spectra_stage.errors import AuthenticationError
from spectra_stage.sdk import NotebookSession, PrepareStageHelpers, SourceStageHelpers
from tests.programs import run_program
from tests.stages import RECORD, record_rows, run_stage, source

ZEPHYR_ENDPOINTS_CATALOG = [RECORD]

SOURCE_STEPS = [
    SourceStageHelpers.execute_source_stage,
    SourceStageHelpers.create_source_config_table,
    SourceStageHelpers.validate_api_authentication,
    SourceStageHelpers.validate_api_resource_access,
    SourceStageHelpers.create_source_credentials_table,
    SourceStageHelpers.bootstrap_endpoints_catalog,
    SourceStageHelpers.create_source_portfolio_table,
]


def test_a_star_import_brings_every_name_and_no_other() -> None:
    """What a notebook gets in place of its %run line."""
    names: dict[str, Any] = {}
    exec("from spectra_stage.sdk import *", names)
    names.pop("__builtins__")
    assert set(names) == set(sdk.__all__)


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (
            SourceStageHelpers.execute_source_stage,
            (
                "spark session endpoints_catalog_global_name contract_version auth_method "
                "endpoint_success_rate supports_incremental test_endpoint "
                "resource_endpoint_template "
                "timeout auth_header auth_prefix run_validation"
            ),
        ),
        (PrepareStageHelpers.initialize_prepare_stage, "spark delta logger source_system"),
    ],
)
def test_signatures_take_what_notebooks_pass(function: Any, names: str) -> None:
    """Each name is there, and nothing but the session is required."""
    parameters = inspect.signature(function).parameters
    assert set(names.split()) <= set(parameters)
    required = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty]
    assert set(required) <= {"session"}


def test_the_notebook_runs_as_it_is_written(stage_root: Path) -> None:
    """Seven steps with every argument that notebooks pass, and the catalogue a global."""
    spark = None
    session = NotebookSession("zephyrVariables").load_context(
        bootstrap=True,
        backfill=False,
        project=0,
        rebuild=False,
        debug=False,
        mode="run",
        spark=spark,
        preview=False,
        test=False,
    )
    session.initialize()
    SourceStageHelpers.execute_source_stage(spark=spark, session=session)
    session.validate()
    session.record(spark=spark)
    session.finalise()
    (row,) = record_rows(stage_root)
    assert row["status"] == "Success"
    assert source(stage_root, "endpoints") == [RECORD]
    assert PrepareStageHelpers.check_readiness(session=session).require() == row["execution_id"]


def test_the_single_steps_leave_what_the_whole_stage_does(stage_root: Path) -> None:
    """A stage put together from the steps has the same tables, errors and capabilities."""
    whole = run_stage()
    tables = ("config", "credentials", "endpoints", "portfolio")
    expected = {name: source(stage_root, name) for name in tables}
    with NotebookSession("example").load_context(bootstrap=True) as session:
        session.initialize()
        SourceStageHelpers.create_source_config_table(session=session)
        PrepareStageHelpers.initialize_prepare_stage(
            delta=session.delta, logger=session.log, source_system="zephyr"
        )
        projects = SourceStageHelpers.validate_api_authentication(session=session)
        assert SourceStageHelpers.validate_api_resource_access(session=session, projects=projects)
        SourceStageHelpers.create_source_credentials_table(session=session)
        catalog = SourceStageHelpers.bootstrap_endpoints_catalog(session=session)
        assert len(catalog) == 1
        SourceStageHelpers.create_source_portfolio_table(
            session=session, hierarchical_access_validated=True
        )
        session.record()
    times = {"last_updated", "last_validated", "last_auth_check"}
    for name, rows in expected.items():
        found = source(stage_root, name)
        assert [{k: v for k, v in row.items() if k not in times} for row in found] == [
            {k: v for k, v in row.items() if k not in times} for row in rows
        ]
    assert session.result["errors"] == whole.result["errors"]
    assert set(session.result["capabilities"]) == set(whole.result["capabilities"]) - {
        "prepareInitialised",
        "tablesRegistered",
    }


def test_single_steps_measure_what_the_run_tried(
    stage_root: Path, system: FakeSourceSystem
) -> None:
    """A path counts as it last answered, and another run begins anew."""
    session = NotebookSession("example").load_context()
    SourceStageHelpers.bootstrap_endpoints_catalog(session=session)

    def rate() -> float:
        SourceStageHelpers.create_source_portfolio_table(session=session)
        (row,) = source(stage_root, "portfolio")
        return float(row["endpoint_success_rate"])

    system.fail_with = 401
    with pytest.raises(AuthenticationError):
        SourceStageHelpers.validate_api_authentication(session=session)
    assert rate() == 0
    system.fail_with = None
    projects = SourceStageHelpers.validate_api_authentication(session=session)
    assert rate() == 1
    system.fail_with = 404
    SourceStageHelpers.validate_api_resource_access(session=session, projects=projects)
    assert rate() == 0.5
    session.record()
    session.load_context()
    assert rate() == 0
    session.record()
    session.finalise()


def test_a_single_step_raises_and_records_nothing(
    stage_root: Path, system: FakeSourceSystem
) -> None:
    """The notebook decides what its failure means."""
    system.fail_with = 401
    session = NotebookSession("example").load_context()
    with pytest.raises(AuthenticationError):
        SourceStageHelpers.validate_api_authentication(session=session)
    assert session.result["status"] == "Success"
    session.record()
    session.finalise()
    assert [row["status"] for row in record_rows(stage_root)] == ["Success"]


@pytest.mark.parametrize("step", [*SOURCE_STEPS, PrepareStageHelpers.check_readiness])
def test_a_step_before_the_context_says_what_to_do(step: Any) -> None:
    """The cell above was not run."""
    with pytest.raises(SpectraError, match=r"call load_context\(\) first"):
        step(session=NotebookSession("example"))


@pytest.mark.parametrize("step", SOURCE_STEPS)
def test_a_step_of_the_source_stage_after_the_run_s_end_writes_nothing(
    stage_root: Path, step: Any
) -> None:
    """Its cell was run again by itself: no row of the activity log would tell of its tables."""
    session = run_stage()
    tables = sorted((stage_root / "Tables").rglob("*.json"))
    with pytest.raises(SpectraError, match=r"after finalise\(\): call load_context\(\) first"):
        step(session=session)
    assert sorted((stage_root / "Tables").rglob("*.json")) == tables
    session.load_context()
    SourceStageHelpers.create_source_config_table(session=session)
    session.record()
    session.finalise()


def test_the_notebooks_global_catalogue_is_found(stage_root: Path) -> None:
    """In the globals of whoever called, however many calls away, under either name."""
    program = (
        "from tests.stages import run_stage\n"
        "def notebook(**settings):\n"
        "    return run_stage(None, **settings)\n"
    )
    for name, settings in (
        ("ZEPHYR_ENDPOINTS_CATALOG", {}),
        ("OTHER", {"endpoints_catalog_global_name": "OTHER"}),
    ):
        cells: dict[str, Any] = {name: [RECORD]}
        exec(program, cells)
        cells["notebook"](**settings)
        assert len(source(stage_root, "endpoints")) == 1


def test_a_with_block_and_the_interpreters_end_add_no_row(
    stage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure that the stage recorded is the run's only row, with or without a with block."""
    # The processes that this starts have no Spark session.
    monkeypatch.setenv("SPECTRA_ENGINE", "deltalake")
    for index, block in enumerate(("with session:", "if True:")):
        done = run_program(
            "from spectra_stage.sdk import *\n"
            "session = NotebookSession('example').load_context(bootstrap=True)\n"
            "session.initialize()\n"
            f"{block}\n"
            "    SourceStageHelpers.execute_source_stage(session=session, catalog=[],\n"
            "        test_endpoint='/nowhere')\n",
            "unused",
        )
        assert done.returncode == 1
        assert "ResourceNotFoundError" in done.stderr
        assert len(record_rows(stage_root)) == index + 1


def test_a_failure_is_recorded_by_the_time_that_it_is_raised(
    stage_root: Path, system: FakeSourceSystem
) -> None:
    """A notebook without a with block, whose kernel lives on, has its row in the table."""
    system.fail_with = 401
    session = NotebookSession("example").load_context()
    with pytest.raises(AuthenticationError):
        SourceStageHelpers.execute_source_stage(session=session, catalog=[])
    assert [row["status"] for row in record_rows(stage_root)] == ["Failed"]
    session.finalise()
    assert [row["status"] for row in record_rows(stage_root)] == ["Failed"]
