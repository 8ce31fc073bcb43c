"""A notebook's session: seven steps, and a row in a Delta table for everything that counts."""

from __future__ import annotations

import contextvars
import datetime as dt
import gc
import json
import logging
import logging.config
import os
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from spectra_logging._version import __version__
from spectra_logging.errors import (
    ConfigurationError,
    SpectraError,
    StageFailedError,
    VariableNotFoundError,
)
from spectra_logging.feedback import as_worker
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.session import ACTIVITY_LOGGER, NotebookSession
from spectra_logging.session.routing import Watch
from spectra_logging.tables import ACTIVITY_LOG
from spectra_logging.testing import FakeNotebookUtils
from tests.tables import read_rows

IDENTITY = {
    "SOURCE_SYSTEM": "example",
    "SOURCE_NAME": "Example tests",
    "STAGE": "Source",
    "NOTEBOOK_NAME": "sourceExample",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lakehouse of the test's own, and the four required variables."""
    monkeypatch.setenv("SPECTRA_ROOT", str(tmp_path))
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    logger = logging.getLogger(ACTIVITY_LOGGER)
    yield tmp_path
    assert logger.handlers == []
    assert "execution_id" not in structlog.contextvars.get_contextvars()


def rows(root: Path, table: str = "sourcelog") -> list[dict[str, Any]]:
    """The table's rows in the order of their activity ids."""
    return read_rows(root / "Tables" / "log" / table, order_by="activity_id")


def opened(**parameters: Any) -> NotebookSession:
    """A session after its first three steps."""
    session = NotebookSession("example").load_context(**parameters)
    session.initialize()
    return session


def test_a_notebook_that_succeeds_leaves_a_row_with_every_column(root: Path) -> None:
    """The seven steps fill each column of the activity log with the values they were given."""
    before = dt.datetime.now(dt.timezone.utc)
    session = NotebookSession("example").load_context(bootstrap=True, project=44)
    log = session.initialize()
    log.info("reading %s", "projects", entity="project")
    session.add_capability("configTablesCreated")
    session.add_capability("authVerified", project_count=37)
    session.result["errors"].update({"total_errors": 1, "errors_by_code": {"503": 1}})
    session.validate()
    assert session.record() is True
    session.finalise()
    after = dt.datetime.now(dt.timezone.utc)

    (row,) = rows(root)
    assert set(row) == {column.name for column in ACTIVITY_LOG.columns}
    assert row["event"] == "record"
    assert row["level"] == "INFO"
    assert row["status"] == "Success"
    assert row["error_type"] is row["error_message"] is None
    assert row["notebook_name"] == "sourceExample"
    assert row["stage"] == "Source"
    assert row["source_system"] == "example"
    assert row["source_name"] == "Example tests"
    assert row["workspace_id"] == row["lakehouse_id"] == row["lakehouse_name"] == "local"
    assert row["execution_mode"] == "local"
    assert row["capabilities"] == "configTablesCreated,authVerified"
    assert json.loads(row["parameters"]) == session.params
    assert session.params["project"] == 44
    assert json.loads(row["error_summary"])["errors_by_code"] == {"503": 1}
    assert json.loads(row["metadata"]) == {
        "capability_metadata": {"authVerified": {"project_count": 37}}
    }
    assert before <= row["start_time"] <= row["end_time"] <= row["recorded_at"] <= after
    assert row["duration_seconds"] == (row["end_time"] - row["start_time"]).total_seconds()
    assert row["sdk_version"] == __version__
    assert row["process_id"] == os.getpid()
    assert row["host"]
    assert re.fullmatch(r"sourceExample_\d{8}_\d{6}_\d{6}", row["execution_id"])
    assert row["execution_id"] == session.ctx["execution_id"]
    assert row["entity_name"] is row["row_count"] is row["trace_id"] is row["span_id"] is None


def test_each_activity_is_a_row_of_its_own(root: Path) -> None:
    """log_activity() fills the entity's columns, and what has no column goes into metadata."""
    with opened() as session:
        session.log_activity(
            entity_name="project",
            target_table="source.projects",
            key_column="id",
            project_key="P1",
            row_count=37,
            field_count=12,
            additional_metadata={"pages": 2, "name": "clashes with logging", "status": "mine"},
        )
        session.log_activity(entity_name="release")
        session.record()
    project, release, record = rows(root)
    assert [row["event"] for row in (project, release, record)] == ["activity"] * 2 + ["record"]
    assert project["entity_name"] == "project"
    assert project["target_table"] == "source.projects"
    assert project["key_column"] == "id"
    assert project["project_key"] == "P1"
    assert (project["row_count"], project["field_count"]) == (37, 12)
    assert project["status"] == "Success"
    assert json.loads(project["metadata"]) == {
        "pages": 2,
        "name": "clashes with logging",
        "status": "mine",
    }
    assert len({row["execution_id"] for row in (project, release, record)}) == 1
    assert project["start_time"] == record["start_time"]
    assert release["start_time"] == project["end_time"]


def test_the_runtime_of_fabric_is_in_every_row(root: Path) -> None:
    """Workspace, lakehouse, mode and Fabric's own activity id come from notebookutils."""
    library = {**IDENTITY, "STAGE": "prepare", "BASE_URL": "https://example.com/"}
    with FakeNotebookUtils(
        variables={"example": {**library, "BASE_PATH": "/api/v1"}},
        context={"isForPipeline": True, "activityId": "abc"},
    ):
        with opened() as session:
            session.record()
        assert session.ctx["full_url"] == "https://example.com/api/v1"
        assert session.pipeline.is_active
        assert session.environment.lakehouse_name == "example_lakehouse"
    (row,) = rows(root, "preparelog")
    assert row["execution_mode"] == "pipeline"
    assert row["workspace_id"] == "11111111-1111-1111-1111-111111111111"
    assert row["lakehouse_name"] == "example_lakehouse"
    assert json.loads(row["metadata"]) == {"fabric_activity_id": "abc"}


def test_a_failed_stage_raises_in_validate_and_is_recorded_as_failed(root: Path) -> None:
    """The rows show the first failure, with the class of the exception handled at that time."""
    session = opened()
    try:
        refuse()
    except ConnectionError as error:
        session.mark_failed(f"authentication failed: {error}")
    session.mark_failed("a consequence")
    with pytest.raises(StageFailedError, match="stage Source of example failed: authentication"):
        session.validate()
    session.record()
    session.finalise()
    (row,) = rows(root)
    assert row["status"] == "Failed"
    assert row["level"] == "ERROR"
    assert row["error_type"] == "ConnectionError"
    assert row["error_message"] == "authentication failed: refused"


def test_findings_of_a_validation_fail_the_stage(root: Path) -> None:
    """A validation in the result that is not valid makes validate() raise with its findings."""
    with opened() as session:
        session.result["validation"] = {"valid": False, "errors": ["2 rows too many"]}
        with pytest.raises(StageFailedError, match="2 rows too many"):
            session.validate()
        session.record()
    (row,) = rows(root)
    assert row["error_type"] == "StageFailedError"
    assert row["error_message"] == "validation: 2 rows too many"
    assert json.loads(row["metadata"])["validation"]["errors"] == ["2 rows too many"]


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ({"valid": False, "errors": ["2 rows too many", "no key"]}, "2 rows too many; no key"),
        ({"valid": False, "errors": "2 rows too many"}, "2 rows too many"),
        ({"valid": False}, "not valid"),
        (False, "not valid"),
        (SimpleNamespace(valid=False), "not valid"),
    ],
)
def test_findings_that_nobody_raised_are_recorded_as_a_failure(
    root: Path, validation: Any, message: str
) -> None:
    """A notebook that leaves out validate() leaves no row that lets the next stage start."""
    with opened() as session:
        session.result["validation"] = validation
        assert session.record()
        with pytest.raises(StageFailedError, match=f"failed: validation: {message}$"):
            session.validate()
    (row,) = rows(root)
    assert (row["status"], row["level"]) == ("Failed", "ERROR")
    assert row["error_message"] == f"validation: {message}"


