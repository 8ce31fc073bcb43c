"""Requests to a source system: what is tried again, what is sent, and where the token goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from urllib3 import HTTPResponse

from spectra_logging.errors import ConfigurationError
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.errors import (
    ResourceNotFoundError,
    SourceNetworkError,
    SourceServiceError,
    SourceSystemError,
)
from spectra_stage.source import RetryPolicy
from tests.programs import free_port
from tests.stages import (
    AT_ONCE,
    record_rows,
    run_stage,
    set_up,
    source,
)


def test_too_many_requests_and_then_fine_is_no_failure(
    stage_root: Path, system: FakeSourceSystem
) -> None:
    """429 with Retry-After and 503 are tried again; nothing of it is an error."""
    system.first_answers += [(429, {"Retry-After": "0"}), (503, {})]
    session = run_stage()
    assert session.result["status"] == "Success"
    assert session.result["errors"]["total_errors"] == 0
    assert [status for _, _, status in system.requests] == [429, 503, 200, 200]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_a_retry_can_not_change_is_asked_once(
    stage_root: Path, system: FakeSourceSystem, status: int
) -> None:
    """401, 403 and 404 are final."""
    system.fail_with = status
    with pytest.raises(SourceSystemError):
        run_stage()
    assert len(system.requests) == 1


def test_a_wait_that_comes_with_another_answer_is_no_reason_to_ask_again(
    stage_root: Path, system: FakeSourceSystem
) -> None:
    """A 413 may name a time, too; the policy has no such retry."""
    system.first_answers.append((413, {"Retry-After": "0"}))
    with pytest.raises(SourceServiceError, match="413"):
        run_stage()
    assert len(system.requests) == 1


@pytest.mark.parametrize("status", [300, 302, 999])
def test_json_behind_a_status_that_is_no_success_is_no_answer(
    stage_root: Path, system: FakeSourceSystem, status: int
) -> None:
    """Such as a redirect to nowhere: nothing is known of the credentials."""
    system.first_answers.append((status, {}))
    with pytest.raises(SourceServiceError, match=str(status)) as raised:
        run_stage()
    assert (raised.value.code, raised.value.retryable) == (f"HTTP_{status}", False)
    (credentials,) = source(stage_root, "credentials")
    assert credentials["validation_status"] == "Failed"


def test_a_source_system_that_stays_busy_is_given_up(
    stage_root: Path, system: FakeSourceSystem
) -> None:
    """After the retries the last answer is the error."""
    system.fail_with = 429
    with pytest.raises(SourceServiceError, match="429") as raised:
        run_stage(retry=RetryPolicy(retries=2, backoff_seconds=0))
    assert raised.value.retryable
    assert len(system.requests) == 3


def test_a_source_system_that_asks_for_an_hour_is_not_waited_for(
    stage_root: Path, system: FakeSourceSystem
) -> None:
    """A notebook must not hang: beyond the longest wait the answer is the error, at once."""
    system.first_answers.append((429, {"Retry-After": "3600"}))
    with pytest.raises(SourceServiceError, match="asks to wait 3600"):
        run_stage()
    assert len(system.requests) == 1


@pytest.mark.parametrize(
    "wait",
    [
        "0.01",
        "-1",
        "nan",
        "soon",
        "",
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wed, 21 Oct 99999 07:28:00 GMT",
    ],
)
def test_a_wait_in_any_form_is_no_reason_not_to_try_again(
    stage_root: Path, system: FakeSourceSystem, wait: str
) -> None:
    """Fractions of a second are waited for, a date as ever; what says nothing is ignored."""
    system.first_answers += [(status, {"Retry-After": wait}) for status in (429, 503)]
    assert run_stage(retry=AT_ONCE).result["errors"]["total_errors"] == 0
    assert [status for _, _, status in system.requests] == [429, 503, 200, 200]


def test_a_source_system_that_is_down_is_a_network_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens at the port: the reason is in the message, and the run is recorded."""
    set_up(
        monkeypatch,
        tmp_path,
        BASE_URL=f"http://127.0.0.1:{free_port()}",
        API_TOKEN="example-token-1234",
    )
    with pytest.raises(SourceNetworkError, match=r"can't be reached: .*refused") as raised:
        run_stage()
    assert (raised.value.code, raised.value.retryable) == ("CONNECTION", True)
    (row,) = record_rows(tmp_path)
    assert (row["status"], row["error_type"]) == ("Failed", "SourceNetworkError")


def test_the_token_goes_to_no_other_host(stage_root: Path, system: FakeSourceSystem) -> None:
    """A redirect elsewhere is an error that names the host; one within the host is followed."""
    system.first_answers.append((302, {"Location": "/project/details?again"}))
    assert run_stage().result["status"] == "Success"
    with FakeSourceSystem() as another:
        elsewhere = f"{another.base_url}/project/details"
        system.first_answers.append((307, {"Location": elsewhere}))
        with pytest.raises(SourceServiceError, match=r"redirects to http://127\.0\.0\.1"):
            run_stage()
        assert another.requests == []


