"""Telling the rows that a table can take from those that it can't."""

from __future__ import annotations

from spectra_logging.errors import RowsRejectedError
from spectra_logging.tables import TableSpec

__all__ = ["split_unreadable"]


def split_unreadable(rows: bytes, spec: TableSpec) -> tuple[bytes, list[tuple[bytes, str]]]:
    """Find the rows that can't be read as a spec's columns, by halving.

    Args:
        rows: Newline-delimited JSON.
        spec: The columns.

    Returns:
        The rows that can be read, and each of the others with the reason.
    """
    from spectra_logging.lakehouse.arrow import arrow_schema, read_rows

    schema = arrow_schema(spec.columns)
    good: list[bytes] = []
    bad: list[tuple[bytes, str]] = []
    pending = [rows.splitlines(keepends=True)]
    while pending:
        lines = pending.pop()
        try:
            read_rows(b"".join(lines), schema)
        except RowsRejectedError as error:
            if len(lines) == 1:
                bad.append((lines[0].rstrip(b"\n"), str(error)))
            else:
                middle = len(lines) // 2
                pending += [lines[middle:], lines[:middle]]
        else:
            good += lines
    return b"".join(good), bad
