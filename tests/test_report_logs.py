"""A validation's report as log calls, and as the dictionaries that notebooks know."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spectra_logging import DeltaHandler
from spectra_logging.errors import StageFailedError
from spectra_logging.session import NotebookSession
from spectra_stage.validation.report.notebook import count_findings, stage_findings, table_findings
from spectra_stage.validation.results import Outcome
from tests import stages
from tests.reports import EVERY_OUTCOME, PASSED, check, report, table
from tests.tables import read_rows

MASKED = report(
    table(
        check(
            "credential_value is masked",
            Outcome.FAILED,
            table="source.credentials",
            finding="1 of 1 rows shows too much",
        ),
        table="source.credentials",
    )
)
"""A failure in a table, and of a column, whose names are those of secrets."""


@pytest.fixture
def landed(tmp_path: Path) -> Iterator[Path]:
    """A Delta table that the reports' logger writes to."""
    logger = logging.getLogger("spectra_stage.validation")
    handler = DeltaHandler(str(tmp_path / "events"))
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield tmp_path / "events"
    logger.removeHandler(handler)
    logger.setLevel(before)
    handler.close()


def test_what_went_wrong_lands_in_the_log(landed: Path) -> None:
    """A row for each failure, error and warning at its level, and the verdict; none for a pass."""
    EVERY_OUTCOME.log()
    logging.getLogger("spectra_stage.validation").handlers[0].close()
    rows = read_rows(landed, order_by="recorded_at")
    assert sorted(f"{row['level']}: {row['event']}" for row in rows) == [
        (
            "ERROR: source.endpoints error: category satisfies lower(category) = category; "
            "the engine could not evaluate it: Error during planning: no function 'lowr'"
        ),
        (
            "ERROR: source.endpoints failed: full_path, http_method are unique; "
            "2 rows repeat another's full_path and http_method"
        ),
        "ERROR: source.portfolio failed: the table exists; there is no Delta table",
        (
            "ERROR: validation of source error: "
            "2 of 9 checks failed, 1 could not be made, 1 warning, 1 skipped"
        ),
        (
            "WARNING: source.endpoints warning: description is at most 200 characters long; "
            "1 of 1,204 rows is longer"
        ),
    ]
    (failed,) = [row for row in rows if "are unique" in row["event"]]
    context = json.loads(failed["context"])
    assert (context["violations"], context["table_version"]) == (2, 3)
    assert context["samples"] == ["/project/details, GET", "/release/{releaseId}, GET"]


def test_a_report_without_trouble_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The verdict, at INFO."""
    with caplog.at_level(logging.INFO, "spectra_stage.validation"):
        PASSED.log()
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "INFO",
        "validation of source passed: all 2 checks passed",
    )


def test_an_adapters_fields_go_along_with_what_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """The standard library's own puts its fields in place of those of the call."""

    class Numbered(logging.LoggerAdapter):  # type: ignore[type-arg]
        def process(self, msg: object, kwargs: Any) -> tuple[object, Any]:
            return f"[7] {msg}", kwargs

    logger = logging.getLogger("spectra_stage.validation")
    run = logging.LoggerAdapter(Numbered(logger), {"run": 7})
    with caplog.at_level(logging.ERROR, logger.name):
        EVERY_OUTCOME.log(run)
    (failed,) = [record for record in caplog.records if "are unique" in record.getMessage()]
    assert failed.getMessage().startswith("[7] source.endpoints failed: ")
    assert vars(failed)["run"] == 7
    assert vars(failed)["target_table"] == "source.endpoints"
    assert vars(failed)["violations"] == 2


def test_a_sessions_logger_tells_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A structlog logger takes the fields by name; a percent sign is no format."""
    stages.set_up(monkeypatch, tmp_path)
    found = report(table(check("a", Outcome.FAILED, finding="100 %s of the rows", rows=7)))
    with NotebookSession("example").load_context() as session:
        log = session.initialize()
        found.log(log)
        session.record()
    failed, verdict = (
        record
        for record in caplog.records
        if record.name == "spectra.zephyrSource" and record.levelname == "ERROR"
    )
    assert failed.getMessage() == "source.endpoints failed: a; 100 %s of the rows"
    assert (vars(failed)["rows"], vars(failed)["target_table"]) == (7, "source.endpoints")
    assert verdict.getMessage() == "validation of source failed: 1 of 1 check failed"


def test_no_finding_is_taken_for_a_secret(landed: Path) -> None:
    """Redaction leaves the finding about source.credentials in the log as it is."""
    MASKED.log()
    logging.getLogger("spectra_stage.validation").handlers[0].close()
    events = [row["event"] for row in read_rows(landed)]
    assert (
        "source.credentials failed: credential_value is masked; 1 of 1 rows shows too much"
    ) in events


def test_a_notebook_gets_the_dictionaries_it_knows() -> None:
    """The keys, a sentence an error, and the counts; a warning is no error."""
    found = stage_findings(EVERY_OUTCOME)
    assert list(found) == ["valid", "errors", "validation_results", "summary"]
    assert not found["valid"]
    assert len(found["errors"]) == 3
    assert {name: result["valid"] for name, result in found["validation_results"].items()} == {
        "source.config": True,
        "source.endpoints": False,
        "source.portfolio": False,
    }
    assert found["summary"] == {
        "suite": "source",
        "engine": "deltalake",
        "outcome": "error",
        "tables": 3,
        "checks": 9,
        "passed": 4,
        "warning": 1,
        "failed": 2,
        "error": 1,
        "skipped": 1,
        "duration_seconds": 0.0274,
    }
    assert json.loads(json.dumps(found)) == found
    one = table_findings(report(EVERY_OUTCOME.tables[1]))
    assert list(one) == ["valid", "errors", "results"]
    assert one == found["validation_results"]["source.endpoints"]
    assert table_findings(PASSED)["valid"]


def test_an_invalid_report_fails_the_session_with_its_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """validate() raises them, and the activity row has and counts them, whatever their columns."""
    stages.set_up(monkeypatch, tmp_path)
    with NotebookSession("example").load_context() as session:
        session.initialize()
        session.result["validation"] = stage_findings(MASKED)
        count_findings(MASKED, session.result["errors"])
        with pytest.raises(StageFailedError, match="credential_value is masked; 1 of 1 rows shows"):
            session.validate()
        session.record()
    (row,) = stages.record_rows(tmp_path)
    assert "credential_value is masked; 1 of 1 rows shows too much" in row["error_message"]
    assert row["error_summary"] == {
        "total_errors": 1,
        "critical_errors": 0,
        "errors_by_category": {"validation": 1},
        "errors_by_code": {"not_null": 1},
        "errors_by_type": {"CheckFailed": 1},
        "has_retryable_errors": False,
    }
    assert row["metadata"]["validation"]["errors"] == stage_findings(MASKED)["errors"]
