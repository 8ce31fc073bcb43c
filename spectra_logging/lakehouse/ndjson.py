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
    # bytes.splitlines would also split at a carriage return, which JSON allows between tokens.
    pending = [[line + b"\n" for line in rows.split(b"\n") if line.strip()]]
    while pending:
        lines = pending.pop()
        try:
            row_count = read_rows(b"".join(lines), schema).num_rows
        except RowsRejectedError as error:
            reason = str(error)
        else:
            # Two halves of an object on two lines would else pass as the one row they make up.
            if row_count == len(lines):
                good += lines
                continue
            reason = f"the line holds {row_count} rows, not one"
        if len(lines) == 1:
            bad.append((lines[0].rstrip(b"\n"), reason))
        else:
            middle = len(lines) // 2
            pending += [lines[middle:], lines[:middle]]
    return b"".join(good), bad
