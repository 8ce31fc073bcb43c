"""``spectra demo``: the Source stage end to end, on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from spectra_logging.errors import ConfigurationError
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.paths import is_uri, lakehouse_root, resolve_table
from spectra_logging.session import ACTIVITY_LOGGER, NotebookSession
from spectra_logging.shell import shell_word
from spectra_logging.testing import FakeSourceSystem
from spectra_stage import readiness
from spectra_stage.cli.environment import environment
from spectra_stage.cli.queries import command, queries
from spectra_stage.cli.ready import lines_of
from spectra_stage.cli.rows import console, newest_rows, print_rows
from spectra_stage.errors import SourceSystemError
from spectra_stage.sdk import SourceStageHelpers
from spectra_stage.tables import PREPARE_TABLES, SOURCE_TABLES, table_path
from spectra_stage.validation.report.terminal import STYLES
from spectra_stage.validation.report.words import counted, verdict
from spectra_stage.validation.results import Outcome

__all__ = ["demo"]

TABLE = "Tables/log/sourcelog"
VARIABLES = {
    "SOURCE_SYSTEM": "zephyr",
    "SOURCE_NAME": "Example test management",
    "STAGE": "Source",
    "NOTEBOOK_NAME": "zephyrSource",
    "SPECTRA_ENGINE": "deltalake",
    # A run that fails for show is no alert.
    "DISCORD_WEBHOOK_URL": "",
    "DISCORD_WEBHOOK_URL_ZEPHYR": "",
    # What is set for a source system of the user's own is nothing to this one.
    **dict.fromkeys(
        (
            "API_USER",
            "AUTH_METHOD",
            "BASE_PATH",
            "CONTRACT_VERSION",
            "RESOURCE_ENDPOINT_TEMPLATE",
            "TEST_ENDPOINT",
            "TEST_PROJECT_ID",
        ),
        "",
    ),
    # No proxy reaches this machine's loopback. Python heeds the one in lower case first.
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"),
}


def demo(
    root: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the lakehouse, on this machine.")
    ] = Path("spectra-demo"),
) -> None:
    """Run a Source-stage notebook against a source system, and show the tables that it left.

    The source system is an HTTP server on loopback, and describes itself as an OpenAPI document.
    The notebook authenticates, writes the four source tables, makes Prepare's three, validates the
    source tables and records its run. A second run fails to authenticate. After each, the next
    stage's readiness is shown. Everything is written below --root: the tables and the journal.
    Nothing is posted to Discord, even where a webhook is set.
    """
    if is_uri(root.as_posix()):
        # As a path it would be a folder called s3: in the working directory.
        raise ConfigurationError(
            "--root is a URI, and spectra demo writes to a folder of this machine; "
            "spectra source run takes a URI"
        )
    root = root.absolute()
    screen = console()
    with activity_log(root), FakeSourceSystem() as source_system:
        screen.print(f"A source system answers at {source_system.base_url}")
        for title, token in (
            ("A notebook runs the Source stage", source_system.token),
            ("It runs again, with a token that has expired", "an-expired-token"),
        ):
            with environment(
                {
                    **VARIABLES,
                    "SPECTRA_ROOT": str(root),
                    "BASE_URL": source_system.base_url,
                    "API_TOKEN": token,
                }
            ):
                heading(screen, title)
                run_notebook(screen, source_system)
                show_readiness(screen)
    place = root / TABLE
    rows = newest_rows(open_lakehouse("deltalake"), str(place), limit=20, level=None)
    heading(screen, "What the activity log has of it")
    print_rows(screen, rows)
    heading(screen, "Ask it yourself")
    for query in queries(place):
        screen.print(f"[bold]{query.title}[/bold]")
        # Plain and unwrapped, so that it can be pasted.
        screen.print(query.text + "\n", markup=False, highlight=False, soft_wrap=True)


def heading(screen: Console, title: str) -> None:
    screen.print()
    screen.rule(f"[bold]{title}", align="left")


def run_notebook(screen: Console, source_system: FakeSourceSystem) -> None:
    """The notebook: its seven steps, and how it ended."""
    try:
        with NotebookSession("zephyrVariables").load_context(bootstrap=True, test=True) as session:
            session.initialize()
            SourceStageHelpers.execute_source_stage(
                session=session, catalog=source_system.openapi()
            )
            log_tables(session)
            session.validate()
            session.record()
    except SourceSystemError as error:
        screen.print(f"It ended as [red]Failed[/red]: {escape(str(error))}", soft_wrap=True)
        return
    screen.print(f"It ended as [green]Success[/green]: {', '.join(session.result['capabilities'])}")
    show_tables(screen, session)
    show_validation(screen, session)


def log_tables(session: NotebookSession) -> None:
    """Log an activity for each table that the stage wrote."""
    for spec in SOURCE_TABLES:
        session.log_activity(
            entity_name=spec.name.partition(".")[2],
            target_table=spec.name,
            key_column=spec.keys[0],
            row_count=count(session, table_path(spec)),
            field_count=len(spec.columns),
        )


def show_tables(screen: Console, session: NotebookSession) -> None:
    for spec in (*SOURCE_TABLES, *PREPARE_TABLES):
        path = table_path(spec)
        rows = counted(count(session, path), "row")
        screen.print(f"  {path:<28} {rows:<7} [dim]{spec.comment}[/dim]")


def count(session: NotebookSession, path: str) -> int:
    found = session.delta.lakehouse.query(
        "SELECT count(*) FROM counted", {"counted": resolve_table(path)}
    )
    return int(found.rows[0][0])


def show_validation(screen: Console, session: NotebookSession) -> None:
    validation = session.result["validation"]
    assert validation is not None
    summary = validation["summary"]
    outcome = Outcome(summary["outcome"])
    told = verdict({each: summary[each.value] for each in Outcome})
    screen.print("Do they hold what was promised?")
    screen.print(f"  [{STYLES[outcome]}]{outcome.value}[/], {told}; this lists them:")
    listing = f"{command()} validate --root {shell_word(lakehouse_root())} --all"
    screen.print(f"  {listing}", markup=False, highlight=False, soft_wrap=True)


def show_readiness(screen: Console) -> None:
    screen.print("May the Prepare stage start?")
    for line in lines_of(readiness.check(VARIABLES["SOURCE_SYSTEM"])):
        screen.print(f"  {line}", soft_wrap=True, highlight=False)


@contextmanager
def activity_log(root: Path) -> Iterator[None]:
    """The demo's own activity log and journal, and the notebook's own lines off the screen."""
    # On the activity logger, so that no other lakehouse of this machine is written to.
    handler = DeltaHandler(
        str(root / TABLE),
        spec="activity",
        engine="deltalake",
        journal_directory=str(root / "journals"),
    )
    quiet = logging.NullHandler()
    logging.getLogger(ACTIVITY_LOGGER).addHandler(handler)
    logging.getLogger("spectra").addHandler(quiet)
    try:
        yield
    finally:
        logging.getLogger("spectra").removeHandler(quiet)
        logging.getLogger(ACTIVITY_LOGGER).removeHandler(handler)
        handler.close()
