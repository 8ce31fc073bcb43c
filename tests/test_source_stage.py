"""The Source stage end to end, against real HTTP servers: its tables, and each way it fails."""

from __future__ import annotations

import datetime as dt
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spectra_logging._version import __version__
from spectra_logging.errors import ConfigurationError, SchemaConflictError, VariableNotFoundError
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
from spectra_stage.source import RetryPolicy, SourceProfile, add_profile, execute_source_stage
from spectra_stage.tables import PREPARE_TABLES, SOURCE_TABLES, table_path
from tests.stages import (
    CAPABILITIES,
    IDENTITY,
    RECORD,
    httpbin_server,
    record_rows,
    run_stage,
    set_up,
    source,
)


@pytest.fixture
def system() -> Iterator[FakeSourceSystem]:
    """A running source system."""
    with FakeSourceSystem() as system:
        yield system


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: FakeSourceSystem) -> Path:
    """A lakehouse of the test's own, and the variables of a notebook for the source system."""
    set_up(monkeypatch, tmp_path, BASE_URL=system.base_url, API_TOKEN=system.token)
    return tmp_path


@pytest.fixture(scope="module")
def httpbin() -> Iterator[str]:
    """The address of an API that we did not write."""
    with httpbin_server() as base_url:
        yield base_url


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_stage_leaves_all_its_tables_as_designed(root: Path, system: FakeSourceSystem) -> None:
    """Each column of each row of the four tables, and the capabilities in their order."""
    before = dt.datetime.now(dt.timezone.utc)
    catalog = [RECORD, {**RECORD, "full_path": "/a/{id}", "category": "a", "hierarchical": True}]
    session = run_stage(catalog)
    after = dt.datetime.now(dt.timezone.utc)

    assert session.result["status"] == "Success"
    assert session.result["capabilities"] == CAPABILITIES
    config = source(root, "config")
    assert {row["config_key"]: row["config_value"] for row in config} == {
        "execution_mode": "local",
        "operation_type": "local",
        "notebook_name": "zephyrSource",
        "stage": "Source",
        "sdk_version": __version__,
        "bootstrap_enabled": "true",
    }
    assert len(config) == 6
    (credentials,) = source(root, "credentials")
    assert before <= credentials.pop("last_validated") <= after
    assert credentials == {
        "credential_type": "api_token",
        "credential_value": "***" + system.token[-3:],
        "validation_status": "Success",
    }
    assert source(root, "endpoints") == sorted(catalog, key=lambda row: row["full_path"])
    (portfolio,) = source(root, "portfolio")
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


def test_the_tables_are_as_their_specs_declare_them(root: Path) -> None:
    """Names, types and nulls of every table's columns, and no rows in Prepare's."""
    run_stage()
    lakehouse = open_lakehouse()
    for spec in (*SOURCE_TABLES, *PREPARE_TABLES):
        place = str(root / table_path(spec))
        assert [(c.name, c.type, c.nullable) for c in lakehouse.schema(place)] == [
            (c.name, c.type, c.nullable) for c in spec.columns
        ], spec.name
    for spec in PREPARE_TABLES:
        assert DeltaTable(str(root / table_path(spec))).count() == 0


def test_the_discovery_date_survives_reruns(root: Path) -> None:
    """A rerun renews all of the row but the day when the source system was first discovered."""
    run_stage()
    lakehouse = open_lakehouse()
    (spec,) = [spec for spec in SOURCE_TABLES if spec.name == "source.portfolio"]
    (row,) = source(root, "portfolio")
    first = dt.date(2020, 2, 29)
    lakehouse.write(str(root / table_path(spec)), [{**row, "discovery_date": first}], spec=spec)
    run_stage()
    (rerun,) = source(root, "portfolio")
    assert rerun["discovery_date"] == first
    assert rerun["last_updated"] > row["last_updated"]


