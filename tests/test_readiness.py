"""May the next stage start: each condition when it holds, and when it does not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.session import NotebookSession
from spectra_logging.testing import FakeSourceSystem
from spectra_stage import readiness
from spectra_stage.errors import AuthenticationError, NotReadyError
from spectra_stage.tables import SOURCE_ENDPOINTS, SOURCE_PORTFOLIO, SOURCE_TABLES, table_path
from tests.stages import RECORD, record_rows, run_stage, source


def failed(found: readiness.Readiness) -> dict[str, str]:
    """Name and finding of the conditions that don't hold."""
    return {c.name: c.finding for c in found.conditions if not c.ok}


def change_portfolio(stage_root: Path, **values: Any) -> None:
    (row,) = source(stage_root, "portfolio")
    open_lakehouse().write(
        str(stage_root / table_path(SOURCE_PORTFOLIO)), [{**row, **values}], spec=SOURCE_PORTFOLIO
    )


def test_after_a_run_the_next_stage_may_start(stage_root: Path) -> None:
    """Each condition holds, and the run's execution id is the one to cite."""
    session = run_stage()
    found = readiness.check("zephyr")
    assert found.ready
    assert [condition.name for condition in found.conditions] == [
        "recorded",
        "tables",
        "authenticated",
        "endpoints",
        "contract",
    ]
    assert found.execution_id == session.ctx["execution_id"] == found.require()


def test_before_any_run_every_condition_fails_with_its_finding(stage_root: Path) -> None:
    """Missing tables are findings and no exception."""
    found = readiness.check("zephyr")
    assert list(failed(found)) == [condition.name for condition in found.conditions]
    assert found.execution_id is None
    assert failed(found)["tables"] == (
        "missing: source.config, source.credentials, source.endpoints, source.portfolio"
    )
    with pytest.raises(NotReadyError, match=r"may not start for zephyr: .*missing: source\.config"):
        found.require()


def test_the_newest_record_counts(stage_root: Path, system: FakeSourceSystem) -> None:
    """A failed run after a good one keeps the next stage from starting; a good one lets it."""
    run_stage()
    system.fail_with = 401
    with pytest.raises(AuthenticationError):
        run_stage()
    found = readiness.check("zephyr")
    assert set(failed(found)) == {"recorded", "authenticated"}
    assert "ended as Failed" in failed(found)["recorded"]
    assert failed(found)["authenticated"] == "source.portfolio says auth_status Failed"
    assert found.execution_id is not None
    system.fail_with = None
    session = run_stage()
    assert readiness.check("zephyr").require() == session.ctx["execution_id"]


def test_another_source_systems_run_does_not_count(stage_root: Path) -> None:
    """Neither its record nor its row of the portfolio."""
    run_stage()
    found = readiness.check("other's")
    assert set(failed(found)) == {"recorded", "authenticated", "endpoints", "contract"}
    assert "has no record of other's" in failed(found)["recorded"]


def test_activities_are_no_records(stage_root: Path) -> None:
    """What is logged after the record, of a notebook that goes on, changes nothing."""
    run_stage()
    session = NotebookSession("example").load_context()
    session.initialize()
    session.record()
    session.mark_failed("after the record")
    session.log_activity(entity_name="project", row_count=1)
    session.finalise()
    assert record_rows(stage_root)[-1]["status"] == "Failed"
    assert readiness.check("zephyr").require() == session.ctx["execution_id"]


@pytest.mark.parametrize("spec", SOURCE_TABLES, ids=lambda spec: str(spec.name))
def test_a_missing_table_is_found(stage_root: Path, spec: Any) -> None:
    """It is named."""
    run_stage()
    shutil.rmtree(stage_root / table_path(spec))
    found = failed(readiness.check("zephyr"))
    assert found["tables"] == f"missing: {spec.name}"


def test_counts_that_differ_are_found(stage_root: Path) -> None:
    """Both counts are in the finding."""
    run_stage()
    rows = [RECORD, {**RECORD, "http_method": "POST"}]
    open_lakehouse().write(
        str(stage_root / table_path(SOURCE_ENDPOINTS)), rows, spec=SOURCE_ENDPOINTS
    )
    assert failed(readiness.check("zephyr")) == {
        "endpoints": "source.endpoints has 2 rows, source.portfolio counts 1"
    }


def test_another_contract_is_found(stage_root: Path) -> None:
    """Both versions are in the finding."""
    run_stage()
    assert failed(readiness.check("zephyr", contract_version="4.0.0")) == {
        "contract": "source.portfolio has contract 3.0.0, expected is 4.0.0"
    }


@pytest.mark.parametrize("status", ["Failed", "Unknown"])
def test_authentication_that_did_not_succeed_is_found(stage_root: Path, status: str) -> None:
    """Unknown is not Success."""
    run_stage()
    change_portfolio(stage_root, auth_status=status)
    assert failed(readiness.check("zephyr")) == {
        "authenticated": f"source.portfolio says auth_status {status}"
    }
