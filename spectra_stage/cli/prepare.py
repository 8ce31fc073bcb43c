"""``spectra prepare``: make the Prepare stage's tables fit."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from spectra_stage.cli import options
from spectra_stage.cli.environment import environment, stage_variables
from spectra_stage.prepare import initialize_prepare_stage

__all__ = ["prepare"]


def prepare(
    root: options.LakehouseRoot = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Change nothing; say what would be done.")
    ] = False,
    as_object: options.JsonLines = False,
    engine: options.Engine = "auto",
) -> None:
    """Make prepare._schema, prepare._endpoints and prepare._statusMap fit, and say what was done.

    Tables and columns that are missing are made. A column of another type is an error that lists
    every difference, and nothing is changed.
    """
    with environment(stage_variables(root, engine)):
        report = initialize_prepare_stage(plan=plan)
    if as_object:
        typer.echo(json.dumps({**asdict(report), "changed": report.changed}))
        return
    for table in report.tables:
        typer.echo(f"{table.name:<20} {table.in_words}")
    if plan:
        typer.echo("nothing was changed: this is a plan", err=True)
