"""The application: which commands there are, and what errors become."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import Annotated

import typer

from spectra_logging._version import __version__
from spectra_logging.errors import ConfigurationError, SpectraError
from spectra_stage.cli import demo, discord, log, prepare, ready, source, validate
from spectra_stage.cli.words import PrintableFormatter, say_error

__all__ = ["app", "run"]

EXIT_FAILED = 1
EXIT_USAGE = 2

app = typer.Typer(
    name="spectra",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Logs in Delta tables, and the stages of a pipeline that they tell of.",
)
app.add_typer(log.app, name="log")
app.add_typer(source.app, name="source")
app.add_typer(discord.app, name="discord")
app.command("demo")(demo.demo)
app.command("prepare")(prepare.prepare)
app.command("ready")(ready.ready)
app.command("validate", cls=validate.ValidateCommand)(validate.validate)


def show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"spectra-logging {__version__}")
        raise typer.Exit


@app.callback()
def spectra(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def run() -> int:
    """Run the command that ``sys.argv`` asks for; errors become a line on stderr and a code."""
    for stream in (sys.stdout, sys.stderr):
        # What a terminal's or a pipe's encoding lacks is escaped: the rest is worth reading.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("COLUMNS") == "0":
        # As where a screen's width is not known: rich would show nothing at all.
        del os.environ["COLUMNS"]
    if logging.lastResort is not None:
        # It shows the warnings of what no command has set a handler up for.
        logging.lastResort.setFormatter(PrintableFormatter())
    try:
        return app(standalone_mode=True) or 0
    except ConfigurationError as error:
        say_error(error)
        return EXIT_USAGE
    # A journal may be another user's, or its disk full.
    except (SpectraError, OSError) as error:
        say_error(error)
        return EXIT_FAILED