def test_other_source_systems_keep_their_portfolio_rows(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row a source system: a second system's run leaves the first one's row as it was."""
    run_stage()
    (first,) = source(root, "portfolio")
    monkeypatch.setenv("SOURCE_SYSTEM", "another")
    run_stage(test_endpoint="/project/details")
    another, zephyr = source(root, "portfolio")
    assert another["source_system"] == "another"
    assert zephyr == first


def test_without_bootstrap_the_catalogue_stays(root: Path) -> None:
    """It is written where there is none, and counted but not replaced where there is one."""
    first = run_stage([RECORD], {"bootstrap": False})
    assert "bootstrapped" in first.result["capabilities"]
    second = run_stage([], {"bootstrap": False})
    assert "bootstrapped" not in second.result["capabilities"]
    assert len(source(root, "endpoints")) == 1
    assert source(root, "portfolio")[0]["total_endpoints"] == 1
    run_stage([], {"bootstrap": True})
    assert source(root, "endpoints") == []
    assert source(root, "portfolio")[0]["total_endpoints"] == 0


def test_duplicates_are_told_and_never_written(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the endpoint, the record's metadata counts it, the table has it once."""
    run_stage([RECORD, RECORD])
    assert len(source(root, "endpoints")) == 1
    assert (
        "endpoint left out: record 2: GET /project/details is record 1 already" in caplog.messages
    )
    (row,) = record_rows(root)
    assert row["metadata"]["capability_metadata"]["bootstrapped"]["duplicates"] == 1


def test_the_whole_stage_runs_against_an_api_that_others_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpbin: str
) -> None:
    """The API checks the token and describes itself; its catalogue and counts are in the tables."""
    import requests

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
    with requests.Session() as http:
        document = http.get(f"{httpbin}/spec.json", timeout=30).json()
    session = run_stage(document)
    assert session.result["capabilities"] == CAPABILITIES
    endpoints = source(tmp_path, "endpoints")
    assert len(endpoints) > 50
    (portfolio,) = source(tmp_path, "portfolio")
    assert portfolio["total_endpoints"] == len(endpoints)
    assert portfolio["contract_version"] == "0.9.2"
    assert sum(json.loads(portfolio["endpoint_categories"]).values()) == len(endpoints)
    assert portfolio["hierarchical_endpoints"] == sum(row["hierarchical"] for row in endpoints)
    assert not portfolio["supports_incremental"]


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


def test_a_source_system_that_is_down_is_a_network_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens at the port: the reason is in the message, and the run is recorded."""
    set_up(
        monkeypatch,
        tmp_path,
        BASE_URL=f"http://127.0.0.1:{closed_port()}",
        API_TOKEN="example-token-1234",
    )
    with pytest.raises(SourceNetworkError, match=r"can't be reached: .*refused") as raised:
        run_stage()
    assert (raised.value.code, raised.value.retryable) == ("CONNECTION", True)
    (row,) = record_rows(tmp_path)
    assert (row["status"], row["error_type"]) == ("Failed", "SourceNetworkError")


def test_too_many_requests_and_then_fine_is_no_failure(
    root: Path, system: FakeSourceSystem
) -> None:
    """429 with Retry-After and 503 are tried again; nothing of it is an error."""
    system.first_answers += [(429, {"Retry-After": "0"}), (503, {})]
    session = run_stage()
    assert session.result["status"] == "Success"
    assert session.result["errors"]["total_errors"] == 0
    assert [status for _, _, status in system.requests] == [429, 503, 200, 200]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_a_retry_can_not_change_is_asked_once(
    root: Path, system: FakeSourceSystem, status: int
) -> None:
    """401, 403 and 404 are final."""
    system.fail_with = status
    with pytest.raises(SourceSystemError):
        run_stage()
    assert len(system.requests) == 1


def test_a_source_system_that_stays_busy_is_given_up(root: Path, system: FakeSourceSystem) -> None:
    """After the retries the last answer is the error."""
    system.fail_with = 429
    with pytest.raises(SourceServiceError, match="429") as raised:
        run_stage(retry=RetryPolicy(retries=2, backoff_seconds=0))
    assert raised.value.retryable
    assert len(system.requests) == 3


def test_a_source_system_that_asks_for_an_hour_is_not_waited_for(
    root: Path, system: FakeSourceSystem
) -> None:
    """A notebook must not hang: beyond the longest wait the answer is the error, at once."""
    system.first_answers.append((429, {"Retry-After": "3600"}))
    with pytest.raises(SourceServiceError, match="asks to wait 3600"):
        run_stage()
    assert len(system.requests) == 1


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
    root: Path, system: FakeSourceSystem
) -> None:
    """TEST_PROJECT_ID's project is tried; that it is not there costs the success rate a half."""
    session = run_stage(resource_endpoint_template="/release/project/9{projectId}")
    assert session.result["errors"]["errors_by_type"] == {"ResourceNotFoundError": 1}
    (portfolio,) = source(root, "portfolio")
    assert portfolio["endpoint_success_rate"] == 0.5
    assert not portfolio["hierarchical_access_validated"]