def test_a_verdict_of_numpy_s_is_one(root: Path) -> None:
    """A comparison of a data frame's gives such a False, and its column such findings."""
    numpy = pytest.importorskip("numpy", reason="needs numpy")
    found = {"valid": numpy.bool_(False), "errors": numpy.array(["no key", "no name"])}
    with opened() as session:
        for validation in (numpy.bool_(True), numpy.bool_(False)):
            session.result["validation"] = validation
            assert session.record()
    with opened() as session:
        session.result["validation"] = found
        assert session.record()
    messages = [None, "validation: not valid", "validation: no key; no name"]
    assert [row["error_message"] for row in rows(root)] == messages
    assert [row["status"] for row in rows(root)] == ["Success", "Failed", "Failed"]


@pytest.mark.parametrize("validation", [None, {}, {"valid": True}, True, SimpleNamespace()])
def test_a_validation_that_finds_nothing_is_no_failure(root: Path, validation: Any) -> None:
    """In whatever form a notebook keeps it."""
    with opened() as session:
        session.result["validation"] = validation
        session.validate()
        session.record()
    assert [row["status"] for row in rows(root)] == ["Success"]


def test_a_status_that_is_not_success_is_failed_in_the_table(root: Path) -> None:
    """Notebooks may set the status themselves; the table knows Success and Failed only."""
    with opened() as session:
        session.result["status"] = "oops"
        with pytest.raises(StageFailedError, match="its status is 'oops'"):
            session.validate()
        session.record()
    assert [row["status"] for row in rows(root)] == ["Failed"]


