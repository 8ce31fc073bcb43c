"""``spectra validate``: does each table hold what was promised of it?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import progress as bars
from rich.console import Console
from typer.core import TyperCommand

from spectra_logging.errors import ConfigurationError, SpectraError
from spectra_stage.cli import options
from spectra_stage.cli.words import say_error
from spectra_stage.validation.chosen import DEFAULT, chosen_suite
from spectra_stage.validation.report.terminal import report_in_colour
from spectra_stage.validation.report.words import counted
from spectra_stage.validation.results import Outcome, Report
from spectra_stage.validation.run import Progress, run

__all__ = ["ValidateCommand", "validate"]

EXIT_CODES = {Outcome.PASSED: 0, Outcome.FAILED: 1, Outcome.WARNING: 2, Outcome.ERROR: 3}
EXIT_USAGE = 2
EXIT_ERROR = EXIT_CODES[Outcome.ERROR]
STDOUT = "-"


class ValidateCommand(TyperCommand):
    """A command whose wrong usage ends with 3, as 2 says that there were warnings."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments."""
        try:
            return super().make_context(*args, **kwargs)
        except Exception as error:
            # The usage errors of what typer is built on have no name in typer.
            if getattr(error, "exit_code", None) == EXIT_USAGE:
                vars(error)["exit_code"] = EXIT_ERROR
            raise


def validate(
    suite: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="source, prepare, log, a file, or module:name; may be given several times.",
        ),
    ] = [*DEFAULT],  # noqa: B006 - typer copies it
    root: options.LakehouseRoot = None,
    junit: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write JUnit XML; - is stdout.", show_default=False),
    ] = None,
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write JSON; - is stdout.", show_default=False),
    ] = None,
    html: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write an HTML page; - is stdout.", show_default=False),
    ] = None,
    all_checks: Annotated[
        bool, typer.Option("--all", help="List the checks that passed or were skipped too.")
    ] = False,
    engine: options.Engine = "auto",
    storage_option: options.StorageOptions = None,
) -> None:
    """Look whether tables hold what was promised of them; the report is on stdout.

    Exit code 0: all checks passed.

    1: a check failed.

    2: there are warnings, and nothing worse.

    3: a check could not be made, or the command could not run.
    """
    files = {"to_junit": junit, "to_json": json, "to_html": html}
    try:
        check_distinct(files.values())
        lakehouse = options.lakehouse_for(engine, storage_option)
        with progress() as on_progress:
            report = run(chosen_suite(suite), lakehouse, root=root, on_progress=on_progress)
    except (SpectraError, OSError) as error:
        say_error(error)
        raise typer.Exit(EXIT_ERROR) from None
    code = EXIT_CODES[report.outcome]
    for form, file in files.items():
        try:
            if file is not None:
                write(getattr(report, form)(), file)
        except OSError as error:
            # What was found, maybe in an hour, is not lost with it: the others are written.
            say_error(error)
            code = EXIT_ERROR
            if file == STDOUT:
                discard_stdout()
    if STDOUT not in files.values():
        try:
            show(report, all_checks=all_checks)
        except OSError as error:
            # Left to typer, a pipe without a reader is 1, which says that a check failed.
            say_error(error)
            code = EXIT_ERROR
            discard_stdout()
    raise typer.Exit(code)


@contextmanager
def progress() -> Iterator[Callable[[Progress], None]]:
    """A line on a terminal's stderr that tells which table is looked at; nothing in a pipe."""
    screen = Console(stderr=True)
    if not screen.is_terminal:
        # Older versions of rich end a bar that is disabled with an empty line all the same.
        yield lambda _reached: None
        return
    bar = bars.Progress(
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}", markup=False),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        console=screen,
        transient=True,
    )
    with bar:
        task = bar.add_task("opening", total=None)

        def on_progress(reached: Progress) -> None:
            told = f"{reached.table}, {counted(reached.checks, 'check')}"
            bar.update(task, description=told, completed=reached.number, total=reached.tables)

        yield on_progress


def check_distinct(files: Iterable[str | None]) -> None:
    """Refuse two forms in one place, of which none could be read.

    Raises:
        ConfigurationError: A file, or stdout, is named twice.
    """
    named = [file if file == STDOUT else str(Path(file).absolute()) for file in files if file]
    if doubled := sorted({place for place in named if named.count(place) > 1}):
        told = ", ".join("- (stdout)" if place == STDOUT else place for place in doubled)
        raise ConfigurationError(f"--junit, --json and --html: two of them name {told}")


def write(text: str, file: str) -> None:
    """Write a form of the report to a file, or to stdout.

    Raises:
        OSError: The file can't be written.
    """
    if file == STDOUT:
        # As bytes, since JSON and the declarations in XML and HTML say UTF-8, whatever stdout has.
        typer.echo(text.encode("utf-8"), nl=False)
    else:
        Path(file).write_text(text, encoding="utf-8")


def discard_stdout() -> None:
    """Give up what stdout could not take: Python would try again as it exits, and make that 120."""
    with suppress(OSError, ValueError):  # one of the program's own may be no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(report: Report, *, all_checks: bool) -> None:
    """The report in colours on a terminal, and plain, a finding a line, in a pipe."""
    screen = Console()
    if screen.is_terminal:
        screen.print(report_in_colour(report, all_checks=all_checks))
    else:
        typer.echo(report.to_text(all_checks=all_checks), nl=False)
