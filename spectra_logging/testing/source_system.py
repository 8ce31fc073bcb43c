"""A source system to test against: a small test-management API over real HTTP on loopback."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from spectra_logging.testing.http_server import LoopbackHandler, LoopbackServer

__all__ = ["FakeSourceSystem"]

PAGE_SIZE = 50


class FakeSourceSystem(LoopbackServer):
    """An HTTP server on a free port of 127.0.0.1 that speaks a small REST API.

    =====================================  ===========================================
    ``GET /openapi.json``                  the API's own description; needs no token
    ``GET /project/details``               all projects, as a list
    ``GET /release/project/{projectId}``   one project's releases, as a list
    ``GET /cycle/release/{releaseId}``     one release's cycles, in pages
    ``GET /testcase/project/{projectId}``  one project's test cases, in pages
    =====================================  ===========================================

    A page is ``{"results": […], "offset": 0, "limit": 50, "total": 120}``; ``?offset=`` and
    ``?limit=`` choose it. Errors are JSON as well: 401 without the bearer token, 404 for what is
    not there, 400 for a page that is none.

    Args:
        token: The bearer token that the API asks for.
        projects: How many projects there are; each has 2 releases and 120 test cases, each release
            3 cycles.
        fail_with: The status that every request is answered with, such as 503. May be changed
            while the server runs.
        latency_seconds: How long each answer takes. May be changed while the server runs.
        first_answers: Status and headers that the first requests are answered with, one after
            the other, such as ``(429, {"Retry-After": "1"})``. More may be appended while the
            server runs.

    Attributes:
        base_url: The server's address, without a slash at its end, once it has started.
        requests: Method, path with its query, and status of each request answered, in order.
    """

    def __init__(
        self,
        *,
        token: str = "example-token-1234",  # noqa: S107 - an example
        projects: int = 2,
        fail_with: int | None = None,
        latency_seconds: float = 0.0,
        first_answers: Iterable[tuple[int, Mapping[str, str]]] = (),
    ) -> None:
        self.token = token
        self.fail_with = fail_with
        self.latency_seconds = latency_seconds
        self.first_answers = deque(first_answers)
        self.requests: list[tuple[str, str, int]] = []
        self._data = _make_data(projects)
        super().__init__(_RequestHandler)

    @property
    def base_url(self) -> str:
        """The server's address."""
        return self.address

    def answer(self, target: str, authorization: str | None) -> tuple[int, Any]:
        """Status and JSON body for a request.

        Args:
            target: The path with its query.
            authorization: The request's ``Authorization`` header.
        """
        if self.latency_seconds:
            self._closing.wait(self.latency_seconds)
        if self.fail_with is not None:
            return _error(self.fail_with, "the source system fails as it was told to")
        url = urlsplit(target)
        if url.path == "/openapi.json":
            return HTTPStatus.OK, self.openapi()
        if authorization != f"Bearer {self.token}":
            return _error(HTTPStatus.UNAUTHORIZED, "the bearer token is missing or wrong")
        for path, (_, paged) in ENDPOINTS.items():
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<id>\\d+)", path), url.path)
            if match:
                rows = self._data.get((path, int(match.groupdict().get("id", 0))))
                if rows is None:
                    return _error(HTTPStatus.NOT_FOUND, f"nothing at {url.path}")
                return _page(rows, parse_qs(url.query)) if paged else (HTTPStatus.OK, rows)
        return _error(HTTPStatus.NOT_FOUND, f"no endpoint {url.path}")

    @staticmethod
    def openapi() -> dict[str, Any]:
        """The API's own description, an OpenAPI document."""
        paths = {}
        for path, (summary, paged) in ENDPOINTS.items():
            parameters: list[dict[str, Any]] = [
                {"name": name, "in": "path", "required": True, "schema": {"type": "integer"}}
                for name in re.findall(r"\{(\w+)\}", path)
            ]
            if paged:
                parameters += [
                    {"name": name, "in": "query", "schema": {"type": "integer"}}
                    for name in ("offset", "limit")
                ]
            paths[path] = {
                "get": {
                    "summary": summary,
                    "tags": [path.split("/")[1]],
                    "parameters": parameters,
                    "security": [{"bearer": []}],
                    "responses": {"200": {"description": summary}},
                }
            }
        return {
            "openapi": "3.0.3",
            "info": {"title": "Example test management", "version": "3.0.0"},
            "paths": paths,
            "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        }


ENDPOINTS: dict[str, tuple[str, bool]] = {
    "/project/details": ("All projects", False),
    "/release/project/{projectId}": ("A project's releases", False),
    "/cycle/release/{releaseId}": ("A release's cycles", True),
    "/testcase/project/{projectId}": ("A project's test cases", True),
}
"""Path → what it offers, and whether in pages."""


def _make_data(projects: int) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """The rows behind each endpoint and id; the same numbers give the same rows."""
    data: dict[tuple[str, int], list[dict[str, Any]]] = {}
    project_rows, release_path, cycle_path, testcase_path = [], *list(ENDPOINTS)[1:]
    for project in range(1, projects + 1):
        project_rows.append({"id": project, "key": f"P{project}", "name": f"Project {project}"})
        releases = [project * 10 + number for number in (1, 2)]
        data[release_path, project] = [
            {"id": release, "projectId": project, "name": f"Release {release}", "status": "open"}
            for release in releases
        ]
        for release in releases:
            data[cycle_path, release] = [
                {"id": release * 10 + n, "releaseId": release, "name": f"Cycle {n}"}
                for n in (1, 2, 3)
            ]
        data[testcase_path, project] = [
            {"id": project * 1000 + n, "projectId": project, "name": f"Test case {n}"}
            for n in range(1, 121)
        ]
    data["/project/details", 0] = project_rows
    return data


def _page(rows: list[dict[str, Any]], query: dict[str, list[str]]) -> tuple[int, Any]:
    try:
        offset, limit = (
            int(query.get(name, [str(default)])[0])
            for name, default in (("offset", 0), ("limit", PAGE_SIZE))
        )
    except ValueError:
        offset = limit = -1
    if offset < 0 or limit < 1:
        return _error(HTTPStatus.BAD_REQUEST, "offset must be 0 or more, limit 1 or more")
    results = rows[offset : offset + min(limit, PAGE_SIZE)]
    return HTTPStatus.OK, {
        "results": results,
        "offset": offset,
        "limit": min(limit, PAGE_SIZE),
        "total": len(rows),
    }


def _error(status: int, message: str) -> tuple[int, Any]:
    return status, {"error": {"status": int(status), "message": message}}


class _RequestHandler(LoopbackHandler):
    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        source_system: FakeSourceSystem = self.server.service
        headers: Mapping[str, str] = {}
        if source_system.first_answers:
            status, headers = source_system.first_answers.popleft()
            body = _error(status, "the source system answers as it was told to")[1]
        else:
            status, body = source_system.answer(self.path, self.headers.get("Authorization"))
        source_system.requests.append((self.command, self.path, int(status)))
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in headers.items():
            self.send_header(name, value)
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(payload)