def test_an_exception_in_the_with_block_leaves_a_failed_row(root: Path) -> None:
    """The exception goes on, and the row names its class, its text and where it came from."""
    with pytest.raises(ConnectionError), opened():
        refuse()
    (row,) = rows(root)
    assert row["event"] == "record"
    assert row["status"] == "Failed"
    assert row["error_type"] == "ConnectionError"
    assert row["error_message"] == "refused"
    metadata = json.loads(row["metadata"])
    assert metadata["ended"] == "the session ended without record(): the with block ended"
    assert "test_session.py" in metadata["traceback"]


def test_an_exception_after_record_leaves_a_failed_row_too(root: Path) -> None:
    """The newest record counts, so a notebook that fails after recording must say so."""
    session = opened()
    session.record()
    with pytest.raises(ConnectionError), session:
        refuse()
    assert [row["status"] for row in rows(root)] == ["Success", "Failed"]


def test_an_exception_after_a_failure_was_recorded_adds_no_row(root: Path) -> None:
    """A failure that is recorded before it is raised is one Failed row, not two."""
    session = opened()
    session.mark_failed("no token")
    session.record()
    with pytest.raises(KeyError), session:
        raise KeyError("no token")
    assert [row["status"] for row in rows(root)] == ["Failed"]


def test_a_critical_failure_is_recorded_as_critical(root: Path) -> None:
    """The row's level is CRITICAL when one of the errors that the stage counted is."""
    session = opened()
    session.result["errors"]["critical_errors"] = 1
    session.mark_failed("no token")
    session.record()
    session.finalise()
    assert [row["level"] for row in rows(root)] == ["CRITICAL"]


def test_leaving_with_exit_code_zero_after_record_is_no_failure(root: Path) -> None:
    """Notebooks stop early by SystemExit(0); recorded as Success, they stay so."""
    session = opened()
    session.record()
    with pytest.raises(SystemExit), session:
        sys.exit(0)
    assert [row["status"] for row in rows(root)] == ["Success"]


def test_finalise_without_record_leaves_a_failed_row(root: Path) -> None:
    """A run that was never recorded did not succeed."""
    opened().finalise()
    (row,) = rows(root)
    assert row["status"] == "Failed"
    assert row["error_message"] == "the session ended without record(): finalise() was called"


def test_a_dropped_session_leaves_a_failed_row_and_is_not_kept(root: Path) -> None:
    """Rerunning a cell drops the session before; its row says so, and its handler is let go."""
    session = opened()
    first = session.ctx["execution_id"]
    del session
    gc.collect()
    with opened() as session:
        session.record()
    by_id = {row["execution_id"]: row for row in rows(root)}
    assert by_id[first]["status"] == "Failed"
    assert "dropped before finalise()" in by_id[first]["error_message"]
    assert by_id[session.ctx["execution_id"]]["status"] == "Success"


def test_recording_again_adds_a_row(root: Path) -> None:
    """A record cell that is run again, after the failure was mended, leaves the newer row."""
    with opened() as session:
        session.mark_failed("not yet")
        session.record()
        session.result["status"] = "Success"
        session.record()
    assert [row["status"] for row in rows(root)] == ["Failed", "Success"]
    assert rows(root)[1]["error_message"] is None


def test_loading_the_context_again_begins_a_new_run(root: Path) -> None:
    """A second load_context() ends the run before it, as a failed one unless it was recorded."""
    session = opened()
    first = session.ctx["execution_id"]
    session.load_context()
    assert session.ctx["execution_id"] != first
    session.record()
    session.finalise()
    assert [(row["execution_id"] == first, row["status"]) for row in rows(root)] == [
        (True, "Failed"),
        (False, "Success"),
    ]


