"""The fakes behave as what they stand for: Fabric's utilities and a source system's HTTP API."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from spectra_logging.testing import FakeNotebookUtils, FakeSourceSystem


@pytest.fixture
def source() -> Iterator[FakeSourceSystem]:
    """A running source system."""
    with FakeSourceSystem() as system:
        yield system


def get(source: FakeSourceSystem, path: str, token: str | None = None) -> requests.Response:
    """GET with the source's own token, unless another is given."""
    headers = {"Authorization": f"Bearer {source.token if token is None else token}"}
    with requests.Session() as http:
        return http.get(source.base_url + path, headers=headers, timeout=10)


def test_projects_are_listed_to_who_holds_the_token(source: FakeSourceSystem) -> None:
    """The list endpoint answers JSON over a real socket."""
    response = get(source, "/project/details")
    assert response.status_code == 200
    assert [project["key"] for project in response.json()] == ["P1", "P2"]


def test_a_wrong_token_is_refused_with_json(source: FakeSourceSystem) -> None:
    """401 comes with the reason as JSON and the scheme to use, as real APIs do."""
    response = get(source, "/project/details", token="wrong")
    assert response.status_code == 401
    assert response.json()["error"]["message"] == "the bearer token is missing or wrong"
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_pages_cover_an_entity_without_gaps_or_repeats(source: FakeSourceSystem) -> None:
    """Following offset until total gives each row once."""
    ids: list[int] = []
    total = 1
    while len(ids) < total:
        page = get(source, f"/testcase/project/1?offset={len(ids)}&limit=50").json()
        total = page["total"]
        ids += [row["id"] for row in page["results"]]
    assert ids == list(range(1001, 1121))


def test_first_answers_are_given_once_each(source: FakeSourceSystem) -> None:
    """A source system that is busy once, with the header that says so, and then is not."""
    source.first_answers.append((429, {"Retry-After": "7"}))
    busy = get(source, "/project/details")
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "7")
    assert get(source, "/project/details").status_code == 200


@pytest.mark.parametrize("query", ["offset=-1", "limit=0", "offset=x"])
def test_a_page_that_is_none_is_refused(source: FakeSourceSystem, query: str) -> None:
    """Nonsense in a page's bounds is 400."""
    assert get(source, f"/testcase/project/1?{query}").status_code == 400


@pytest.mark.parametrize("path", ["/release/project/99", "/nothing", "/release/project/x"])
def test_what_is_not_there_is_404(source: FakeSourceSystem, path: str) -> None:
    """Unknown ids and unknown endpoints are 404 with JSON."""
    response = get(source, path)
    assert response.status_code == 404
    assert response.json()["error"]["status"] == 404


def test_the_openapi_document_describes_every_endpoint_that_answers(
    source: FakeSourceSystem,
) -> None:
    """Each path in the catalogue answers 200 once its parameter is filled in; it needs no token."""
    document = get(source, "/openapi.json", token="").json()
    assert document["openapi"].startswith("3.")
    assert len(document["paths"]) == 4
    for path in document["paths"]:
        identifier = "11" if "release" in path.split("{")[0].rsplit("/", 2)[1] else "1"
        assert get(source, re.sub(r"\{\w+\}", identifier, path)).status_code == 200


def test_failures_can_be_switched_on_and_off(source: FakeSourceSystem) -> None:
    """fail_with answers every request with that status until it is taken back."""
    source.fail_with = 503
    assert get(source, "/project/details").status_code == 503
    source.fail_with = None
    assert get(source, "/project/details").status_code == 200
    assert [status for _, _, status in source.requests] == [503, 200]


def test_a_slow_answer_does_not_hold_up_the_end() -> None:
    """stop() lets a delayed answer go at once."""
    arrived = threading.Event()

    class Slow(FakeSourceSystem):
        def answer(self, target: str, authorization: str | None) -> tuple[int, Any]:
            arrived.set()
            return super().answer(target, authorization)

    source = Slow(latency_seconds=3600).start()
    statuses: list[int] = []
    client = threading.Thread(
        target=lambda: statuses.append(get(source, "/project/details").status_code)
    )
    client.start()
    assert arrived.wait(30)
    source.stop()
    client.join(30)
    assert statuses == [200]


def test_a_stopped_source_system_has_no_address() -> None:
    """Asking for the address before start() says what to do."""
    with pytest.raises(RuntimeError, match="call start"):
        _ = FakeSourceSystem().base_url


def test_a_source_system_that_is_started_twice_is_one_and_stops() -> None:
    """A with block around one that runs already: none goes on behind it, at another address."""
    started = FakeSourceSystem().start()
    address = started.base_url
    with started as source_system:
        assert source_system.base_url == address
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{address}/openapi.json", timeout=10)
    with source_system:
        assert requests.get(f"{source_system.base_url}/openapi.json", timeout=10).ok


def test_notebookutils_that_is_installed_twice_is_gone_again() -> None:
    """Else every later test would run in Fabric."""
    before = sys.modules.get("notebookutils")
    fake = FakeNotebookUtils()
    fake.install()
    with fake:
        assert sys.modules["notebookutils"] is fake.module
    assert sys.modules.get("notebookutils") is before
    with FakeNotebookUtils() as other:
        fake.uninstall()
        assert sys.modules["notebookutils"] is other.module
    assert sys.modules.get("notebookutils") is before


def test_notebookutils_can_be_imported_while_the_fake_is_installed() -> None:
    """The import finds the fake, and what was there before comes back."""
    before = sys.modules.get("notebookutils")
    with FakeNotebookUtils(
        variables={"lib": {"NAME": "value"}},
        secrets={"https://example.vault.azure.net/": {"name": "secret"}},
        tokens={"storage": "token"},
    ):
        utilities = importlib.import_module("notebookutils")
        library = utilities.variableLibrary.getLibrary("lib")
        assert library.NAME == library["NAME"] == library.getVariable("NAME") == "value"
        assert utilities.variableLibrary.get("$(/**/lib/NAME)") == "value"
        vault = "https://example.vault.azure.net/"
        assert utilities.credentials.getSecret(vault, "name") == "secret"
        assert utilities.credentials.getToken("storage") == "token"
        assert utilities.runtime.context["productType"] == "Fabric"
    assert sys.modules.get("notebookutils") is before


def test_the_fake_notebookutils_refuses_what_is_not_there() -> None:
    """Unknown libraries, variables, secrets, audiences and malformed references raise."""
    with FakeNotebookUtils(variables={"lib": {}}):
        utilities = importlib.import_module("notebookutils")
        calls: tuple[Callable[[], object], ...] = (
            lambda: utilities.variableLibrary.getLibrary("other"),
            lambda: utilities.variableLibrary.getLibrary("lib").NAME,
            lambda: utilities.variableLibrary.get("$(lib/NAME)"),
            lambda: utilities.credentials.getSecret("https://example.vault.azure.net/", "name"),
            lambda: utilities.credentials.getToken("storage"),
        )
        for call in calls:
            with pytest.raises((RuntimeError, ValueError), match=r"not found|Invalid|Unsupported"):
                call()
