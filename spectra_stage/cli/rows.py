"""Rows of a log table: asked for, and shown."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spectra_logging.errors import SpectraError
from spectra_logging.lakehouse.base import Lakehouse
from spectra_stage.cli.options import Level
from spectra_stage.validation.report.cleaned import UNSEEN, printable

__all__ = [
    "as_json",
    "columns_of_log",
    "console",
    "newest_rows",
    "print_line",
    "print_rows",
    "rows_since",
]

ACTIVITY_COLUMNS = (
    "recorded_at",
    "level",
    "event",
    "notebook_name",
    "status",
    "entity_name",
    "row_count",
    "duration_seconds",
    "error_message",
)
EVENT_COLUMNS = ("recorded_at", "level", "logger", "event", "exception", "context")
LEVEL_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red", "DEBUG": "dim"}
WIDTH_WITHOUT_TERMINAL = 180
FOLDED_COLUMNS = {"event", "context", "error_message"}
"""What can be read as well when it is folded; a traceback, or what else has lines, can't."""
NARROWEST_FOLDED = 40
SPACE_BETWEEN = 2


def console() -> Console:
    """stdout; a pipe gets lines wide enough for a row."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=WIDTH_WITHOUT_TERMINAL)


def newest_rows(
    lakehouse: Lakehouse, table: str, *, limit: int, level: Level | None
) -> list[dict[str, Any]]:
    """The newest rows of a log table, oldest first.

    Raises:
        SpectraError: There is no table there, it can't be read, it is no log table, or it keeps no
            levels and one is asked for.
    """
    where = _where(_level_condition(level))
    clauses = f"{where} ORDER BY recorded_at DESC LIMIT {limit}"
    return _query(lakehouse, table, clauses, level)[::-1]


def rows_since(
    lakehouse: Lakehouse, table: str, since: dt.datetime, *, level: Level | None
) -> list[dict[str, Any]]:
    """All rows recorded at that time or later, oldest first.

    Raises:
        SpectraError: As with :func:`newest_rows`.
    """
    moment = since.astimezone(dt.timezone.utc).isoformat(sep=" ", timespec="microseconds")
    recorded = f"recorded_at >= CAST('{moment}' AS TIMESTAMP)"
    where = _where(recorded, _level_condition(level))
    return _query(lakehouse, table, f"{where} ORDER BY recorded_at", level)


def columns_of_log(lakehouse: Lakehouse, table: str) -> set[str]:
    """The names of a log table's columns, which are those of its spec.

    Raises:
        SpectraError: There is no table there, it can't be read, or it is no log table.
    """
    names = {column.name for column in lakehouse.schema(table)}
    if "recorded_at" not in names:
        raise SpectraError(f"{table} is no log table: it has no column recorded_at")
    return names


def _query(
    lakehouse: Lakehouse, table: str, clauses: str, level: Level | None
) -> list[dict[str, Any]]:
    if "level" not in columns_of_log(lakehouse, table) and level is not None:
        raise SpectraError(f"{table} has no column level: leave --level out")
    # The clauses are made above, of numbers, enum members and a formatted time.
    return lakehouse.query(f"SELECT * FROM log {clauses}", {"log": table}).to_dicts()  # noqa: S608


def _level_condition(level: Level | None) -> str:
    """What is known to be below is left out; a program's own levels have no rank in the table."""
    below = level.names_below() if level else []
    return f"level NOT IN ({', '.join(map(repr, below))})" if below else ""


def _where(*conditions: str) -> str:
    asked = [condition for condition in conditions if condition]
    return f"WHERE {' AND '.join(asked)}" if asked else ""


def as_json(row: Mapping[str, Any]) -> str:
    """One line of JSON; timestamps as ISO 8601 in UTC.

    What a terminal would obey is escaped in JSON's own way, for a program reads the same.
    """
    line = json.dumps(row, default=_as_text, ensure_ascii=False)
    return UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], line)


def print_rows(screen: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rows as a table where the screen is wide enough to read one, else line by line."""
    columns = _shown_columns(rows[0])
    filled = [name for name in columns if any(row[name] is not None for row in rows)]
    cells = [[printable(_as_cell(row[name])) for name in filled] for row in rows]
    widths = _widths(filled, cells, screen.width)
    if widths is None:
        for row in rows:
            print_line(screen, row)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in zip(filled, widths, strict=True):
        table.add_column(name, width=width, overflow="fold")
    for row, texts in zip(rows, cells, strict=True):
        table.add_row(*map(escape, texts), style=_style_of(row))
    screen.print(table)


def print_line(screen: Console, row: Mapping[str, Any]) -> None:
    """Print a row as a line; a traceback stands below it, indented as all that has more lines."""
    cells = {name: _as_cell(row[name]) for name in _shown_columns(row) if row[name] is not None}
    traceback = cells.pop("exception", None)
    # What an event has is told apart by its looks, a run's figures are not.
    words = [text if name in EVENT_COLUMNS else f"{name}={text}" for name, text in cells.items()]
    text = "  ".join(words).rstrip() + ("" if traceback is None else f"\n{traceback}")
    # What a row has on more lines is not to be taken for another row.
    text = printable(text).replace("\n", "\n    ")
    screen.print(text, style=_style_of(row), markup=False, highlight=False, soft_wrap=True)


def _shown_columns(row: Mapping[str, Any]) -> Sequence[str]:
    """The columns worth a person's first look: the activity log's, or the event log's."""
    wanted = ACTIVITY_COLUMNS if "activity_id" in row else EVENT_COLUMNS
    return [name for name in wanted if name in row]


def _widths(columns: Sequence[str], cells: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """How wide each column becomes; ``None`` where there is no room for what has to be whole."""
    natural, narrowest = [], []
    for name, texts in zip(columns, zip(*cells, strict=True), strict=True):
        whole = [_width(text) for text in (name, *texts)]
        folded = [
            min(width, NARROWEST_FOLDED) if name in FOLDED_COLUMNS and "\n" not in text else width
            for text, width in zip((name, *texts), whole, strict=True)
        ]
        natural.append(max(whole))
        narrowest.append(max(folded))
    spare = room - sum(narrowest) - SPACE_BETWEEN * (len(columns) - 1)
    if spare < 0:
        return None
    for number, width in enumerate(natural):
        more = min(spare, width - narrowest[number])
        narrowest[number] += more
        spare -= more
    return narrowest


def _width(text: str) -> int:
    return max(map(cell_len, text.splitlines()), default=0)


def _style_of(row: Mapping[str, Any]) -> str | None:
    return LEVEL_STYLES.get(row.get("level", ""))


def _as_text(value: object) -> str:
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    return str(value)


def _as_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, float):
        return f"{value:.3f}"
    return _as_text(value)
