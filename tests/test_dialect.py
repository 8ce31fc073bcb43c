"""Each engine's SQL, asked what it makes of what is written in it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.lakehouse.dialect import Dialect
from tests.validations import UTC, make

NAMES = ["plain", "Two Words", 'a"b', "a.b", "order", "naïve"]


@pytest.fixture
def dialect(lakehouse: Lakehouse) -> Dialect:
    return lakehouse.dialect([])


def value(lakehouse: Lakehouse, expression: str) -> Any:
    (row,) = lakehouse.query(f"SELECT {expression} AS found", {}).rows
    return row[0]


@pytest.mark.parametrize(
    "text", ["", "a'b", "''", "a\\b", "\\'", '"', "`", "\\n", "\n", "%_", "{x}", "é😀", "--"]
)
def test_a_text_is_itself(lakehouse: Lakehouse, dialect: Dialect, text: str) -> None:
    """Quotes, backslashes and line breaks included."""
    assert value(lakehouse, dialect.text(text)) == text


def test_names_are_quoted(lakehouse: Lakehouse, dialect: Dialect, tmp_path: Path) -> None:
    """Words of SQL, spaces, dots and capitals."""
    names = [name for name in NAMES if '"' not in name]
    make(tmp_path, columns={name: [number] for number, name in enumerate(names)})
    listed = ", ".join(map(dialect.quote, names))
    rows = lakehouse.query(f"SELECT {listed} FROM t", {"t": str(tmp_path / "Tables/t/checked")})
    assert rows.rows == (tuple(range(len(names))),)


@pytest.mark.parametrize(
    ("text", "pattern", "matches"),
    [
        ("abc", "b", True),
        ("abc", r"\Ab", False),
        ("abc\n", r"c\z", False),
        ("a\nb", "a.b", False),
        ("a\rb", "a.b", True),
        ("a\u2028b", "a.b", True),
        ("٣", r"\A\d\z", True),
        ("é", r"\A\w\z", True),
        ("\u00a0", r"\A\s\z", True),
        ("É", r"(?i)\Aé\z", True),
        ("'\\", r"\A'\\\z", True),
        ("😀", r"\A.\z", True),
        ("b\na", r"(?m)^a$", True),
        ("b\ra", r"(?m)^a$", False),
    ],
)
def test_patterns_mean_the_same(
    lakehouse: Lakehouse, dialect: Dialect, text: str, pattern: str, matches: bool
) -> None:
    """Classes are Unicode's, and a line ends with a line feed only."""
    assert value(lakehouse, dialect.matches(dialect.text(text), pattern)) is matches


def test_every_match_is_replaced(lakehouse: Lakehouse, dialect: Dialect) -> None:
    """And not the first one only."""
    assert value(lakehouse, dialect.replace_all("'a1b22'", "[0-9]+", "n")) == "anbn"


@pytest.mark.parametrize(
    "moment",
    [
        dt.datetime(2024, 2, 29, 23, 59, 59, 999999, UTC),
        dt.datetime(987, 1, 1, tzinfo=UTC),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        dt.datetime(2024, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    ],
)
def test_a_moment_is_itself(lakehouse: Lakehouse, dialect: Dialect, moment: dt.datetime) -> None:
    """To the microsecond, whatever its zone."""
    found = value(lakehouse, dialect.moment(moment, zoned=True))
    assert found == (moment if found.tzinfo else moment.astimezone(UTC).replace(tzinfo=None))


def test_an_array_ends_in_null(lakehouse: Lakehouse, dialect: Dialect) -> None:
    """So that a null among elements is none that is left over."""
    assert value(lakehouse, dialect.texts(["a'", "b"])) == ["a'", "b", None]


@pytest.mark.parametrize(
    ("orders", "found"),
    [
        ([1.0, 3.0, 2.0], "b"),
        ([None, 3.0, float("nan")], "c"),
        ([3.0, None, None], "a"),
        ([None, None, None], None),
    ],
)
def test_the_value_where_another_is_the_greatest(
    lakehouse: Lakehouse, dialect: Dialect, tmp_path: Path, orders: list[float | None], found: Any
) -> None:
    """Nulls are no greatest: where there is nothing else, there is no such row."""
    make(tmp_path, columns={"text": ["a", "b", "c"], "at": orders}, at=pl.Float64)
    aggregate = dialect.at_greatest(dialect.quote("text"), dialect.quote("at"))
    sql = f"SELECT {aggregate} AS found FROM t"
    assert lakehouse.query(sql, {"t": str(tmp_path / "Tables/t/checked")}).rows == ((found,),)
