"""``spectra log``: read a log table, follow it, its figures, and drain its journal."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from spectra_logging.drain import drain_journals
from spectra_logging.errors import TableNotFoundError
from spectra_logging.journal.folder import find_journals, journal_figures
from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.paths import journals_root, table_below
from spectra_stage.cli import options
from spectra_stage.cli.follow import Follower
from spectra_stage.cli.rows import (
    as_json,
    columns_of_log,
    console,
    newest_rows,
    print_line,
    print_rows,
)
from spectra_stage.cli.words import say
from spectra_stage.modules import look_in_working_directory

__all__ = ["app"]

EXIT_BUSY = 4

app = typer.Typer(no_args_is_help=True, help="Read a log table, follow it, or drain its journal.")


@app.command()
def show(
    table: options.TableArgument,
    root: options.Root = None,
    limit: Annotated[int, typer.Option(min=1, help="How many rows.")] = 50,
    level: options.MinimumLevel = None,
    as_lines: options.JsonLines = False,
    engine: options.Engine = "auto",
    storage_option: options.StorageOptions = None,
) -> None:
    """Show the newest rows, oldest first; as JSON with all their columns."""
    lakehouse = options.lakehouse_for(engine, storage_option)
    rows = newest_rows(lakehouse, table_below(root, table), limit=limit, level=level)
    if as_lines:
        for row in rows:
            typer.echo(as_json(row))
    elif rows:
        print_rows(console(), rows)
    else:
        typer.echo("no rows", err=True)


@app.command()
def tail(
    table: options.TableArgument,
    root: options.Root = None,
    limit: Annotated[int, typer.Option(min=1, help="How many rows to begin with.")] = 10,
    level: options.MinimumLevel = None,
    as_lines: options.JsonLines = False,
    interval_seconds: Annotated[float, typer.Option(min=0.1, help="How often to look.")] = 2.0,
    engine: options.Engine = "auto",
    storage_option: options.StorageOptions = None,
) -> None:
    """Show the newest rows and then each new one, until Ctrl-C.

    A table that is not there yet is waited for. Rows that land more than ten minutes after their
    log call, as when a dead process's journal is drained, are left to `spectra log show`.
    """
    lakehouse = options.lakehouse_for(engine, storage_option)
    place = table_below(root, table)
    follower = Follower(lakehouse, place, limit=limit, level=level)
    screen = console()
    try:
        if not lakehouse.exists(place):
            say(f"waiting for {place}", err=True)
        for rows in follower.batches(interval_seconds):
            for row in rows:
                if as_lines:
                    typer.echo(as_json(row))
                else:
                    print_line(screen, row)
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass


@app.command()
def stats(
    table: options.TableArgument,
    root: options.Root = None,
    as_object: options.JsonLines = False,
    journal_directory: options.JournalDirectory = None,
    engine: options.Engine = "auto",
    storage_option: options.StorageOptions = None,
) -> None:
    """Show how many rows the table has, and what this machine's journals hold for it."""
    lakehouse = options.lakehouse_for(engine, storage_option)
    place = table_below(root, table)
    folders = _journals(place, journal_directory)
    journals = [msgspec.structs.asdict(journal_figures(folder)) for folder in folders]
    figures = {"table": place, **_table_figures(lakehouse, place), "journals": journals}
    if as_object:
        typer.echo(as_json(figures))
        return
    figures["journals"] = len(journals)
    for shown in (figures, *journals):
        for name, value in shown.items():
            say(f"{name:<16} {_in_words(value)}")
        say("")


@app.command()
def drain(
    table: options.TableArgument,
    root: options.Root = None,
    as_object: options.JsonLines = False,
    journal_directory: options.JournalDirectory = None,
    engine: options.Engine = "auto",
    storage_option: options.StorageOptions = None,
) -> None:
    """Commit what this machine's journals hold for the table, such as a dead process left.

    Exit code 4 says that a running process is draining the journal already.
    """
    place = table_below(root, table)
    _journals(place, journal_directory)
    look_in_working_directory()  # the program that left the journal may have its spec there
    report = drain_journals(
        place,
        journal_directory=journal_directory,
        engine=engine,
        storage_options=options.storage_options(storage_option),
    )
    if as_object:
        typer.echo(json.dumps(asdict(report), default=str))
    else:
        typer.echo(
            f"{report.rows} rows in {report.batches} commits; {report.quarantined} set aside"
        )
    if report.busy:
        typer.echo("a running process is draining this journal", err=True)
        raise typer.Exit(EXIT_BUSY)


def _journals(table: str, journal_directory: str | None) -> list[Path]:
    """The folders of a table's journals; where there is none, stderr says where it was looked."""
    folders = find_journals(table, journal_directory)
    if not folders:
        below = journals_root(journal_directory)
        say(
            f"no journal of {table} below {below}; --journal-directory names another folder",
            err=True,
        )
    return folders


def _table_figures(lakehouse: Lakehouse, table: str) -> dict[str, Any]:
    try:
        has_levels = "level" in columns_of_log(lakehouse, table)
        figures = "count(*) AS n, min(recorded_at) AS first, max(recorded_at) AS last FROM log"
        by_level = f"SELECT level, {figures} GROUP BY level ORDER BY level"
        statement = by_level if has_levels else f"SELECT {figures}"
        counted = lakehouse.query(statement, {"log": table}).to_dicts()
    except TableNotFoundError:
        return {"rows": None, "rows_by_level": {}, "first_row_at": None, "last_row_at": None}
    return {
        "rows": sum(row["n"] for row in counted),
        "rows_by_level": {row["level"]: row["n"] for row in counted} if has_levels else {},
        "first_row_at": min((row["first"] for row in counted), default=None),
        "last_row_at": max((row["last"] for row in counted), default=None),
    }


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items()) or "none"
    return "none" if value is None else str(value)
