"""Writes ``docs/tables.md`` from the table specs.

Run ``python docs/data_dictionary.py`` after a spec has changed; a test fails until then.
"""

from __future__ import annotations

from pathlib import Path

from spectra_logging.tables import ACTIVITY_LOG, EVENT_LOG, Column, TableSpec
from spectra_stage.tables import PREPARE_TABLES, SOURCE_TABLES, table_path

PAGE = Path(__file__).parent / "tables.md"

INTRODUCTION = """\
# Tables

*Made from the table specs by `python docs/data_dictionary.py`. Change the specs, not this page.*

Timestamps are UTC with a zone, in microseconds. A log table's column that is never null gets its
default where a record has no such field, and a field without a column of its own goes into the
table's JSON column.
"""

TABLES = (
    (
        ACTIVITY_LOG,
        (
            "`DeltaHandler(spec='activity')`, at `Tables/log/<stage>log`, such as "
            "`Tables/log/sourcelog`"
        ),
    ),
    (
        EVENT_LOG,
        "`DeltaHandler(spec='events')`, at any place you choose, such as `Tables/log/events`",
    ),
    *((spec, f"At `{table_path(spec)}`") for spec in (*SOURCE_TABLES, *PREPARE_TABLES)),
)
"""Spec, and where it is."""


def page() -> str:
    """The page's whole text."""
    return "\n".join([INTRODUCTION, *(section(*table) for table in TABLES)])


def section(spec: TableSpec, place: str) -> str:
    lines = [
        f"## `{spec.name}`",
        "",
        f"{spec.comment} {place}."
        + (f" Unique: {', '.join(f'`{key}`' for key in spec.keys)}." if spec.keys else "")
        + (f" JSON column: `{spec.json_column}`." if spec.json_column else ""),
        "",
        "| column | type | null | what it holds |",
        "|---|---|---|---|",
    ]
    for column in spec.columns:
        null = "yes" if column.nullable else "never"
        # Angle brackets would be read as HTML, asterisks as emphasis.
        comment = column.comment.replace("<", "&lt;").replace(">", "&gt;").replace("*", r"\*")
        told = comment + valid_of(column) + default_of(column)
        lines.append(f"| `{column.name}` | {column.type} | {null} | {told} |")
    return "\n".join([*lines, ""])


def valid_of(column: Column) -> str:
    """What validation expects of it beyond its type, where the comment does not say so."""
    told = []
    if column.minimum is not None:
        told.append(f"at least {column.minimum:g}")
    if column.maximum is not None:
        told.append(f"at most {column.maximum:g}")
    return f" Valid: {', '.join(told)}." if told else ""


def default_of(column: Column) -> str:
    if column.default is None:
        return ""
    return " Made where missing." if callable(column.default) else f" Default: `{column.default}`."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
