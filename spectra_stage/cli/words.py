"""What a command says in words, with nothing in it that a terminal would obey."""

from __future__ import annotations

import logging

import typer

from spectra_stage.validation.report.cleaned import printable

__all__ = ["PrintableFormatter", "say", "say_error"]


class PrintableFormatter(logging.Formatter):
    """Formats log records for a terminal: they may quote a server as well."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's text."""
        return printable(super().format(record))


def say(text: str, *, err: bool = False) -> None:
    """Print text for people, which may quote a server, a file or a table, to stdout or stderr."""
    typer.echo(printable(text), err=err)


def say_error(error: Exception) -> None:
    """Print on stderr why the command ends, or what it goes on without."""
    say(f"spectra: {error}", err=True)
