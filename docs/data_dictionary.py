"""Writes ``docs/tables.md`` from the table specs.

Run ``python docs/data_dictionary.py`` after a spec has changed; a test fails until then.
"""

from __future__ import annotations

from pathlib import Path

from spectra_logging.tables import ACTIVITY_LOG, EVENT_LOG, Column, TableSpec

PAGE = Path(__file__).parent / "tables.md"

INTRODUCTION = """\
# Tables

*Made from the table specs by `python docs/data_dictionary.py`. Change the specs, not this page.*

Timestamps are UTC with a zone, in microseconds. A column that is never null gets its default where
a record has no such field. A field without a column of its own goes into the table's JSON column.
"""

TABLES = (
    (ACTIVITY_LOG, "activity", "`Tables/log/<stage>log`, such as `Tables/log/sourcelog`"),
    (EVENT_LOG, "events", "any place you choose, such as `Tables/log/events`"),
)
"""Spec, its name for ``DeltaHandler(spec=…)``, and where it is."""


def page() -> str:
    """The page's whole text."""
    return "\n".join([INTRODUCTION, *(section(*table) for table in TABLES)])


def section(spec: TableSpec, name: str, place: str) -> str:
    lines = [
        f"## `{spec.name}`",
        "",
        f"{spec.comment} `DeltaHandler(spec={name!r})`, at {place}."
        + (f" Unique: {', '.join(f'`{key}`' for key in spec.keys)}." if spec.keys else "")
        + (f" JSON column: `{spec.json_column}`." if spec.json_column else ""),
        "",
        "| column | type | null | what it holds |",
        "|---|---|---|---|",
    ]
    for column in spec.columns:
        null = "yes" if column.nullable else "never"
        # Angle brackets would be read as HTML.
        comment = column.comment.replace("<", "&lt;").replace(">", "&gt;")
        lines.append(
            f"| `{column.name}` | {column.type} | {null} | {comment}{default_of(column)} |"
        )
    return "\n".join([*lines, ""])


def default_of(column: Column) -> str:
    if column.default is None:
        return ""
    return " Made where missing." if callable(column.default) else f" Default: `{column.default}`."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
