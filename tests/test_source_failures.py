"""Failures of the Source stage: their class, their one row, and how each leaves the tables."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spectra_logging.errors import ConfigurationError, SchemaConflictError, StageFailedError
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.session import NotebookSession
from spectra_logging.tables import Column, TableSpec
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.errors import (
    AuthenticationError,
    AuthorizationError,
    ResourceNotFoundError,
    SourceDataError,
    SourceNetworkError,
    SourceServiceError,
    SourceSystemError,
)
from spectra_stage.source import RetryPolicy, execute_source_stage
from spectra_stage.source.authentication import authentication
from spectra_stage.source.client import SourceClient
from spectra_stage.tables import PREPARE_TABLES, table_path
from tests.stages import (
    CAPABILITIES,
    RECORD,
    record_rows,
    run_stage,
    set_up,
    source,
)

FAILURES: dict[str, tuple[str, dict[str, Any], type[SourceSystemError], str, str, str]] = {
    "wrong token": ("/status/401", {}, AuthenticationError, "authentication", "HTTP_401", "Failed"),
    "no right": ("/status/403", {}, AuthorizationError, "authorisation", "HTTP_403", "Failed"),
    "no such path": ("/nothing", {}, ResourceNotFoundError, "not_found", "HTTP_404", "Unknown"),
    "broken": ("/status/503", {}, SourceServiceError, "service", "HTTP_503", "Unknown"),
    "slow": (
        "/delay/10",
        {"timeout": 0.1, "retry": RetryPolicy(retries=0)},
        SourceNetworkError,
        "network",
        "TIMEOUT",
        "Unknown",
    ),
    "HTML": ("/html", {}, SourceDataError, "data", "NOT_JSON", "Unknown"),
}


def test_a_stage_that_is_interrupted_is_recorded_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person stops a notebook's cell and runs those below it: half a stage is no success."""

    def interrupt(step: str) -> None:
        if step == "source.endpoints":
            raise KeyboardInterrupt

    with FakeSourceSystem() as system:
        set_up(monkeypatch, tmp_path, BASE_URL=system.base_url, API_TOKEN=system.token)
        session = NotebookSession("example").load_context(bootstrap=True)
        with pytest.raises(KeyboardInterrupt):
            execute_source_stage(session=session, catalog=[RECORD], on_step=interrupt)
        with pytest.raises(StageFailedError, match="KeyboardInterrupt"):
            session.validate()
        assert session.record()
        session.finalise()
    (row,) = record_rows(tmp_path)
    assert (row["status"], row["error_type"]) == ("Failed", "KeyboardInterrupt")


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_authentication_is_critical_recorded_and_raised(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    httpbin: str,
    failure: str,
) -> None:
    """Its class, one Failed row, a CRITICAL line, the tables' defined state."""
    endpoint, settings, error_class, category, code, _ = FAILURES[failure]
    set_up(monkeypatch, tmp_path, BASE_URL=httpbin, API_TOKEN="example-token-1234")
    with pytest.raises(error_class) as raised:
        run_stage(test_endpoint=endpoint, **settings)
    assert raised.value.category == category
    (row,) = record_rows(tmp_path)
    assert (row["status"], row["level"], row["event"]) == ("Failed", "CRITICAL", "record")
    assert (row["error_type"], row["error_message"]) == (error_class.__name__, str(raised.value))
    assert row["capabilities"] == "configTablesCreated,prepareInitialised"
    assert row["error_summary"] == {
        "total_errors": 1,
        "critical_errors": 1,
        "errors_by_category": {category: 1},
        "errors_by_code": {code: 1},
        "errors_by_type": {error_class.__name__: 1},
        "has_retryable_errors": code in {"HTTP_503", "TIMEOUT"},
    }
    critical = [r.getMessage() for r in caplog.records if r.levelno == logging.CRITICAL]
    assert critical == [str(raised.value), "record"]
    assert len(source(tmp_path, "config")) == 6
    (credentials,) = source(tmp_path, "credentials")
    assert credentials["validation_status"] == "Failed"
    for name in ("endpoints", "portfolio"):
        assert not (tmp_path / "Tables/source" / name).exists()
    for spec in PREPARE_TABLES:
        assert DeltaTable.is_deltatable(str(tmp_path / table_path(spec)))


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_rerun_shows_in_the_portfolio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpbin: str, failure: str
) -> None:
    """The row of a run before says that it failed or could not be tried; its catalogue stays."""
    endpoint, settings, error_class, _, _, auth_status = FAILURES[failure]
    set_up(monkeypatch, tmp_path, BASE_URL=httpbin, API_TOKEN="example-token-1234")
    run_stage(test_endpoint="/bearer")
    (before,) = source(tmp_path, "portfolio")
    with pytest.raises(error_class):
        run_stage([], test_endpoint=endpoint, **settings)
    (after,) = source(tmp_path, "portfolio")
    assert after["auth_status"] == auth_status
    assert after["last_auth_check"] > before["last_auth_check"]
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"auth_status", "last_auth_check", "last_updated"}
    assert len(source(tmp_path, "endpoints")) == 1


