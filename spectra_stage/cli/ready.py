"""``spectra ready``: may the next stage start?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from spectra_stage import readiness
from spectra_stage.cli import options
from spectra_stage.cli.environment import environment, stage_variables
from spectra_stage.cli.rows import console
from spectra_stage.source.settings import DEFAULT_CONTRACT_VERSION
from spectra_stage.validation.report.cleaned import printable

__all__ = ["lines_of", "ready"]

EXIT_NOT_READY = 5


def ready(
    source_system: options.SourceSystem,
    root: options.LakehouseRoot = None,
    contract_version: Annotated[
        str, typer.Option(help="The contract that the next stage was made for.")
    ] = DEFAULT_CONTRACT_VERSION,
    as_object: options.JsonLines = False,
    engine: options.Engine = "auto",
) -> None:
    """Look whether the Source stage left all that Prepare needs, and which run to cite.

    Exit code 5 says that it did not.
    """
    with environment(stage_variables(root, engine)):
        found = readiness.check(source_system, contract_version=contract_version)
    if as_object:
        typer.echo(json.dumps({**asdict(found), "ready": found.ready}))
    else:
        for line in lines_of(found):
            console().print(line, soft_wrap=True, highlight=False)
    if not found.ready:
        raise typer.Exit(EXIT_NOT_READY)


def lines_of(found: readiness.Readiness) -> list[str]:
    """Each condition with its finding, and the verdict, in rich's markup."""
    lines = [
        f"{'[green]yes[/green]' if condition.ok else '[red]no [/red]'}  "
        f"{condition.name:<14} {escape(printable(condition.finding))}"
        for condition in found.conditions
    ]
    if found.ready:
        return [*lines, f"[bold]ready[/bold]; cite {escape(printable(str(found.execution_id)))}"]
    return [*lines, "[bold]not ready[/bold]"]
