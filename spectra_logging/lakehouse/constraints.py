"""Telling the rows that a table's constraints let in from those that they keep out."""

from __future__ import annotations

import tempfile

from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from spectra_logging.lakehouse.arrow import arrow_schema, in_order, stream_rows
from spectra_logging.lakehouse.ndjson import split_by
from spectra_logging.lakehouse.translation import in_one_line
from spectra_logging.tables import TableSpec

__all__ = ["split_by_constraints"]

_PREFIX = "delta.constraints."


def split_by_constraints(
    delta: DeltaTable, rows: bytes, spec: TableSpec
) -> tuple[bytes, list[tuple[bytes, str]]]:
    """Find the rows that break a table's ``CHECK`` constraints.

    delta-rs says that some do, not which, and tells it while it writes. So halves of them are
    written to a table of the same columns and constraints, in a folder that is removed again.

    Args:
        delta: The table.
        rows: Newline-delimited JSON, each of which can be read as the spec's columns.
        spec: The columns.

    Returns:
        The rows that break none, and each of the others with the reason.
    """
    constraints = {
        name.removeprefix(_PREFIX): expression
        for name, expression in delta.metadata().configuration.items()
        if name.startswith(_PREFIX)
    }
    if not constraints:
        return rows, []
    schema = in_order(arrow_schema(spec.columns), delta.schema().to_arrow().names)
    with tempfile.TemporaryDirectory(prefix="spectra-") as folder:
        trial = DeltaTable.create(folder, delta.schema())
        trial.alter.add_constraint(constraints)

        def why_not(lines: list[bytes]) -> str | None:
            data = stream_rows(b"".join(lines), schema)
            try:
                write_deltalake(trial, data, mode="append", schema_mode="merge")
            except DeltaError as error:
                return in_one_line(error)
            return None

        return split_by(rows, why_not)