@pytest.mark.parametrize("target", ["http://h:99999/", "http://[::1/", "http://h:port/"])
def test_a_redirect_to_no_address_is_the_source_system_s_error(
    stage_root: Path, system: FakeSourceSystem, target: str
) -> None:
    """The tables show the failed authentication, as after any other failure."""
    system.first_answers.append((302, {"Location": target}))
    with pytest.raises(SourceServiceError, match="redirects to what is no address"):
        run_stage()
    (credentials,) = source(stage_root, "credentials")
    assert credentials["validation_status"] == "Failed"


@pytest.mark.parametrize("base_url", ["http://h:99999", "http://[::1", "http://a..b"])
def test_a_base_url_that_is_no_address_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base_url: str
) -> None:
    """Before anything is asked or written."""
    set_up(monkeypatch, tmp_path, BASE_URL=base_url, API_TOKEN="example-token-1234")
    with pytest.raises(ConfigurationError, match="BASE_URL is no address"):
        run_stage()
    assert not (tmp_path / "Tables/source").exists()


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [("http://a..b:3128", r"a\.\.b"), ("http://user:pass[word@h:3128", "Invalid IPv6 URL")],
)
def test_a_proxy_that_is_no_address_is_a_network_error(
    stage_root: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, reason: str
) -> None:
    """The HTTP client looks at it only when it connects."""
    monkeypatch.setenv("BASE_URL", "http://example.invalid")
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(SourceNetworkError, match=f"can't be reached: .*{reason}"):
        run_stage(retry=RetryPolicy(retries=0))


def test_authorities_that_are_not_there_are_a_network_error(
    stage_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable to mend is named, and the tables show the failed authentication."""
    monkeypatch.setenv("BASE_URL", "https://example.invalid")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    with pytest.raises(SourceNetworkError, match=r"nowhere\.pem.* REQUESTS_CA_BUNDLE") as raised:
        run_stage()
    assert (raised.value.code, raised.value.retryable) == ("TLS", False)
    (credentials,) = source(stage_root, "credentials")
    assert credentials["validation_status"] == "Failed"


@pytest.mark.parametrize("sent", ["/pr\u00f6j".encode(), b"/pr%C3%B6j"])
def test_a_redirect_may_be_written_in_utf_8(
    stage_root: Path, system: FakeSourceSystem, sent: bytes
) -> None:
    """Servers that escape nothing send it so; headers are read as Latin-1."""
    system.first_answers.append((302, {"Location": sent.decode("latin-1")}))
    with pytest.raises(ResourceNotFoundError):
        run_stage()
    assert [path for _, path, _ in system.requests] == ["/project/details", "/pr%C3%B6j"]


def test_redirects_in_a_circle_end(stage_root: Path, system: FakeSourceSystem) -> None:
    """Six are too many."""
    system.first_answers += [(302, {"Location": "/project/details"})] * 6
    with pytest.raises(SourceServiceError, match="redirects more than 5 times"):
        run_stage()


def test_credentials_of_netrc_are_never_sent(
    stage_root: Path, system: FakeSourceSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
            {},
            {"AUTH_METHOD": " basic\n", "API_USER": "me\n"},
            "Authorization",
            "Basic bWU6ZXhhbXBsZS10b2tlbi0xMjM0",
        ),
        (
            {"auth_method": "Basic"},
            {"API_TOKEN": "me:example-token-1234"},
            "Authorization",
            "Basic bWU6ZXhhbXBsZS10b2tlbi0xMjM0",
        ),
        (
            {"auth_method": "basic"},
            {"API_USER": "müller", "API_TOKEN": "pässwort-1234"},
            "Authorization",
            "Basic bcO8bGxlcjpww6Rzc3dvcnQtMTIzNA==",
        ),
    ],
)
def test_each_way_to_authenticate_sends_its_header(
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
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
        Thread(target=server.handle_request, daemon=True).start()
        set_up(
            monkeypatch,
            tmp_path,
            BASE_URL=f"http://127.0.0.1:{server.server_port}",
            SOURCE_SYSTEM="plain",
            **{"API_TOKEN": "example-token-1234", **variables},
        )
        run_stage(**settings)
    assert arrived == [value]


def test_each_retry_after_the_first_waits_twice_as_long() -> None:
    """A source system that is restarting is given the time; the first retry comes at once."""
    retry = RetryPolicy(retries=4, backoff_seconds=0.5).to_urllib3()
    waits = []
    for _ in range(4):
        retry = retry.increment("GET", "/projects", HTTPResponse(status=503))
        waits.append(retry.get_backoff_time())
    assert waits == [0, 1.0, 2.0, 4.0]
