"""Running the Source stage in tests: its variables, its notebook, and an API others wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from spectra_logging.session import NotebookSession
from spectra_stage.source import RetryPolicy, execute_source_stage
from tests.tables import read_rows

__all__ = [
    "AT_ONCE",
    "CAPABILITIES",
    "IDENTITY",
    "RECORD",
    "describe",
    "httpbin_server",
    "record_rows",
    "run_stage",
    "set_up",
    "source",
]

AT_ONCE = RetryPolicy(backoff_seconds=0)
"""Retries that don't wait for each other."""

CAPABILITIES = [
    "configTablesCreated",
    "prepareInitialised",
    "authVerified",
    "projectAccessVerified",
    "bootstrapped",
    "tablesRegistered",
]
"""What a run without any trouble establishes, in order."""

IDENTITY = {
    "SOURCE_SYSTEM": "zephyr",
    "SOURCE_NAME": "Example test management",
    "STAGE": "Source",
    "NOTEBOOK_NAME": "zephyrSource",
}

RECORD: dict[str, Any] = {
    "endpoint_path": "/project/details",
    "full_path": "/project/details",
    "http_method": "GET",
    "category": "project",
    "description": "All projects",
    "requires_auth": True,
    "hierarchical": False,
    "query_parameters": [],
    "path_parameters": [],
    "resource": "project",
}
"""An endpoint as a record with all ten fields."""

_HTTPBIN = """
import waitress
from httpbin import app
server = waitress.create_server(app, host="127.0.0.1", port=0)
print(server.effective_port, flush=True)
server.run()
"""


@contextmanager
def httpbin_server() -> Iterator[str]:
    """PyPI's httpbin, served in a process of its own; gives its address."""
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _HTTPBIN], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.kill()
        server.communicate()


def describe(base_url: str) -> Any:
    """The Swagger document that httpbin makes of itself."""
    with requests.Session() as http:
        return http.get(f"{base_url}/spec.json", timeout=30).json()


def set_up(monkeypatch: pytest.MonkeyPatch, root: Path, **variables: str) -> None:
    """The notebook's variables, in the environment."""
    for name, value in {**IDENTITY, "SPECTRA_ROOT": str(root), **variables}.items():
        monkeypatch.setenv(name, value)


def run_stage(
    catalog: Any = (RECORD,), parameters: dict[str, Any] | None = None, **settings: Any
) -> NotebookSession:
    """The notebook's seven steps; the session as it is afterwards."""
    session = NotebookSession("example").load_context(**{"bootstrap": True, **(parameters or {})})
    with session:
        session.initialize()
        execute_source_stage(session=session, catalog=catalog, **{"retry": AT_ONCE, **settings})
        session.validate()
        session.record()
    return session


def source(root: Path, table: str) -> list[dict[str, Any]]:
    """The rows of one of the ``source`` tables, in the order of their columns."""
    return read_rows(root / "Tables/source" / table, order_by="ALL")


def record_rows(root: Path) -> list[dict[str, Any]]:
    """The activity log's rows, with the JSON in them read."""
    rows = read_rows(root / "Tables/log/sourcelog", order_by="activity_id")
    for row in rows:
        for name in ("error_summary", "metadata", "parameters"):
            row[name] = row[name] and json.loads(row[name])
    return rows