def test_two_sessions_at_a_time_keep_their_rows_apart(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions of one stage share a table, another stage has its own, and no row is doubled."""
    first = opened()
    second = opened()
    monkeypatch.setenv("STAGE", "prepare")
    third = opened()
    for session in (first, second, third):
        session.log_activity(entity_name="e")
    first.record()
    first.finalise()
    for session in (third, second):
        session.log_activity(entity_name="e")
        session.record()
        session.finalise()
    assert len(rows(root, "sourcelog")) == 5
    assert len(rows(root, "preparelog")) == 3
    assert {row["stage"] for row in rows(root, "preparelog")} == {"prepare"}


def test_a_session_that_begins_while_another_ends_keeps_its_rows(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler that is being closed takes no rows, and is none that a user has configured."""
    ends, may_end = threading.Event(), threading.Event()
    close = DeltaHandler.close

    def close_late(handler: DeltaHandler) -> None:
        ends.set()
        may_end.wait(30)
        close(handler)

    first = opened()
    first.record()
    monkeypatch.setattr(DeltaHandler, "close", close_late)
    ending = threading.Thread(target=first.finalise)
    ending.start()
    assert ends.wait(30)
    monkeypatch.setattr(DeltaHandler, "close", close)
    second = opened()
    second.log_activity(entity_name="e")
    recorded = second.record()
    may_end.set()
    ending.join()
    second.finalise()
    assert recorded
    assert len(rows(root)) == 3


def test_a_session_whose_end_is_interrupted_costs_the_next_one_no_rows(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person stops the cell in which ``finalise()`` waits for the table, and runs all again."""

    def interrupt(_handler: DeltaHandler) -> None:
        raise KeyboardInterrupt

    first = opened()
    first.record()
    with monkeypatch.context() as patched:
        patched.setattr(DeltaHandler, "close", interrupt)
        with pytest.raises(KeyboardInterrupt):
            first.finalise()
    with opened() as second:
        second.log_activity(entity_name="e")
        assert second.record()
    assert len(rows(root)) == 3


@pytest.mark.parametrize("wait", ["flush", "close"])
def test_a_session_whose_end_is_interrupted_is_on_no_line_of_those_who_come(
    root: Path, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    """Neither its id nor its debugging, whichever wait a person stops it in."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    first = opened(debug=True)
    with monkeypatch.context() as patched:
        patched.setattr(DeltaHandler, wait, interrupt)
        with pytest.raises(KeyboardInterrupt):
            first.finalise()
    assert "execution_id" not in structlog.contextvars.get_contextvars()
    assert logging.getLogger(first.log.name).level == logging.NOTSET
    opened().finalise()
    assert "execution_id" not in structlog.contextvars.get_contextvars()
    del first  # as the cell does that is run again; the next session closes what it left
    opened().finalise()


def test_lines_of_a_thread_carry_the_execution_id_in_a_copy_of_the_context(root: Path) -> None:
    """The notebook's own log needs none."""
    handler = DeltaHandler("Tables/log/events", spec="events")
    elsewhere = logging.getLogger("elsewhere")
    elsewhere.addHandler(handler)
    try:
        with opened() as session, ThreadPoolExecutor() as pool:
            log = logging.getLogger(session.log.name)
            log.addHandler(handler)
            pool.submit(elsewhere.warning, "alone").result(30)
            pool.submit(contextvars.copy_context().run, elsewhere.warning, "copy").result(30)
            pool.submit(session.log.warning, "own").result(30)
            log.removeHandler(handler)
            session.record()
        assert handler.flush(30)
    finally:
        elsewhere.removeHandler(handler)
        handler.close()
    landed = {row["event"]: row["execution_id"] for row in read_rows(root / "Tables/log/events")}
    run = session.ctx["execution_id"]
    assert landed == {"alone": None, "copy": run, "own": run}


def test_a_session_within_another_leaves_the_outer_ones_id(root: Path) -> None:
    """Lines between the inner session's end and the outer one's carry the outer one's id."""

    def bound() -> Any:
        return structlog.contextvars.get_contextvars().get("execution_id")

    with opened() as outer:
        with opened() as inner:
            assert bound() == inner.ctx["execution_id"]
            inner.record()
        assert bound() == outer.ctx["execution_id"]
        later = opened()
        outer.record()
    assert bound() == later.ctx["execution_id"]
    later.record()
    later.finalise()
    assert bound() is None
    assert {row["status"] for row in rows(root)} == {"Success"}


def test_an_inner_session_initialised_twice_leaves_the_outer_ones_id(root: Path) -> None:
    """Its cell was run again."""
    with opened() as outer:
        with opened() as inner:
            inner.initialize()
            inner.record()
        bound = structlog.contextvars.get_contextvars().get("execution_id")
        outer.record()
    assert bound == outer.ctx["execution_id"]
    assert len(rows(root)) == 2


def test_rows_of_many_threads_have_unique_ids(root: Path) -> None:
    """Ten threads log through one session; every row lands once, under an id of its own."""

    def work() -> None:
        for _ in range(20):
            session.log_activity(entity_name=threading.current_thread().name, row_count=1)

    with opened() as session:
        threads = [threading.Thread(target=work) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        session.record()
    landed = rows(root)
    assert len(landed) == 201
    assert len({row["activity_id"] for row in landed}) == 201
    assert {row["execution_id"] for row in landed} == {session.ctx["execution_id"]}


def test_activity_ids_sort_by_time(root: Path) -> None:
    """Ordering by activity_id gives the order of the calls."""
    with opened() as session:
        for number in range(100):
            session.log_activity(row_count=number)
        session.record()
    assert [row["row_count"] for row in rows(root)] == [*range(100), None]


def test_a_handler_that_the_user_configured_takes_the_rows(root: Path) -> None:
    """With a DeltaHandler on the activity logger or above it, the session attaches none."""
    handler = DeltaHandler(str(root / "mine"), spec="activity")
    logging.getLogger("spectra_logging").addHandler(handler)
    try:
        with opened() as session:
            assert logging.getLogger(ACTIVITY_LOGGER).handlers == []
            assert session.record() is True
    finally:
        logging.getLogger("spectra_logging").removeHandler(handler)
        handler.close()
    (row,) = read_rows(root / "mine")
    assert row["execution_id"] == session.ctx["execution_id"]
    assert not (root / "Tables").exists()


def test_a_handler_for_ordinary_lines_is_no_handler_for_the_activity_log(root: Path) -> None:
    """A DeltaHandler with another spec does not count as the activity log's."""
    handler = DeltaHandler(str(root / "events"), spec="events")
    logging.getLogger().addHandler(handler)
    try:
        with opened() as session:
            session.record()
        handler.flush(30)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert len(rows(root)) == 1


def test_ordinary_lines_carry_the_execution_id(root: Path) -> None:
    """Lines of the notebook's log and of any stdlib logger name the session's execution."""
    handler = DeltaHandler("Tables/log/events", spec="events")
    handler.addFilter(lambda record: record.name in {"spectra.sourceExample", "elsewhere"})
    logging.getLogger().addHandler(handler)
    try:
        with opened() as session:
            session.log.warning("from the %s", "notebook", pages=3, name="field")
            logging.getLogger("elsewhere").warning("from anywhere")
            session.record()
        logging.getLogger("elsewhere").warning("after the session")
        assert handler.flush(30)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    landed = {row["event"]: row for row in read_rows(root / "Tables" / "log" / "events")}
    assert landed["from the notebook"]["execution_id"] == session.ctx["execution_id"]
    assert (
        landed["from the notebook"]["function"]
        == test_ordinary_lines_carry_the_execution_id.__name__
    )
    assert json.loads(landed["from the notebook"]["context"]) == {"pages": 3, "name_": "field"}
    assert landed["from anywhere"]["execution_id"] == session.ctx["execution_id"]
    assert landed["after the session"]["execution_id"] is None


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Loggers that a test's dictConfig disables or sets a level for are as before afterwards."""
    loggers = [
        one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)
    ]
    before = [(one, one.disabled, one.level) for one in loggers]
    yield
    for one, disabled, level in before:
        one.disabled = disabled
        one.setLevel(level)


@pytest.mark.usefixtures("logging_restored")
@pytest.mark.parametrize("named", [{}, {"loggers": {"spectra_logging": {"level": "WARNING"}}}])
def test_a_dict_config_in_mid_session_loses_nothing(root: Path, named: dict[str, Any]) -> None:
    """A dictConfig closes all handlers and disables loggers it does not name; rows still land."""
    with opened() as session:
        session.log_activity(entity_name="before")
        logging.config.dictConfig({"version": 1, **named})
        session.log_activity(entity_name="after")
        assert session.record() is True
    assert [row["entity_name"] for row in rows(root)] == ["before", "after", None]


def test_record_keeps_the_row_when_the_table_can_not_be_written(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file in the table's place: no exception, a warning, and the row waits in the journal."""
    (root / "Tables" / "log").mkdir(parents=True)
    (root / "Tables" / "log" / "sourcelog").write_text("not a table")
    session = NotebookSession("example", record_timeout_seconds=0.2).load_context()
    session.initialize()
    assert session.record() is False
    assert "spectra log drain" in caplog.text
    (root / "Tables" / "log" / "sourcelog").unlink()
    assert session.record() is True
    session.finalise()
    assert len(rows(root)) == 2


def test_record_says_so_when_the_row_can_not_even_be_journalled(
    root: Path, journals: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a place for the journal nothing raises, and a warning says so."""
    journals.rmdir()
    journals.write_text("in the way")
    session = opened()
    session.log_activity(entity_name="nowhere")
    assert caplog.text.count("the activity log is not written: no journal can be opened") == 1
    assert session.record() is False
    assert "the session's record is not in its table: no journal can be opened" in caplog.text
    session.finalise()


def test_a_disabled_activity_level_is_told(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A user who sets the activity logger to WARNING is told that records are not written."""
    logger = logging.getLogger(ACTIVITY_LOGGER)
    logger.setLevel(logging.WARNING)
    try:
        with opened() as session:
            assert session.record() is False
    finally:
        logger.setLevel(logging.NOTSET)
    assert "lets no INFO record pass" in caplog.text


def test_a_record_that_logging_disable_stops_is_told_so(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No level of the activity log's logger would let it pass."""
    with opened() as session:
        logging.disable(logging.INFO)
        try:
            assert session.record() is False
        finally:
            logging.disable(logging.NOTSET)
        assert "call logging.disable(logging.NOTSET)" in caplog.text
        assert "set its level" not in caplog.text
        assert session.record() is True
    assert len(rows(root)) == 1


def test_a_failure_that_passes_where_info_does_not_is_recorded(root: Path) -> None:
    """Its row is in the table, which is what record() says."""
    logger = logging.getLogger(ACTIVITY_LOGGER)
    logger.setLevel(logging.WARNING)
    try:
        with opened() as session:
            session.mark_failed("refused")
            assert session.record() is True
    finally:
        logger.setLevel(logging.NOTSET)
    assert [row["status"] for row in rows(root)] == ["Failed"]


@pytest.mark.parametrize("filtered", ["logger", "handler"])
def test_a_record_that_a_filter_stops_is_told(
    root: Path, caplog: pytest.LogCaptureFixture, filtered: str
) -> None:
    """It is in no table, and a pipeline that asks must not be told that it is."""

    def stop(record: logging.LogRecord) -> bool:
        return record.msg != "record"

    logger = logging.getLogger(ACTIVITY_LOGGER)
    handler = DeltaHandler("Tables/log/sourcelog", spec="activity")
    target: Any = {"logger": logger, "handler": handler}[filtered]
    logger.addHandler(handler)
    target.addFilter(stop)
    try:
        with opened() as session:
            session.log_activity(entity_name="passes")
            assert session.record() is False
            assert f"no handler took it; a filter of the logger {ACTIVITY_LOGGER!r}" in caplog.text
            target.removeFilter(stop)
            assert session.record() is True
    finally:
        target.removeFilter(stop)
        logger.removeHandler(handler)
        handler.close()
    assert [row["event"] for row in rows(root)] == ["activity", "record"]


def test_one_of_several_handlers_is_enough_for_a_record(root: Path) -> None:
    """Handlers may share the rows out by filters."""
    logger = logging.getLogger(ACTIVITY_LOGGER)
    handlers = [DeltaHandler(f"Tables/log/{name}", spec="activity") for name in ("one", "other")]
    handlers[0].addFilter(lambda record: record.msg != "record")
    for handler in handlers:
        logger.addHandler(handler)
    try:
        with opened() as session:
            assert session.record() is True
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
    assert len(rows(root, "other")) == 1


def refuse(text: str = "refused") -> None:
    """A source system that does not answer."""
    raise ConnectionError(text)


class Awkward:
    """An object that can be neither printed nor looked into."""

    def __repr__(self) -> str:
        raise ValueError("no repr")


def test_awkward_metadata_does_not_cost_the_row(root: Path) -> None:
    """Cycles, raising reprs, surrogates and huge integers are kept in words, beside the rest."""
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    with opened() as session:
        session.log_activity(
            entity_name="awkward",
            row_count="three",  # type: ignore[arg-type]
            additional_metadata={"cycle": cycle, "odd": Awkward(), "big": 1 << 80, "s": "\ud800"},
        )
        session.log_activity(entity_name=Awkward(), additional_metadata=[1, 2])  # type: ignore[arg-type]
        session.add_capability("authVerified", odd=Awkward())
        assert session.record() is True
    first, second, record = rows(root)
    assert first["entity_name"] == "awkward"
    assert first["row_count"] is None
    assert json.loads(first["metadata"])["row_count"] == "three"
    assert "Awkward" in second["entity_name"]
    assert json.loads(second["metadata"]) == {"additional_metadata": [1, 2]}
    assert record["status"] == "Success"


def test_secrets_never_reach_a_row(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that was fetched is scrubbed from messages, metadata and tracebacks."""
    monkeypatch.setenv("API_TOKEN", "very-secret-value-77")
    session = opened()
    secret = session.variables.get_secret("API_TOKEN")
    session.log_activity(additional_metadata={"url": f"https://example.com/?t={secret}"})
    session.mark_failed(f"refused {secret}")
    with pytest.raises(ConnectionError), session:
        refuse(f"refused {secret}")
    assert "very-secret-value-77" not in json.dumps(rows(root), default=str)
    assert "very-secret-value-77" not in repr(session)


def test_a_failure_s_secret_reaches_no_other_handler_and_no_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Other handlers scrub nothing, nor does who prints an exception."""
    monkeypatch.setenv("API_TOKEN", "very-secret-value-77")
    session = opened()
    session.mark_failed(f"refused {session.variables.get_secret('API_TOKEN')}")
    with pytest.raises(StageFailedError, match=r"failed: refused \*\*\*") as caught:
        session.validate()
    assert session.record()
    session.finalise()
    seen = [str(caught.value), session.result, *(vars(record) for record in caplog.records)]
    assert any("refused ***" in repr(vars(record)) for record in caplog.records)
    assert "very-secret-value-77" not in repr(seen)


def test_missing_variables_are_named_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """load_context() raises once, with all four names where none is set."""
    for name in IDENTITY:
        monkeypatch.delenv(name)
    with pytest.raises(VariableNotFoundError, match="SOURCE_SYSTEM, SOURCE_NAME, STAGE, NOTEBOOK"):
        NotebookSession("example").load_context()


@pytest.mark.parametrize("stage", ["../source", "source log", "1st"])
def test_a_stage_that_is_no_part_of_a_table_name_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """STAGE names a table, so it can't hold a path."""
    monkeypatch.setenv("STAGE", stage)
    with pytest.raises(ConfigurationError, match="variable STAGE is"):
        NotebookSession("example").load_context()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bootstrap": "false"}, r"load_context\(bootstrap='false'\): expected True or False"),
        ({"project": True}, r"load_context\(project=True\): expected a whole number"),
        ({"mode": None}, r"load_context\(mode=None\): expected text"),
    ],
)
def test_parameters_of_the_wrong_type_are_refused(
    root: Path, parameters: dict[str, Any], message: str
) -> None:
    """A pipeline that passes the text "false" for a flag must not switch it on."""
    with pytest.raises(ConfigurationError, match=message):
        NotebookSession("example").load_context(**parameters)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "30", True])
def test_a_time_out_that_is_none_is_refused(timeout: Any) -> None:
    """The option is named, with its value."""
    with pytest.raises(ConfigurationError, match="record_timeout_seconds="):
        NotebookSession("example", record_timeout_seconds=timeout)


def test_steps_out_of_order_say_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    """Without a context the steps raise, except those that never do: they warn."""
    session = NotebookSession("example")
    for step in (session.initialize, session.validate, lambda: session.result):
        with pytest.raises(SpectraError, match=r"call load_context\(\) first"):
            step()
    assert session.record() is False
    session.log_activity(entity_name="e")
    session.finalise()
    assert caplog.text.count("before load_context() or after finalise()") == 2


def test_a_session_that_has_ended_is_not_initialised_again(root: Path) -> None:
    """Its cell alone was run again: nothing stays open, and the next session's end waits."""
    session = opened()
    session.record()
    session.finalise()
    with pytest.raises(SpectraError, match=r"after finalise\(\): call load_context\(\) first"):
        session.initialize()
    assert logging.getLogger(ACTIVITY_LOGGER).handlers == []
    assert "execution_id" not in structlog.contextvars.get_contextvars()
    session.load_context().initialize()
    session.record()
    session.finalise()
    assert len(rows(root)) == 2


def test_logging_an_activity_does_not_wait_for_the_table(root: Path) -> None:
    """The row is journalled when the call returns, and committed later."""
    session = opened()
    (handler,) = logging.getLogger(ACTIVITY_LOGGER).handlers
    assert isinstance(handler, DeltaHandler)
    session.log_activity(entity_name="e")
    assert handler.stats().emitted == 1
    assert handler.stats().written == 0
    session.record()
    assert handler.stats().written == 2
    session.finalise()


def test_debug_lines_pass_in_debug_mode_alone(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The parameter debug opens the notebook's log for DEBUG, until finalise()."""
    for debug in (True, False):
        with opened(debug=debug) as session:
            session.log.debug("details %s", debug)
            session.record()
    assert "details True" in caplog.text
    assert "details False" not in caplog.text


def test_debug_mode_ends_with_the_last_session_that_has_it(root: Path) -> None:
    """Cells run again make a session before the last one is dropped, or with it unfinished."""
    level = logging.getLogger("spectra.sourceExample").getEffectiveLevel
    before = level()
    session = opened(debug=True)
    session = opened(debug=False)
    assert level() == before
    session.record()
    session.finalise()
    first, second = opened(debug=True), opened(debug=True)
    for session in (first, second):
        assert level() == logging.DEBUG
        session.record()
        session.finalise()
    assert level() == before


def test_a_table_is_written_and_read_back_through_the_session(root: Path) -> None:
    """A data frame is written to its path; that there is no catalogue to register it in is fine."""
    import arro3.core

    table = arro3.core.Table.from_pydict(
        {"id": arro3.core.Array([1, 2], arro3.core.DataType.int64())}
    )
    with opened() as session:
        session.delta.write(table, "source.numbers", "Tables/source/numbers")
        session.delta.write(table, "source.numbers", "Tables/source/numbers", mode="append")
        assert session.delta.register("source.numbers", "Tables/source/numbers") is False
        session.register_tables([("source.numbers", "Tables/source/numbers")])
        session.record()
    assert [row["id"] for row in read_rows(root / "Tables/source/numbers", order_by="id")] == [
        1,
        1,
        2,
        2,
    ]


@pytest.mark.parametrize("rows", [[{"id": 1}], {"id": [1]}, None, object()])
def test_what_is_no_data_frame_is_refused_with_what_would_be_one(root: Path, rows: Any) -> None:
    """Rows of Python, and data frames of a pandas that knows no Arrow."""
    with opened() as session:
        with pytest.raises(
            ConfigurationError, match=r"source\.numbers takes .*\.from_pandas"
        ) as raised:
            session.delta.write(rows, "source.numbers", "Tables/source/numbers")
        session.record()
    assert f"not {type(rows).__name__}:" in str(raised.value)
    assert not (root / "Tables/source").exists()


def test_a_line_without_an_event_keeps_its_fields(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """``log.info(answer.get("message"))`` raises nothing into the notebook; there may be none."""
    with opened() as session, caplog.at_level(logging.INFO):
        session.log.info(None, page=1)
        session.log.warning(page=2)
        session.record()
    fields = [vars(record) for record in caplog.records]
    told = [(field["message"], field["page"]) for field in fields if "page" in field]
    assert told == [("", 1), ("", 2)]


def test_a_structlog_configuration_of_the_users_own_is_used(root: Path) -> None:
    """Where structlog is configured, the notebook's log goes its way."""
    seen: list[Any] = []

    def keep(_logger: Any, _method: str, event_dict: Any) -> Any:
        seen.append(dict(event_dict))
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    try:
        with opened() as session:
            session.log.info("hello", pages=3)
            session.record()
    finally:
        structlog.reset_defaults()
    assert {"event": "hello", "pages": 3, "execution_id": session.ctx["execution_id"]} in seen


def test_what_the_handler_s_own_thread_logs_is_neither_a_session_s_row_nor_a_lost_one(
    tmp_path: Path,
) -> None:
    """A handler on the root takes none of what the engine logs, and counts it."""
    handler = DeltaHandler(str(tmp_path / "activity"), spec="activity")
    logging.getLogger().addHandler(handler)
    try:
        watch = Watch("nb_1")
        with as_worker():
            logging.getLogger("engine").warning("a commit took long")
        assert handler.stats().dropped == {"own_thread": 1}
        assert not watch.has_taken
        assert watch.wait(30) is None
        logging.getLogger(ACTIVITY_LOGGER).warning("activity")
        assert watch.has_taken
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
