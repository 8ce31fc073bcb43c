"""A Source-stage notebook in seven steps, against an HTTP API, on any machine.

``python examples/source_notebook.py`` runs it against a source system of its own on loopback. Set
BASE_URL and API_TOKEN to run it against yours. The rows land in ``Tables/log/sourcelog``, below
SPECTRA_ROOT or the working directory; look at them with ``spectra log show Tables/log/sourcelog``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import requests

from spectra_logging.config import configure
from spectra_logging.session import NotebookSession
from spectra_logging.testing import FakeSourceSystem

# 1. Parameters: in Fabric, a pipeline sets these.
BOOTSTRAP = True
PROJECT = 0


def run_notebook() -> None:
    """Steps 2 to 7."""
    # 2. Context: where this runs, and the variables of the Variable Library or the environment.
    with NotebookSession("exampleVariables").load_context(
        bootstrap=BOOTSTRAP, project=PROJECT
    ) as session:
        # 3. Initialise
        log = session.initialize()

        # 4. Execute
        with requests.Session() as http:
            http.headers["Authorization"] = f"Bearer {session.variables.get_secret('API_TOKEN')}"
            try:
                projects = read(session, http, "/project/details")
            except requests.HTTPError as error:
                session.mark_failed(f"authentication failed: {error}")
            else:
                session.add_capability("authVerified", project_count=len(projects))
                session.log_activity(
                    entity_name="project", key_column="id", row_count=len(projects)
                )
                for project in projects:
                    if PROJECT in (0, project["id"]):
                        read_project(session, http, project)
                session.add_capability("projectAccessVerified")
        log.info("source system read", capabilities=session.result["capabilities"])

        # 5. Validate: raises when the stage failed, which leaves a Failed row.
        session.validate()

        # 6. Record: waits until the row is in the table.
        session.record()
    # 7. Finalise: the with block's end does it.


def read_project(session: NotebookSession, http: requests.Session, project: dict[str, Any]) -> None:
    """Read one project's entities, and log an activity for each."""
    for entity in ("release", "testcase"):
        rows = read(session, http, f"/{entity}/project/{project['id']}")
        session.log_activity(
            entity_name=entity,
            key_column="id",
            project_key=project["key"],
            row_count=len(rows),
            field_count=len(rows[0]) if rows else 0,
        )


def read(session: NotebookSession, http: requests.Session, path: str) -> list[dict[str, Any]]:
    """All rows of one endpoint, page by page where it answers in pages."""
    rows: list[dict[str, Any]] = []
    while True:
        response = http.get(
            session.ctx["full_url"] + path, params={"offset": len(rows)}, timeout=10
        )
        response.raise_for_status()
        answer = response.json()
        if isinstance(answer, list):
            return answer
        rows += answer["results"]
        if len(rows) >= answer["total"]:
            return rows


@contextlib.contextmanager
def source_system() -> Iterator[None]:
    """The source system that BASE_URL names, or one on loopback for the while."""
    os.environ.setdefault("SOURCE_SYSTEM", "example")
    os.environ.setdefault("SOURCE_NAME", "Example test management")
    os.environ.setdefault("STAGE", "source")
    os.environ.setdefault("NOTEBOOK_NAME", "sourceExample")
    if "BASE_URL" in os.environ:
        yield
        return
    with FakeSourceSystem() as source:
        os.environ.update(BASE_URL=source.base_url)
        os.environ.setdefault("API_TOKEN", source.token)
        yield


if __name__ == "__main__":
    configure()
    with source_system():
        run_notebook()
