"""Telling the rows that a table's constraints let in from those that they keep out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import msgspec
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from spectra_logging.lakehouse.arrow import arrow_schema, in_order, stream_rows
from spectra_logging.lakehouse.delta_schema import arrays_without_nulls, has_invariants
from spectra_logging.lakehouse.ndjson import split_by
from spectra_logging.lakehouse.translation import in_one_line
from spectra_logging.tables import TableSpec

__all__ = ["split_by_constraints", "why_elements_are_refused"]

_PREFIX = "delta.constraints."

_row = msgspec.json.Decoder(dict[str, Any])


def why_elements_are_refused(delta: DeltaTable, rows: bytes) -> str | None:
    """What keeps rows out of a table some of whose arrays must not hold nulls.

    Args:
        delta: The table.
        rows: Newline-delimited JSON.
    """
    names = arrays_without_nulls(delta.schema())
    if not names:
        return None
    return _why_null([line for line in rows.split(b"\n") if line.strip()], names)


def _why_null(lines: Sequence[bytes], names: Sequence[str]) -> str | None:
    for line in lines:
        try:
            row = _row.decode(line)
        except msgspec.DecodeError as error:
            return str(error)
        for name in names:
            if None in (row.get(name) or ()):
                return f"an element of column {name} is null and must not be"
    return None


def split_by_constraints(
    delta: DeltaTable, rows: bytes, spec: TableSpec
) -> tuple[bytes, list[tuple[bytes, str]]]:
    """Find the rows that break a table's constraints, or have nulls in arrays without.

    Constraints are ``CHECK`` constraints and columns' invariants, which the schema holds.

    Of constraints, delta-rs says that some do, not which, and tells it while it writes. So halves
    of them are written to a table of the same columns and constraints, in a folder that is removed
    again.

    Args:
        delta: The table.
        rows: Newline-delimited JSON, each of which can be read as the spec's columns.
        spec: The columns.

    Returns:
        The rows that break none, and each of the others with the reason.
    """
    names = arrays_without_nulls(delta.schema())
    refused = list[tuple[bytes, str]]()
    if names:
        rows, refused = split_by(rows, lambda lines: _why_null(lines, names))
    constraints = {
        name.removeprefix(_PREFIX): expression
        for name, expression in delta.metadata().configuration.items()
        if name.startswith(_PREFIX)
    }
    if not constraints and not has_invariants(delta.schema()):
        return rows, refused
    schema = in_order(arrow_schema(spec.columns), delta.schema().to_arrow().names)
    with tempfile.TemporaryDirectory(prefix="spectra-") as folder:
        trial = DeltaTable.create(folder, delta.schema())
        if constraints:
            trial.alter.add_constraint(constraints)

        def why_not(lines: list[bytes]) -> str | None:
            data = stream_rows(b"".join(lines), schema)
            try:
                write_deltalake(trial, data, mode="append", schema_mode="merge")
            except DeltaError as error:
                return in_one_line(error)
            return None

        good, kept_out = split_by(rows, why_not)
    return good, refused + kept_out
