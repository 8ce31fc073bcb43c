"""A report in a terminal's colours. Needs rich, which the extra ``cli`` brings."""

from __future__ import annotations

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from spectra_stage.validation.report.lines import Line, report_lines
from spectra_stage.validation.results import Outcome, Report

__all__ = ["STYLES", "report_in_colour"]

STYLES = {
    Outcome.PASSED: "green",
    Outcome.WARNING: "yellow",
    Outcome.FAILED: "bold red",
    Outcome.ERROR: "bold magenta",
    Outcome.SKIPPED: "dim",
}


def report_in_colour(report: Report, *, all_checks: bool = False) -> Group:
    """The lines of the plain text, their labels coloured and their ends wrapped below the text."""
    return Group(*(_rendered(line) for line in report_lines(report, all_checks=all_checks)))


def _rendered(line: Line) -> Padding:
    # As Text, for which no bracket in a finding is markup.
    label = Text(line.label, STYLES[line.outcome] if line.outcome else line.weight)
    text = Text(line.text, "" if line.outcome else line.weight)
    if line.weight == "bold":
        return Padding(Text.assemble(label, text), (0, 0, 0, line.indent))
    row = Table.grid()
    if line.label:
        row.add_column(no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(label, text)
    else:
        row.add_column(overflow="fold")
        row.add_row(text)
    return Padding(row, (0, 0, 0, line.indent))