@pytest.mark.parametrize(
    ("variable", "parameter", "asked"), [(None, 0, "1"), (None, 2, "2"), ("a/b", 2, "a%2Fb")]
)
def test_the_project_to_try_is_chosen(
    *,
    root: Path,
    system: FakeSourceSystem,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    parameter: int,
    asked: str,
) -> None:
    """TEST_PROJECT_ID, else the parameter, else the first listed; as one segment of the path."""
    if variable:
        monkeypatch.setenv("TEST_PROJECT_ID", variable)
    run_stage(parameters={"project": parameter})
    assert system.requests[1][1] == f"/release/project/{asked}"


def test_the_token_goes_to_no_other_host(root: Path, system: FakeSourceSystem) -> None:
    """A redirect elsewhere is an error that names the host; one within the host is followed."""
    system.first_answers.append((302, {"Location": "/project/details?again"}))
    assert run_stage().result["status"] == "Success"
    with FakeSourceSystem() as another:
        elsewhere = f"{another.base_url}/project/details"
        system.first_answers.append((307, {"Location": elsewhere}))
        with pytest.raises(SourceServiceError, match=r"redirects to http://127\.0\.0\.1"):
            run_stage()
        assert another.requests == []


def test_redirects_in_a_circle_end(root: Path, system: FakeSourceSystem) -> None:
    """Six are too many."""
    system.first_answers += [(302, {"Location": "/project/details"})] * 6
    with pytest.raises(SourceServiceError, match="redirects more than 5 times"):
        run_stage()


