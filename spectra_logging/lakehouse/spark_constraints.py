"""What a table's constraints say of rows, told by Spark in one job."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from arro3.core import Array, DataType, Field, Table

from spectra_logging.lakehouse.spark_found import Session
from spectra_logging.lakehouse.spark_tables import read_table, sql_name
from spectra_logging.lakehouse.spark_types import quoted, text_literal

__all__ = ["constraints_of", "numbered", "refusals"]

_NUMBER = "spectra row number"
_PREFIX = "delta.constraints."
_LENGTH = "__CHAR_VARCHAR_TYPE_STRING"
"""Where Spark keeps that a column was declared as ``VARCHAR(n)`` or ``CHAR(n)``."""
_INVARIANT = "delta.invariants"
"""Where Delta had constraints first: with the column."""


def constraints_of(session: Session, table: str) -> dict[str, str]:
    """A table's constraints, and the lengths of its texts, by what they are called."""
    properties = session.sql(f"SHOW TBLPROPERTIES {sql_name(table)}").collect()
    constraints = {
        f"CHECK constraint {key.removeprefix(_PREFIX)} ({value})": value
        for key, value in (tuple(row)[:2] for row in properties)
        if key.startswith(_PREFIX)
    }
    for field in read_table(session, table).schema.fields:
        metadata = field.metadata or {}
        if invariant := metadata.get(_INVARIANT):
            condition = str(json.loads(invariant)["expression"]["expression"])
            constraints[f"invariant of column {field.name} ({condition})"] = condition
        declared = str(metadata.get(_LENGTH, ""))
        if length := re.search(r"\d+", declared):
            name = quoted(field.name)
            longest = f"{name} IS NULL OR length({name}) <= {length[0]}"
            constraints[f"column {field.name}, which is {declared}"] = longest
    return constraints


def numbered(rows: Table) -> Table:
    """The rows with their numbers, from 0, in a column more."""
    numbers = Array(range(rows.num_rows), DataType.int64())
    return rows.append_column(Field(_NUMBER, DataType.int64(), nullable=False), numbers)


def refusals(
    session: Session, table: str, rows: Any, constraints: Mapping[str, str]
) -> dict[int, str]:
    """The numbers of the rows that a table refuses, each with the first reason.

    Args:
        session: The session that has the rows.
        table: The table's place or name.
        rows: A data frame of numbered rows.
        constraints: What :func:`constraints_of` gives.
    """
    # In the table's columns, of which a constraint may name some that the rows lack.
    whole = rows.unionByName(read_table(session, table).limit(0), allowMissingColumns=True)
    # As Delta has it: one that is neither true nor false is broken too.
    broken = (
        f"CASE WHEN {condition} THEN NULL ELSE {text_literal(f'{name} keeps it out')} END"
        for name, condition in constraints.items()
    )
    reasons = whole.selectExpr(quoted(_NUMBER), f"coalesce({', '.join(broken)}, NULL) AS reason")
    return {int(number): str(reason) for number, reason in reasons.dropna().collect()}
