"""Bad rows told from good ones, and set aside with what they break."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from spectra_logging.errors import ConfigurationError, LakehouseError
from spectra_logging.lakehouse.base import Commit, Lakehouse
from spectra_logging.redaction import register_secret
from spectra_stage.validation.checks import (
    AllowedValues,
    Check,
    Compare,
    Condition,
    ForeignKey,
    Masked,
    NotNull,
    Pattern,
    Range,
    RowCount,
    Unique,
    ValidJson,
)
from spectra_stage.validation.quarantine import QUARANTINE, split
from spectra_stage.validation.results import Outcome
from tests.tables import read_rows
from tests.validations import UTC, make, report_of, result_of

CHECKS: tuple[Check, ...] = (
    NotNull(column="k"),
    Unique(column="k"),
    Unique(column=["text", "n"]),
    Range(column="n", minimum=0, tolerance="100%"),
    Range(column="x", maximum=1),
    AllowedValues(column="text", values=["a", "b"]),
    Pattern(column="text", pattern="[a-z]", severity="warning"),
    ForeignKey(column="n", table="t.other", references="m"),
    Condition(condition="n < 100", name="n is small"),
    RowCount(minimum=1000),
)
ROWS = {
    "k": [1, 2, 2, None, 5, 6, 7],
    "n": [1, 2, 3, 1, -1, 999, None],
    "x": [0.5, 0.5, 0.5, 0.5, float("nan"), 0.5, None],
    "text": ["a", "b", "a", "A", "b", "a", "a"],
}
REASONS = {
    2: ["k is unique"],
    3: ["k is unique", "n refers to t.other (m)"],
    None: ["k is never null", "text is a or b"],
    5: ["n is at least 0", "x is at most 1", "n refers to t.other (m)"],
    6: ["n refers to t.other (m)", "n is small"],
}


@pytest.fixture
def table(tmp_path: Path) -> str:
    make(tmp_path, "t.other", {"m": [1, 2, 2, None]})
    return make(tmp_path, columns=ROWS)


@pytest.mark.usefixtures("table")
class TestSplit:
    def test_every_row_is_good_or_bad_for_its_own_reasons(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """None is lost or doubled, whatever joins and windows it went through."""
        found = split("t.checked", CHECKS, lakehouse, root=tmp_path)
        assert found.good.columns == ("k", "n", "x", "text")
        assert sorted(row[0] for row in found.good.rows) == [1, 7]
        told = {
            3 if row["k"] == 2 and row["n"] == 3 else row["k"]: row["reasons"]
            for row in found.bad.to_dicts()
        }
        assert told == REASONS
        assert found.counts == {
            "k is never null": 1,
            "k is unique": 2,
            "text, n are unique together": 0,
            "n is at least 0": 1,
            "x is at most 1": 1,
            "text is a or b": 1,
            "n refers to t.other (m)": 3,
            "n is small": 1,
        }

    def test_the_table_stays_and_later_rows_are_not_looked_at(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """What was split is the version that the table had then."""
        found = split("t.checked", [NotNull(column="k")], lakehouse, root=tmp_path)
        make(tmp_path, columns={"k": [None, None]}, k=pl.Int64)
        assert (found.version, len(found.bad.rows), len(found.good.rows)) == (0, 1, 6)

    def test_the_bad_rows_are_set_aside_once(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """With their values, their reasons, and where they are from."""
        first = split("t.checked", CHECKS, lakehouse, root=tmp_path).append()
        again = split("t.checked", CHECKS, lakehouse, root=tmp_path).append()
        assert (first.replayed, again.replayed) == (False, True)
        rows = read_rows(tmp_path / "Tables/quarantine/t_checked", order_by="row")
        assert [column.name for column in QUARANTINE.columns] == list(rows[0])
        assert {row["table_name"] for row in rows} == {"t.checked"}
        assert {row["table_version"] for row in rows} == {0}
        values = {row["row"]: row["reasons"] for row in rows}
        assert len(values) == 5
        assert values['{"k":5,"n":-1,"x":"nan","text":"b"}'] == REASONS[5]
        now = dt.datetime.now(UTC)
        assert all(now - row["quarantined_at"] < dt.timedelta(hours=1) for row in rows)
        make(tmp_path, columns={**ROWS, "text": ["c"] * 7})
        split("t.checked", CHECKS, lakehouse, root=tmp_path).append()
        assert DeltaTable(tmp_path / "Tables/quarantine/t_checked").count() == 12

    def test_a_table_without_bad_rows_leaves_no_commit(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """The table for them is there all the same, so that it can be asked."""
        commits = []
        for _ in range(2):
            make(tmp_path, columns={"k": [1, 2]})
            commits.append(
                split("t.checked", [NotNull(column="k")], lakehouse, root=tmp_path).append()
            )
        version = DeltaTable(tmp_path / "Tables/quarantine/t_checked").version()
        assert commits == [Commit(version=version, replayed=True)] * 2

    def test_other_bad_rows_of_the_same_version_are_set_aside_too(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """Once is once for the same rows, and not for whatever is asked of a version."""
        commits = [
            split("t.checked", [check], lakehouse, root=tmp_path).append()
            for check in (NotNull(column="k"), NotNull(column="n"), NotNull(column="k"))
        ]
        assert [commit.replayed for commit in commits] == [False, False, True]
        rows = read_rows(tmp_path / "Tables/quarantine/t_checked", order_by="row")
        assert sorted(reason for row in rows for reason in row["reasons"]) == [
            "k is never null",
            "n is never null",
        ]

    @pytest.mark.parametrize("told", ["argument", "variable"])
    def test_a_place_of_ones_own_is_below_the_same_root(
        self,
        lakehouse: Lakehouse,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        told: str,
    ) -> None:
        """And not below the working directory, which in Fabric is a machine's that goes away."""
        monkeypatch.setenv("SPECTRA_ROOT", str(tmp_path))
        root = tmp_path if told == "argument" else None
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        found = split("t.checked", [NotNull(column="k")], lakehouse, root=root)
        found.append("Tables/aside/bad")
        assert DeltaTable(tmp_path / "Tables/aside/bad").count() == 1

    def test_what_can_not_be_split_is_told(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """Checks of no rows, of other columns, or of other tables."""
        with pytest.raises(ConfigurationError, match="none of them is an error of single rows"):
            split("t.checked", [RowCount(minimum=1)], lakehouse, root=tmp_path)
        with pytest.raises(ConfigurationError, match="can't be split: there is no column y"):
            split("t.checked", [NotNull(column="y")], lakehouse, root=tmp_path)
        with pytest.raises(ConfigurationError, match=r"there is no table t\.none"):
            split("t.checked", [ForeignKey(column="k", table="t.none")], lakehouse, root=tmp_path)
        with pytest.raises(LakehouseError, match=r"t/missing"):
            split("t.missing", [NotNull(column="y")], lakehouse, root=tmp_path)
        with pytest.raises(LakehouseError):
            _ = split("t.checked", [Condition(condition="1 / 0 > n")], lakehouse, root=tmp_path).bad


@pytest.mark.parametrize(
    ("other", "missing"),
    [
        ("t.customers", {1: ["id, of refers to t.customers"]}),
        ("t.checked", {9: ["of refers to t.checked (id)"]}),
    ],
)
def test_a_reference_to_a_column_of_the_same_name_goes_with_other_checks(
    lakehouse: Lakehouse, tmp_path: Path, other: str, missing: dict[int, list[str]]
) -> None:
    """Also when it refers to the table itself: what the others name is a column of the table."""
    make(tmp_path, "t.customers", {"id": [1, 2, 3, 9], "of": [None, 1, 9, 1]})
    make(tmp_path, columns={"id": [1, 2, 3, 3], "of": [None, 1, 9, 1]})
    checks = [
        ForeignKey(column=["id", "of"], table=other),
        ForeignKey(column="of", table=other, references="id"),
        NotNull(column="of"),
        Unique(column="id"),
        Condition(condition="id <> of"),
    ]
    found = split("t.checked", checks, lakehouse, root=tmp_path)
    assert {row["of"]: row["reasons"] for row in found.bad.to_dicts()} == {
        None: ["of is never null"],
        1: [*missing.get(1, []), "id is unique"],
        9: [*missing.get(9, []), "id is unique"],
    }
    assert found.good.rows == ((2, 1),)


def test_a_column_may_be_called_as_statements_call_the_table(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """Also where there is another table, so that a column is named together with its own."""
    make(tmp_path, "t.other", {"t": [1], "a": [1]})
    make(tmp_path, columns={"t": [1, 2, None], "a": [1, 1, 2]})
    checks = [
        ForeignKey(column="t", table="t.other"),
        ForeignKey(column=["a", "t"], table="t.other"),
        ForeignKey(column="a", table="t.checked", references="t"),
        NotNull(column="t"),
    ]
    report = report_of(lakehouse, tmp_path, *checks)
    assert [check.violations for check in report.checks] == [None, 1, 1, 0, 1]
    assert next(c.samples for c in report.checks if c.kind == "foreign_key") == ("2",)
    found = split("t.checked", checks, lakehouse, root=tmp_path)
    assert list(found.counts.values()) == [1, 1, 0, 1]
    assert found.good.rows == ((1, 1),)


@pytest.mark.parametrize("column_type", [pl.Float32, pl.Float64])
def test_rows_of_one_value_are_those_of_the_report(
    lakehouse: Lakehouse, tmp_path: Path, column_type: type[pl.DataType]
) -> None:
    """0.0 and -0.0 are one, and so are NaNs, whatever their signs."""
    nan = float("nan")
    make(
        tmp_path,
        columns={"x": [0.0, -0.0, nan, -nan, 1.0], "n": [1] * 5},
        x=column_type,
    )
    make(tmp_path, "t.other", {"y": [-0.0, nan]}, y=column_type)
    checks = [
        Unique(column="x"),
        Unique(column=["x", "n"]),
        ForeignKey(column="x", table="t.other", references="y"),
    ]
    assert list(split("t.checked", checks, lakehouse, root=tmp_path).counts.values()) == [4, 4, 1]
    report = report_of(lakehouse, tmp_path, *checks)
    assert [check.violations for check in report.checks] == [None, 2, 2, 1]


def test_checks_of_one_name_are_told_apart(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """Each has its own count and reason, under the name that the report has for it."""
    make(tmp_path, columns={"n": [1, None, None], "m": [None, 1, 2]})
    checks = [
        NotNull(column="n", tolerance="1%", severity="warning"),
        NotNull(column="n"),
        NotNull(column="n", name="complete"),
        NotNull(column="m", name="complete"),
        Range(column="m", maximum=1, name="complete (2)"),
    ]
    found = split("t.checked", checks, lakehouse, root=tmp_path)
    counts = {
        "n is never null (2)": 2,
        "complete": 2,
        "complete (2)": 1,
        "complete (2) (2)": 1,
    }
    assert found.counts == counts
    report = report_of(lakehouse, tmp_path, *checks)
    reported = {c.name: c.violations for c in report.checks if c.outcome is Outcome.FAILED}
    assert reported == counts
    assert {row["m"]: row["reasons"] for row in found.bad.to_dicts()} == {
        None: ["complete (2)"],
        1: ["n is never null (2)", "complete"],
        2: ["n is never null (2)", "complete", "complete (2) (2)"],
    }


def test_no_secret_is_set_aside(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """A token that is not masked is not copied to where nobody looks for it."""
    make(
        tmp_path,
        columns={"credential_value": ["example-token-1234"], "shown": ["tokenish"], "n": [1]},
    )
    checks = [Masked(column="credential_value"), Masked(column="shown")]
    split("t.checked", checks, lakehouse, root=tmp_path).append()
    (row,) = read_rows(tmp_path / "Tables/quarantine/t_checked", order_by="row")
    assert json.loads(row["row"]) == {"credential_value": "***", "shown": "***", "n": 1}
    assert len(row["reasons"]) == 2


def test_a_secret_in_a_map_is_neither_shown_nor_set_aside(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """A map's keys tell what is secret, as the names of a structure's fields do."""
    options = duckdb.sql("SELECT MAP{'user': 'ann', 'password': 'hunter2'} AS options")
    assert options is not None
    write_deltalake(tmp_path / "Tables/t/checked", options)
    check = Condition(condition="cardinality(options) = 1")
    assert result_of(lakehouse, tmp_path, check).samples == ("<dict>",)
    split("t.checked", [check], lakehouse, root=tmp_path).append()
    (row,) = read_rows(tmp_path / "Tables/quarantine/t_checked", order_by="row")
    assert json.loads(row["row"]) == {"options": {"user": "ann", "password": "***"}}


def test_a_secret_takes_nothing_else_with_it(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """Half a JSON text with a password in it is hidden to its end, and not beyond."""
    register_secret("hush-42")
    columns = {
        "payload": ['{"user": "a", "password": "abc  truncated'],
        "nested": [{"token": "abc", "city": "hush-42"}],
        "reasons": ["its own"],
        "z": ["keepme"],
    }
    make(tmp_path, columns=columns)
    split("t.checked", [Condition(condition="z = ''")], lakehouse, root=tmp_path).append()
    (row,) = read_rows(tmp_path / "Tables/quarantine/t_checked", order_by="row")
    assert json.loads(row["row"]) == {
        "payload": '{"user": "a", "password": "***',
        "nested": {"token": "***", "city": "***"},
        "reasons": "its own",
        "z": "keepme",
    }
    assert row["reasons"] == ["z = ''"]


def test_values_of_every_type_can_be_set_aside(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """As JSON that loses nothing."""
    columns: dict[str, Any] = {
        "n": [None],
        "price": [Decimal("12345678901234567890.12")],
        "at": [dt.datetime(2024, 1, 2, 3, 4, 5, 6, UTC)],
        "day": [dt.date(2024, 1, 2)],
        "texts": [["a", None]],
        "nested": [{"city": "x", "floors": [1]}],
        "data": [b"\xff"],
        "x": [float("inf")],
    }
    make(tmp_path, columns=columns, n=pl.Int64, price=pl.Decimal(38, 2))
    found = split("t.checked", [NotNull(column="n")], lakehouse, root=tmp_path)
    found.append(str(tmp_path / "aside"))
    (row,) = read_rows(tmp_path / "aside", order_by="row")
    assert json.loads(row["row"]) == {
        "n": None,
        "price": "12345678901234567890.12",
        "at": "2024-01-02T03:04:05.000006Z",
        "day": "2024-01-02",
        "texts": ["a", None],
        "nested": {"city": "x", "floors": [1]},
        "data": "/w==",
        "x": "inf",
    }


def test_a_row_of_a_year_that_python_has_not_is_set_aside(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """A mistyped year, and the last moment that there is, as some write for ever."""
    days = pl.Series([3_000_000, 0], dtype=pl.Int32).cast(pl.Date)
    moments = pl.Series([2**63 - 1, 0], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    make(tmp_path, columns={"day": days, "at": moments})
    check = Range(column="day", maximum="2030-01-01")
    assert result_of(lakehouse, tmp_path, check).samples == ("'+10183-09-21'",)
    found = split("t.checked", [check], lakehouse, root=tmp_path)
    assert found.good.rows == ((dt.date(1970, 1, 1), dt.datetime(1970, 1, 1, tzinfo=UTC)),)
    found.append(str(tmp_path / "aside"))
    (row,) = read_rows(tmp_path / "aside", order_by="row")
    assert json.loads(row["row"]) == {
        "day": "+10183-09-21",
        "at": "+294247-01-10T04:00:54.775807Z",
    }


@pytest.mark.parametrize(
    "check",
    [
        Range(column="x", minimum=0),
        NotNull(column="x"),
        Unique(column="x"),
        Compare(left="x", operator="<", right="y"),
        Condition(condition="x IS NOT NULL AND y IS NOT NULL"),
    ],
    ids=lambda check: check.kind,
)
def test_every_value_is_as_it_was(lakehouse: Lakehouse, tmp_path: Path, check: Check) -> None:
    """Also NaN, in a file whose bounds say that the column has but one value."""
    nan = float("nan")
    columns = {"x": [0.5, nan, None, 0.5], "y": [1.5, 1.5, None, nan], "n": [1, 2, 3, 4]}
    make(tmp_path, columns=columns)
    found = split("t.checked", [check], lakehouse, root=tmp_path)
    rows = sorted([*found.good.rows, *(row[:3] for row in found.bad.rows)], key=lambda row: row[2])
    assert repr(rows) == repr(list(zip(*columns.values(), strict=True)))


def test_json_and_comparisons_are_of_single_rows_too(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """Each row by itself."""
    make(tmp_path, columns={"text": ["{}", "{} x"], "a": [1, 1], "b": [2, 0]})
    checks = [ValidJson(column="text"), Compare(left="a", operator="<", right="b")]
    found = split("t.checked", checks, lakehouse, root=tmp_path)
    assert found.good.rows == (("{}", 1, 2),)
    assert found.bad.rows == (("{} x", 1, 0, ["text is JSON", "a < b"]),)
