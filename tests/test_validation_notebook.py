"""``SourceStageValidation``, as notebooks call it."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

from spectra_logging.errors import StageFailedError
from spectra_logging.session import NotebookSession
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.sdk import SourceStageValidation
from tests.stages import RECORD, record_rows, run_stage


def spoil(root: Path, table: str, **columns: pl.Expr) -> None:
    place = root / "Tables/source" / table
    frame = pl.read_delta(str(place)).with_columns(**columns)
    write_deltalake(place, frame, mode="overwrite", schema_mode="overwrite")


def test_the_names_are_those_that_notebooks_use() -> None:
    """With their parameters, in their order, all of which may be left out."""
    found = {
        name: list(inspect.signature(method).parameters)
        for name, method in inspect.getmembers(SourceStageValidation, inspect.isfunction)
    }
    assert found == {
        "validate_all_source_tables": ["spark", "session", "logger"],
        "validate_portfolio_table": ["spark", "logger"],
        "validate_endpoints_catalog": ["spark", "expected_count", "logger"],
        "validate_config_table": ["spark", "expected_keys", "logger"],
        "validate_credentials_table": ["spark", "logger"],
    }


def test_each_table_can_be_validated_by_itself(stage_root: Path) -> None:
    """What a run leaves is valid, and what does not fit what is expected is not."""
    run_stage([RECORD])
    logger = logging.getLogger("tests.notebook")
    spark = None
    for found in (
        SourceStageValidation.validate_portfolio_table(spark, logger),
        SourceStageValidation.validate_endpoints_catalog(spark, expected_count=1, logger=logger),
        SourceStageValidation.validate_config_table(spark, logger=logger),
        SourceStageValidation.validate_credentials_table(spark, logger),
    ):
        assert set(found) == {"valid", "errors", "results"}
        assert (found["valid"], found["errors"]) == (True, [])
        assert {check["outcome"] for check in found["results"]} == {"passed"}
    found = SourceStageValidation.validate_endpoints_catalog(expected_count=2)
    assert found["errors"] == [
        "source.endpoints failed: there are 2 rows; there are 1, not 2",
    ]
    found = SourceStageValidation.validate_config_table(expected_keys=["stage"])
    assert (found["valid"], len(found["errors"])) == (False, 2)


def test_a_missing_table_is_a_finding(stage_root: Path) -> None:
    """Nothing raises."""
    found = SourceStageValidation.validate_all_source_tables()
    assert not found["valid"]
    assert len(found["errors"]) == 4
    assert found["summary"]["skipped"] > 50


def test_a_failed_validation_is_in_the_session_and_raises_there(
    stage_root: Path, system: FakeSourceSystem, caplog: pytest.LogCaptureFixture
) -> None:
    """Its findings, the counts in the error summary, the log, and no token anywhere."""
    run_stage([RECORD])
    spoil(
        stage_root,
        "credentials",
        credential_value=pl.lit(system.token),
        validation_status=pl.lit("Maybe"),
    )
    spoil(stage_root, "portfolio", total_endpoints=pl.lit(7, pl.Int32))
    session = NotebookSession("example").load_context()
    session.initialize()
    found = SourceStageValidation.validate_all_source_tables(spark=None, session=session)
    assert not found["valid"]
    assert len(found["errors"]) == 3
    assert session.result["validation"] == found
    with pytest.raises(StageFailedError, match="total_endpoints counts the rows"):
        session.validate()
    session.record()
    session.finalise()
    newest: dict[str, Any] = record_rows(stage_root)[-1]
    assert newest["status"] == "Failed"
    assert newest["error_summary"]["errors_by_code"] == {
        "allowed_values": 1,
        "counts_rows": 1,
        "masked": 1,
    }
    for told in (repr(found), caplog.text, repr(newest)):
        assert system.token not in told