def test_credentials_of_netrc_are_never_sent(
    root: Path, system: FakeSourceSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The HTTP client would put those for the host in the token's place."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login example password other", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    assert run_stage().result["status"] == "Success"


@pytest.mark.parametrize(
    ("settings", "variables", "header", "value"),
    [
        ({}, {}, "Authorization", "Bearer example-token-1234"),
        ({"auth_prefix": "Token"}, {}, "Authorization", "Token example-token-1234"),
        ({"auth_header": "X-Api-Key", "auth_prefix": ""}, {}, "X-Api-Key", "example-token-1234"),
        ({}, {"AUTH_METHOD": "bearer"}, "Authorization", "Bearer example-token-1234"),
        (
            {"auth_method": "basic"},
            {"API_USER": "me"},
            "Authorization",
            "Basic bWU6ZXhhbXBsZS10b2tlbi0xMjM0",
        ),
        (
            {"auth_method": "Basic"},
            {"API_TOKEN": "me:example-token-1234"},
            "Authorization",
            "Basic bWU6ZXhhbXBsZS10b2tlbi0xMjM0",
        ),
    ],
)
def test_each_way_to_authenticate_sends_its_header(
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    variables: dict[str, str],
    header: str,
    value: str,
) -> None:
    """What arrives at the server, byte by byte."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    arrived = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            arrived.append(self.headers[header])
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.handle_request).start()
        set_up(
            monkeypatch,
            tmp_path,
            BASE_URL=f"http://127.0.0.1:{server.server_port}",
            SOURCE_SYSTEM="plain",
            **{"API_TOKEN": "example-token-1234", **variables},
        )
        run_stage(**settings)
    assert arrived == [value]


@pytest.mark.parametrize(
    ("settings", "variables", "problem"),
    [
        ({"contract_version": "3"}, {}, "contract_version='3' must be three numbers"),
        ({"endpoint_success_rate": 2}, {}, "endpoint_success_rate=2 must be a number from 0 to 1"),
        ({"test_endpoint": "projects"}, {}, "test_endpoint='projects' must be a path"),
        ({"resource_endpoint_template": "/a"}, {}, "must have {projectId}"),
        ({"timeout": 0}, {}, "timeout=0 must be a number of seconds, more than 0"),
        ({"auth_method": "oauth"}, {}, "auth_method='oauth' may be apiToken, bearer, basic"),
        ({"auth_method": "basic"}, {}, "needs a user: set API_USER"),
        ({"auth_header": "X Key"}, {}, "auth_header='X Key' can't be an HTTP header's name"),
        ({}, {"BASE_URL": "api.example.com"}, "BASE_URL is 'api.example.com'; it must be"),
        ({}, {"BASE_URL": "https://u:pw@example.com"}, "BASE_URL holds a user or a password"),
        ({}, {"API_TOKEN": "two\nlines"}, "API_TOKEN holds characters that no HTTP header"),
        ({"catalog": None}, {}, "no caller has a global variable ZEPHYR_ENDPOINTS_CATALOG"),
    ],
)
def test_a_setting_that_can_not_work_is_refused_before_any_table_is_touched(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    variables: dict[str, str],
    problem: str,
) -> None:
    """The setting, its value and what it may be; the run is recorded as Failed, once."""
    set_up(monkeypatch, root, **variables)
    with pytest.raises(ConfigurationError) as raised:
        run_stage(**settings)
    assert problem in str(raised.value)
    assert "lines" not in str(raised.value)
    assert not (root / "Tables/source").exists()
    (row,) = record_rows(root)
    assert (row["status"], row["level"]) == ("Failed", "ERROR")
    assert row["error_type"] == "ConfigurationError"


def test_missing_variables_are_named_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BASE_URL and API_TOKEN in one message."""
    monkeypatch.delenv("BASE_URL")
    monkeypatch.delenv("API_TOKEN")
    with pytest.raises(VariableNotFoundError, match="not set: BASE_URL, API_TOKEN"):
        run_stage()


def test_a_table_in_the_way_is_recorded_and_raised(root: Path) -> None:
    """A conflict with Prepare's tables fails the stage; its differences are in the record."""
    spec = TableSpec(name="x.y", columns=(Column(name="entity", type="long"),))
    open_lakehouse().ensure(str(root / "Tables/prepare/_schema"), spec)
    with pytest.raises(SchemaConflictError):
        run_stage()
    (row,) = record_rows(root)
    assert row["error_type"] == "SchemaConflictError"
    assert "column entity is long there, not string" in row["error_message"]


def test_profiles_can_be_added_and_are_overridden(
    root: Path, system: FakeSourceSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keyword over variable over profile; a profile counts whatever the key's case."""
    monkeypatch.setenv("SOURCE_SYSTEM", "Testmanager")
    add_profile(
        "testmanager",
        SourceProfile(
            test_endpoint="/project/details",
            resource_endpoint_template="/testcase/project/{projectId}",
            supports_incremental=True,
        ),
    )
    run_stage()
    monkeypatch.setenv("RESOURCE_ENDPOINT_TEMPLATE", "/release/project/{projectId}")
    run_stage()
    run_stage(
        resource_endpoint_template="/testcase/project/{projectId}?limit=1",
        supports_incremental=False,
    )
    assert [path for _, path, _ in system.requests[1::2]] == [
        "/testcase/project/1",
        "/release/project/1",
        "/testcase/project/1?limit=1",
    ]
    assert not source(root, "portfolio")[0]["supports_incremental"]


@pytest.mark.parametrize("token", ["abc4", "abcd5678", "abcdefgh9012", "abcdefgh-0123456789-wxyz"])
def test_a_token_is_masked_to_a_quarter_and_three_characters_at_most(
    root: Path, system: FakeSourceSystem, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """Short tokens show less, so that what is shown never helps to guess the rest."""
    system.token = token
    monkeypatch.setenv("API_TOKEN", token)
    run_stage()
    (credentials,) = source(root, "credentials")
    shown = credentials["credential_value"].removeprefix("***")
    assert token.endswith(shown)
    assert len(shown) == min(3, len(token) // 4)


@pytest.mark.parametrize("method", ["apiToken", "basic"])
@pytest.mark.parametrize("outcome", ["success", "refused", "down", "malformed"])
def test_the_token_is_nowhere(
    *,
    root: Path,
    system: FakeSourceSystem,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    journals: Path,
    method: str,
    outcome: str,
) -> None:
    """Not in any file, log line at DEBUG or output, nor in an exception or what hangs on it."""
    import base64

    token = "s3cr3t-Token+with/odd=chars" + ("\nline" if outcome == "malformed" else "")
    caplog.set_level(logging.DEBUG)
    system.token = token if outcome == "success" and method == "apiToken" else "another"
    base_url = f"http://127.0.0.1:{closed_port()}" if outcome == "down" else system.base_url
    set_up(monkeypatch, root, API_TOKEN=token, API_USER="me", BASE_URL=base_url)
    error: BaseException | None = None
    try:
        run_stage(auth_method=method)
    except Exception as raised:  # noqa: BLE001 - whatever it is, it is looked through
        error = raised
    texts = [caplog.text, *map(repr, (vars(r) for r in caplog.records)), *capfd.readouterr()]
    while error is not None:
        texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        request = getattr(error, "request", None)
        texts.append(repr(request and dict(request.headers)))
        error = error.__cause__ or error.__context__
    for folder in (root, journals):
        for file in folder.rglob("*"):
            if file.is_file():
                texts.append(file.read_bytes().decode("latin-1"))
    for name in ("config", "credentials", "endpoints", "portfolio"):
        if (root / "Tables/source" / name).exists():
            texts.append(repr(source(root, name)))
    texts.append(repr(record_rows(root)))
    for form in (
        token,
        token.partition("\n")[0],
        base64.b64encode(f"me:{token}".encode()).decode(),
    ):
        assert not [text for text in texts if form in text]


def test_reruns_overwrite(root: Path) -> None:
    """The tables hold what one run leaves, the activity log a row a run."""
    for _ in range(3):
        run_stage()
    assert [len(source(root, name)) for name in ("config", "credentials", "endpoints")] == [6, 1, 1]
    assert len(source(root, "portfolio")) == 1
    ids = {row["execution_id"] for row in record_rows(root)}
    assert len(ids) == 3


def test_the_notebooks_global_catalogue_is_found(root: Path) -> None:
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
        assert len(source(root, "endpoints")) == 1


def test_a_failure_is_recorded_by_the_time_that_it_is_raised(
    root: Path, system: FakeSourceSystem
) -> None:
    """A notebook without a with block, whose kernel lives on, has its row in the table."""
    system.fail_with = 401
    session = NotebookSession("example").load_context()
    with pytest.raises(AuthenticationError):
        execute_source_stage(session=session, catalog=[])
    assert [row["status"] for row in record_rows(root)] == ["Failed"]
    session.finalise()
    assert [row["status"] for row in record_rows(root)] == ["Failed"]


def test_a_with_block_and_the_interpreters_end_add_no_row(root: Path) -> None:
    """The failure that the stage recorded is the run's only row, with or without a with block."""
    from tests.programs import run_program

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
        assert len(record_rows(root)) == index + 1


def test_a_session_has_what_the_stage_found(root: Path) -> None:
    """The record's metadata tells how each capability came about."""
    run_stage()
    (row,) = record_rows(root)
    assert row["capabilities"].split(",") == CAPABILITIES
    found = row["metadata"]["capability_metadata"]
    assert found["prepareInitialised"]["created"] == [spec.name for spec in PREPARE_TABLES]
    assert found["bootstrapped"] == {"endpoints": 1, "duplicates": 0, "skipped": 0}
    assert {name: row[name] for name in ("stage", "source_system", "source_name")} == {
        "stage": IDENTITY["STAGE"],
        "source_system": IDENTITY["SOURCE_SYSTEM"],
        "source_name": IDENTITY["SOURCE_NAME"],
    }