def test_an_empty_project_list_is_collected_and_the_stage_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing below a project could be tried: a data error that is not critical."""
    with FakeSourceSystem(projects=0) as system:
        set_up(monkeypatch, tmp_path, BASE_URL=system.base_url, API_TOKEN=system.token)
        session = run_stage()
    assert session.result["status"] == "Success"
    assert session.result["capabilities"] == [
        name for name in CAPABILITIES if name != "projectAccessVerified"
    ]
    assert session.result["errors"] == {
        "total_errors": 1,
        "critical_errors": 0,
        "errors_by_category": {"data": 1},
        "errors_by_code": {"NO_PROJECT": 1},
        "errors_by_type": {"SourceDataError": 1},
        "has_retryable_errors": False,
    }
    (row,) = record_rows(tmp_path)
    assert row["status"] == "Success"
    assert row["error_summary"]["errors_by_code"] == {"NO_PROJECT": 1}
    assert not source(tmp_path, "portfolio")[0]["hierarchical_access_validated"]


def test_a_resource_that_is_refused_is_collected_and_the_stage_goes_on(
    stage_root: Path, system: FakeSourceSystem
) -> None:
    """TEST_PROJECT_ID's project is tried; that it is not there costs the success rate a half."""
    session = run_stage(resource_endpoint_template="/release/project/9{projectId}")
    assert session.result["errors"]["errors_by_type"] == {"ResourceNotFoundError": 1}
    (portfolio,) = source(stage_root, "portfolio")
    assert portfolio["endpoint_success_rate"] == 0.5
    assert not portfolio["hierarchical_access_validated"]


def test_a_failed_authentication_is_raised_though_no_table_can_show_it(
    stage_root: Path, system: FakeSourceSystem, caplog: pytest.LogCaptureFixture
) -> None:
    """A file where the credentials' table should be: a warning, and the first failure stands."""
    system.fail_with = 401
    (stage_root / "Tables/source").mkdir(parents=True)
    (stage_root / "Tables/source/credentials").write_text("in the way")
    with pytest.raises(AuthenticationError):
        run_stage()
    assert "the tables don't show the failed authentication" in caplog.text
    assert [row["error_type"] for row in record_rows(stage_root)] == ["AuthenticationError"]


def test_a_table_in_the_way_is_recorded_and_raised(stage_root: Path) -> None:
    """A conflict with Prepare's tables fails the stage; its differences are in the record."""
    spec = TableSpec(name="x.y", columns=(Column(name="entity", type="long"),))
    open_lakehouse().ensure(str(stage_root / "Tables/prepare/_schema"), spec)
    with pytest.raises(SchemaConflictError):
        run_stage()
    (row,) = record_rows(stage_root)
    assert row["error_type"] == "SchemaConflictError"
    assert "column entity is long there, not string" in row["error_message"]


GZIP = "Content-Encoding: gzip\r\nContent-Length: 2"
BODIES: dict[str, tuple[str, bytes, type[SourceSystemError], str, int]] = {
    "cut off": ("Content-Length: 10", b"{}", SourceNetworkError, "CUT_OFF", 2),
    "no gzip": (GZIP, b"{}", SourceDataError, "NOT_DECODABLE", 1),
    "nested": ("X: y", b"[" * 200_000 + b"]" * 200_000, SourceDataError, "NOT_JSON", 1),
}


@contextmanager
def answers(*bodies: tuple[str, bytes]) -> Iterator[SourceClient]:
    """A client of a server that answers with a header and a body, one a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for header, body in bodies:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    connection.sendall(f"{head}Connection: close\r\n{header}\r\n\r\n".encode())
                    connection.sendall(body)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with SourceClient(address, authentication("bearer", "example-token-1234")) as client:
            yield client
        server.join(10)
        assert not server.is_alive()


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_can_not_be_used_is_told_for_what_it_is(case: str) -> None:
    """Not as a source system that can't be reached; what breaks off is asked for once more."""
    header, body, error_class, code, asked = BODIES[case]
    with answers(*[(header, body)] * asked) as client, pytest.raises(error_class) as raised:
        client.get_json("/")
    assert raised.value.code == code
    assert "reached" not in str(raised.value)


def test_a_body_that_breaks_off_once_is_no_failure() -> None:
    """The second answer is whole."""
    with answers(("Content-Length: 10", b"{}"), ("Content-Length: 2", b"{}")) as client:
        assert client.get_json("/") == {}


def test_json_may_begin_with_a_byte_order_mark() -> None:
    """Some servers write one before UTF-8."""
    with answers(("X: y", b'\xef\xbb\xbf{"a": "\xc3\xa9"}')) as client:
        assert client.get_json("/") == {"a": "\N{LATIN SMALL LETTER E WITH ACUTE}"}


def test_a_time_out_that_no_socket_can_wait_for_is_refused(stage_root: Path) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigurationError, match=r"timeout=10000000000\.0 must be 86400 seconds"):
        run_stage(timeout=1e10)
