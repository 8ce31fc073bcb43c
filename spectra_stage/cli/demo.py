"""``spectra demo``: a Source-stage notebook's run, end to end, on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import requests
import typer

from spectra_logging.errors import StageFailedError
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.session import ACTIVITY_LOGGER, NotebookSession
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.cli.queries import queries
from spectra_stage.cli.rows import console, newest_rows, shown_columns, table_of

__all__ = ["demo"]

TABLE = "Tables/log/sourcelog"
VARIABLES = {
    "SOURCE_SYSTEM": "zephyr",
    "SOURCE_NAME": "Example test management",
    "STAGE": "Source",
    "NOTEBOOK_NAME": "zephyrSource",
}


def demo(
    root: Annotated[Path, typer.Option(help="Folder for the lakehouse.")] = Path("spectra-demo"),
) -> None:
    """Run a Source-stage notebook against a source system, and show the rows that it left.

    The source system is an HTTP server on loopback. The notebook authenticates, reads what the
    source system offers, logs an activity for each entity and records its run. A second run fails
    to authenticate. Everything is written below --root: the Delta table and its journal.
    """
    place = root.absolute() / TABLE
    screen = console()
    # On the activity logger, so that no other lakehouse of this machine is written to.
    handler = DeltaHandler(
        str(place), spec="activity", journal_directory=str(root.absolute() / "journals")
    )
    logger = logging.getLogger(ACTIVITY_LOGGER)
    logger.addHandler(handler)
    # The notebook's own lines stay off the screen; how it ended is shown.
    quiet = logging.NullHandler()
    logging.getLogger("spectra").addHandler(quiet)
    try:
        with FakeSourceSystem() as source_system:
            screen.print(f"A source system answers at {source_system.base_url}")
            for token in (source_system.token, "an-expired-token"):
                with environment(BASE_URL=source_system.base_url, API_TOKEN=token, **VARIABLES):
                    outcome = run_notebook()
                screen.print(f"A notebook's run ended: [bold]{outcome}[/bold]")
    finally:
        logging.getLogger("spectra").removeHandler(quiet)
        logger.removeHandler(handler)
        handler.close()
    rows = newest_rows(open_lakehouse(), str(place), limit=20, level=None)
    screen.print(f"\nThe newest rows of {place}", soft_wrap=True, highlight=False)
    screen.print(table_of(rows, shown_columns(rows[0])))
    for query in queries(place):
        screen.print(f"\n[bold]{query.title}[/bold]")
        # Plain and unwrapped, so that it can be pasted.
        screen.print(query.text, markup=False, highlight=False, soft_wrap=True)


def run_notebook() -> str:
    """The notebook: its seven steps. Returns how it ended, in words."""
    session = NotebookSession("zephyrVariables").load_context()
    session.initialize()
    try:
        read_source(session)
        session.validate()
        return "Success"
    except (StageFailedError, requests.RequestException) as error:
        session.mark_failed(str(error))
        return f"Failed, {error}"
    finally:
        session.record()
        session.finalise()


def read_source(session: NotebookSession) -> None:
    """Authenticate, and read every entity of each project.

    Raises:
        requests.RequestException: The source system refused, or does not answer.
    """
    with requests.Session() as http:
        http.headers["Authorization"] = f"Bearer {session.variables.get_secret('API_TOKEN')}"
        projects = get_json(http, session, "/project/details")
        session.add_capability("authVerified")
        log_entity(session, "projects", projects)
        for project in projects:
            releases = get_json(http, session, f"/release/project/{project['id']}")
            log_entity(session, "releases", releases, project_key=project["key"])
            for release in releases:
                cycles = get_pages(http, session, f"/cycle/release/{release['id']}")
                log_entity(session, "cycles", cycles, project_key=project["key"])
            cases = get_pages(http, session, f"/testcase/project/{project['id']}")
            log_entity(session, "testcases", cases, project_key=project["key"])
        session.add_capability("projectAccessVerified")


def get_json(http: requests.Session, session: NotebookSession, path: str) -> Any:
    answer = http.get(session.ctx["base_url"] + path, timeout=10)
    answer.raise_for_status()
    return answer.json()


def get_pages(http: requests.Session, session: NotebookSession, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while True:
        page = get_json(http, session, f"{path}?offset={len(rows)}")
        rows += page["results"]
        if len(rows) >= page["total"]:
            return rows


def log_entity(
    session: NotebookSession,
    entity: str,
    rows: list[dict[str, Any]],
    project_key: str | None = None,
) -> None:
    session.log_activity(
        entity_name=entity,
        key_column="id",
        project_key=project_key,
        row_count=len(rows),
        field_count=len(rows[0]) if rows else 0,
    )


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for a while, which is where a session reads them outside Fabric."""
    before: Mapping[str, str | None] = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
