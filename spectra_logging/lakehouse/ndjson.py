"""Telling the rows that a table can take from those that it can't."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from spectra_logging.errors import RowsRejectedError
from spectra_logging.tables import TableSpec

__all__ = ["split_by", "split_unreadable"]

_one_value = msgspec.json.Decoder(msgspec.Raw)


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

    def why_not(lines: list[bytes]) -> str | None:
        # Arrow's parser lets a comma be missing and an object go on in the next line, so that bad
        # lines can make up as many rows as they are. Each has to be one value by itself first.
        malformed = _why_malformed(lines)
        if malformed and len(lines) > 1:
            return malformed
        try:
            row_count = read_rows(b"".join(lines), schema).num_rows
        except RowsRejectedError as error:
            return str(error)
        if row_count != len(lines):
            return f"the line holds {row_count} rows, not one"
        return malformed

    return split_by(rows, why_not)


def split_by(
    rows: bytes, why_not: Callable[[list[bytes]], str | None]
) -> tuple[bytes, list[tuple[bytes, str]]]:
    """Find the rows that can't be taken, by halving.

    Args:
        rows: Newline-delimited JSON.
        why_not: Tells why some lines can't be taken all together; ``None`` when they can.

    Returns:
        The rows that can be taken, and each of the others with the reason.
    """
    good: list[bytes] = []
    bad: list[tuple[bytes, str]] = []
    # bytes.splitlines would also split at a carriage return, which JSON allows between tokens.
    pending = [[line + b"\n" for line in rows.split(b"\n") if line.strip()]]
    while pending:
        lines = pending.pop()
        reason = why_not(lines) if lines else None
        if reason is None:
            good += lines
        elif len(lines) == 1:
            bad.append((lines[0].rstrip(b"\n"), reason))
        else:
            middle = len(lines) // 2
            pending += [lines[middle:], lines[:middle]]
    return b"".join(good), bad


def _why_malformed(lines: list[bytes]) -> str | None:
    for line in lines:
        try:
            _one_value.decode(line)
        except msgspec.DecodeError as error:
            return str(error)
    return None
