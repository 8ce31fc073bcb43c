"""``spectra source``: run the Source stage from a shell or a scheduler."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.status import Status

from spectra_logging.errors import ConfigurationError, SpectraError
from spectra_logging.session import NotebookSession
from spectra_stage.catalog import EndpointCatalog, load_catalog
from spectra_stage.cli import options
from spectra_stage.cli.environment import environment, stage_variables, warnings_on_stderr
from spectra_stage.source import execute_source_stage
from spectra_stage.validation.report.words import verdict
from spectra_stage.validation.results import Outcome

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Run the Source stage.")


@app.callback()
def source() -> None:
    """Run the Source stage."""


@app.command()
def run(
    source_system: options.SourceSystem,
    base_url: Annotated[str, typer.Option(help="The API's address.", show_default=False)],
    catalog: Annotated[
        Path,
        typer.Option(
            help="The endpoint catalogue: an OpenAPI document or a list, JSON or YAML.",
            show_default=False,
        ),
    ],
    token_variable: Annotated[
        str, typer.Option(metavar="NAME", help="The environment variable that holds the token.")
    ] = "API_TOKEN",  # noqa: S107 - a variable's name
    root: options.LakehouseRoot = None,
    source_name: Annotated[
        str | None, typer.Option(help="The system's name for people.", show_default=False)
    ] = None,
    base_path: Annotated[str, typer.Option(help="Path that all others are below.")] = "",
    test_endpoint: Annotated[
        str | None,
        typer.Option(help="Path that tells whether the token is known.", show_default=False),
    ] = None,
    resource_endpoint_template: Annotated[
        str | None,
        typer.Option(help="Path below a project, with {projectId}.", show_default=False),
    ] = None,
    project_id: Annotated[
        str | None, typer.Option(help="The project to try.", show_default=False)
    ] = None,
    contract_version: Annotated[
        str | None, typer.Option(help="The contract with the system, X.Y.Z.", show_default=False)
    ] = None,
    auth_method: Annotated[
        str | None, typer.Option(help="apiToken, bearer or basic.", show_default=False)
    ] = None,
    auth_header: Annotated[str, typer.Option(help="Header of the token.")] = "Authorization",
    auth_prefix: Annotated[str, typer.Option(help="What stands before it there.")] = "Bearer",
    timeout_seconds: Annotated[float, typer.Option(help="Longest wait, each attempt.")] = 10.0,
    bootstrap: Annotated[
        bool,
        typer.Option("--bootstrap/--keep-catalog", help="Write the catalogue anew, or keep it."),
    ] = True,
    duplicates: Annotated[
        str, typer.Option(help="What becomes of endpoints listed twice: drop or refuse.")
    ] = "drop",
    validate: Annotated[bool, typer.Option(help="Validate the tables afterwards.")] = False,
    as_object: options.JsonLines = False,
    engine: options.Engine = "auto",
) -> None:
    """Authenticate against a source system and write the source tables; record the run."""
    token = os.environ.get(token_variable)
    if not token:
        raise ConfigurationError(
            f"--token-variable: the environment variable {token_variable} is not set"
        )
    variables = {
        **stage_variables(root, engine),
        "SOURCE_SYSTEM": source_system,
        "SOURCE_NAME": source_name or source_system,
        "STAGE": "Source",
        "NOTEBOOK_NAME": f"{source_system}Source",
        "BASE_URL": base_url,
        "BASE_PATH": base_path,
        "API_TOKEN": token,
        "TEST_PROJECT_ID": project_id,
    }
    settings = {
        "test_endpoint": test_endpoint,
        "resource_endpoint_template": resource_endpoint_template,
        "contract_version": contract_version,
        "auth_method": auth_method,
        "auth_header": auth_header,
        "auth_prefix": auth_prefix,
        "timeout": timeout_seconds,
    }
    endpoints = load_catalog(catalog, duplicates=duplicates)
    with environment(variables), warnings_on_stderr():
        session = NotebookSession("spectra").load_context(bootstrap=bootstrap, test=validate)
        try:
            run_session(session, endpoints, settings)
        finally:
            if as_object:
                typer.echo(json.dumps(outcome(session), default=str))
    if not as_object:
        show(session)


def run_session(
    session: NotebookSession, catalog: EndpointCatalog, settings: dict[str, Any]
) -> None:
    """The notebook's steps, with each step of the stage on stderr as it begins.

    Raises:
        SpectraError: The stage failed, and is recorded as such; or its record is late.
    """
    screen = Console(stderr=True)
    with session, Status("starting", console=screen) as status:
        session.initialize()
        execute_source_stage(session=session, catalog=catalog, on_step=status.update, **settings)
        session.validate()
        recorded = session.record()
    # Raised within the block, it would be recorded in its turn: as the failure of the stage.
    if not recorded:
        raise SpectraError("the stage ran, and its record is not in the activity log yet")


def outcome(session: NotebookSession) -> dict[str, Any]:
    """How the run went, for programs."""
    return {
        "execution_id": session.ctx["execution_id"],
        "source_system": session.ctx["source_system"],
        **session.result,
    }


def show(session: NotebookSession) -> None:
    """How the run went, for people."""
    result = session.result
    typer.echo(f"{result['status']}: {session.ctx['execution_id']}")
    typer.echo(f"capabilities: {', '.join(result['capabilities'])}")
    errors = result["errors"]["errors_by_type"]
    told = ", ".join(f"{name} {count}" for name, count in errors.items())
    typer.echo(f"errors survived: {told or 'none'}")
    if result["validation"] is not None:
        summary = result["validation"]["summary"]
        checks = verdict({each: summary[each.value] for each in Outcome})
        typer.echo(f"validation: {summary['outcome']}, {checks}")
