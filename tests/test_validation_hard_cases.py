"""The twelve cases that validations get wrong, on each engine with equal outcomes."""

from __future__ import annotations

import datetime as dt
import json
import logging
import random
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable, Field, Schema, write_deltalake
from deltalake.schema import ArrayType, MapType, PrimitiveType, StructType

from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.redaction import register_secret
from spectra_logging.tables import Column
from spectra_stage.validation.checks import (
    AllowedValues,
    Check,
    Compare,
    Condition,
    ForeignKey,
    Freshness,
    Masked,
    NotNull,
    Pattern,
    Range,
    RowCount,
    SameCount,
    TableExists,
    TableSchema,
    Unique,
    ValidJson,
)
from spectra_stage.validation.checks.base import KINDS, Answers, Finding, RowCheck
from spectra_stage.validation.opened import OpenTables
from spectra_stage.validation.quarantine import split
from spectra_stage.validation.results import Outcome
from spectra_stage.validation.run import run
from spectra_stage.validation.suite import Suite, TableSuite
from spectra_stage.validation.table_run import TableRun
from spectra_stage.validation.view import TableView
from tests.lakehouses import race
from tests.test_access import store_that_answers
from tests.validations import UTC, made, make, need_feature, outcomes, report_of, result_of

PASSED, FAILED, ERROR = Outcome.PASSED, Outcome.FAILED, Outcome.ERROR
DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def kinds_of_ones_own_go() -> Iterator[None]:
    """A check enters itself for good; those of one test are nothing to the next."""
    before = dict(KINDS)
    yield
    KINDS.clear()
    KINDS.update(before)


class TestV1EmptyTables:
    def test_no_row_breaks_a_check_of_rows(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """Sums and minima of nothing are null; the outcome is 0 of 0 rows, and not unknown."""
        make(tmp_path, columns={"n": [], "text": []}, n=pl.Int64, text=pl.String)
        report = report_of(
            lakehouse,
            tmp_path,
            NotNull(column="n"),
            Range(column="n", minimum=0, maximum=1, tolerance="5%"),
            Unique(column="n"),
            Unique(column=["n", "text"]),
            Pattern(column="text", pattern="a"),
            ValidJson(column="text"),
            Masked(column="text"),
        )
        checks = list(report.checks)[1:]
        assert [made(check) for check in checks] == [(PASSED, 0)] * 7
        assert {check.rows for check in checks} == {0}
        assert {check.finding for check in checks} == {"there are no rows to break it"}

    def test_what_needs_a_row_fails(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """A count of rows and freshness are about the table, and nothing is not fresh."""
        make(tmp_path, columns={"at": []}, at=pl.Datetime("us", "UTC"))
        report = report_of(
            lakehouse, tmp_path, RowCount(minimum=1), Freshness(column="at", maximum_age_hours=1)
        )
        assert outcomes(report, FAILED) == ["t.checked: row_count", "t.checked: freshness at"]

    def test_not_evaluated_is_not_zero(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """A check that could not be made has no number of violations."""
        make(tmp_path, columns={"n": [1]})
        assert made(result_of(lakehouse, tmp_path, NotNull(column="other"))) == (ERROR, None)


class TestV2Access:
    def test_missing_and_unreadable_are_two_outcomes(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """What depends on the table is skipped and says why, also in another table's checks."""
        make(tmp_path, columns={"n": [1]})
        make(tmp_path, "t.broken", {"n": [1]})
        need_feature(tmp_path, "t.broken", "fromTheFuture")
        suite = Suite(
            name="test",
            tables=[
                TableSuite(table="t.missing", checks=[NotNull(column="n"), RowCount(minimum=1)]),
                TableSuite(table="t.broken", checks=[NotNull(column="n")]),
                TableSuite(
                    table="t.checked",
                    checks=[
                        NotNull(column="n"),
                        SameCount(table="t.missing"),
                        ForeignKey(column="n", table="t.broken"),
                        SameCount(table="t.unknown"),
                    ],
                ),
            ],
        )
        report = run(suite, lakehouse, root=tmp_path)
        missing, broken, checked = report.tables
        assert [(c.outcome, c.figures.get("state")) for c in missing.checks] == [
            (FAILED, "missing"),
            (Outcome.SKIPPED, None),
            (Outcome.SKIPPED, None),
        ]
        assert missing.checks[1].finding == "the table is missing"
        assert (missing.version, missing.rows, missing.statements) == (None, None, 0)
        assert [(c.outcome, c.figures.get("state")) for c in broken.checks] == [
            (FAILED, "unreadable"),
            (Outcome.SKIPPED, None),
        ]
        # The last one is skipped nowhere else: nobody would tell that the table is missing.
        assert [c.outcome for c in checked.checks] == [
            PASSED,
            PASSED,
            Outcome.SKIPPED,
            Outcome.SKIPPED,
            ERROR,
        ]

    def test_a_newer_kind_is_unreadable_though_its_log_can_be_read(self, tmp_path: Path) -> None:
        """delta-rs refuses some of Delta's features only when it is asked for rows."""
        make(tmp_path, columns={"n": [1]})
        table = need_feature(tmp_path, "t.checked", "typeWidening")
        lakehouse = open_lakehouse("deltalake")
        assert lakehouse.version(str(table)) == 0
        report = report_of(lakehouse, tmp_path, NotNull(column="n"), RowCount(minimum=1))
        exists, *others = report.checks
        assert (exists.outcome, exists.figures) == (FAILED, {"state": "unreadable"})
        assert "TypeWidening" in exists.finding
        assert {(check.outcome, check.finding) for check in others} == {
            (Outcome.SKIPPED, "the table is unreadable")
        }

    def test_another_table_that_turns_out_to_be_unreadable_takes_no_check_down(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """But that which needs it: its log can be read, and a data file is damaged."""
        make(tmp_path, columns={"n": [1, 2, None]})
        make(tmp_path, "t.other", {"n": [1, 2]})
        (file,) = (tmp_path / "Tables/t/other").glob("*.parquet")
        file.write_bytes(bytes(file.stat().st_size))
        report = report_of(
            lakehouse,
            tmp_path,
            NotNull(column="n"),
            ForeignKey(column="n", table="t.other"),
            Range(column="n", minimum=2),
            Unique(column="n"),
        )
        assert [(check.outcome, check.samples) for check in report.checks] == [
            (PASSED, ()),
            (FAILED, ()),
            (ERROR, ()),
            (FAILED, ("1",)),
            (PASSED, ()),
        ]

    def test_forbidden_is_a_third_outcome(self) -> None:
        """A store that refuses says nothing about the table, so the check could not be made."""
        with store_that_answers(403) as options:
            lakehouse = open_lakehouse("deltalake", storage_options=options)
            suite = Suite(
                name="test", tables=[TableSuite(table="t.a", checks=[RowCount(exactly=1)])]
            )
            report = run(suite, lakehouse, root="s3://bucket/lake")
        exists, count = report.checks
        assert (exists.outcome, exists.figures["state"]) == (ERROR, "forbidden")
        assert (count.outcome, count.finding) == (Outcome.SKIPPED, "the table is forbidden")
        assert "not-a-secret" not in repr(report)


class TestV3Case:
    def test_columns_are_found_in_any_case(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """Names are resolved to the table's own spelling, which the results show."""
        make(tmp_path, columns={"Total Price": [1, -1, None], "sTatus": ["a", "b", "b"]})
        report = report_of(
            lakehouse,
            tmp_path,
            NotNull(column="total price"),
            Range(column="TOTAL PRICE", minimum=0),
            AllowedValues(column="Status", values=["a"]),
            Unique(column=["STATUS", "total price"]),
            Condition(condition="\"total price\" > 0 OR STATUS = 'b'"),
        )
        checks = list(report.checks)[1:]
        assert [check.violations for check in checks] == [1, 1, 2, 0, 0]
        assert checks[0].columns == ("Total Price",)
        assert checks[4].columns == ("Total Price", "sTatus")

    @pytest.mark.parametrize(
        ("condition", "columns"),
        [
            ("date >= DATE '2024-01-02'", ("Date",)),
            ("CAST(date AS timestamp) >= TIMESTAMP '2024-01-02 00:00:00'", ("Date",)),
            ("CAST(text AS date) < date", ("text", "Date")),
            ("CAST(text AS /* so to say */ DATE) < DATE", ("text", "Date")),
            ("count > 1 AND length(text) > TIMESTAMP", ("Count", "text", "Timestamp")),
        ],
    )
    def test_words_that_are_types_or_functions_too_may_be_columns(
        self, lakehouse: Lakehouse, tmp_path: Path, condition: str, columns: tuple[str, ...]
    ) -> None:
        """Where they are followed by no bracket and no text, and don't stand behind AS."""
        make(
            tmp_path,
            columns={
                "Date": [dt.date(2024, 1, 1), dt.date(2024, 1, 2)],
                "Count": [1, 2],
                "Timestamp": [1, 2],
                "text": ["2024-01-01", "2024-01-01"],
            },
        )
        found = result_of(lakehouse, tmp_path, Condition(condition=condition))
        assert (made(found), found.columns) == ((FAILED, 1), columns), found.finding

    @pytest.mark.parametrize("interval", ["INTERVAL '1' DAY", "INTERVAL 1 day"])
    def test_columns_may_be_called_as_the_unit_of_an_interval(
        self, lakehouse: Lakehouse, tmp_path: Path, interval: str
    ) -> None:
        """As those that tables are partitioned by often are."""
        make(
            tmp_path,
            columns={
                "at": [dt.datetime(2024, 1, day, tzinfo=UTC) for day in (2, 3)],
                "day": [2, 3],
            },
        )
        check = Condition(condition=f"at > TIMESTAMP '2024-01-01' + {interval} AND day > 1")
        found = result_of(lakehouse, tmp_path, check)
        assert (made(found), found.columns) == ((FAILED, 1), ("at", "day")), found.finding

    @pytest.mark.parametrize(
        "condition", ["n < 2e3 AND n > 1e-3", "n < 2E3", "n <= 1.5e3 OR e3 < 1"]
    )
    def test_columns_may_be_called_as_the_end_of_a_number(
        self, lakehouse: Lakehouse, tmp_path: Path, condition: str
    ) -> None:
        """What stands behind a digit is of the number, and no column."""
        make(tmp_path, columns={"n": [1.0, 2000.0], "e3": [1, 1], "E": [1, 1]})
        assert made(result_of(lakehouse, tmp_path, Condition(condition=condition))) == (FAILED, 1)


@pytest.mark.parametrize(
    ("check", "violations"),
    [
        (NotNull(column="n"), 1),
        (Range(column="n", minimum=2), 1),
        (AllowedValues(column="n", values=[1]), 1),
        (Pattern(column="text", pattern="a"), 1),
        (ValidJson(column="text"), 2),
        (Masked(column="text"), 2),
        (Compare(left="n", operator="<", right="m"), 1),
        (Condition(condition="n > 1"), 1),
        (Unique(column="m"), 1),
        (Unique(column=["n", "m"]), 0),
        (ForeignKey(column="n", table="t.other", references="k"), 1),
        (AllowedValues(column="texts", values=["a"]), 1),
    ],
    ids=lambda value: value.words if hasattr(value, "words") else "",
)
def test_v4_null_breaks_not_null_alone(
    lakehouse: Lakehouse, tmp_path: Path, check: Any, violations: int
) -> None:
    """Every other check looks at what is there."""
    make(
        tmp_path,
        columns={
            "n": [1, 2, None],
            "m": [1, 5, 5],
            "text": ["a", "b", None],
            "texts": [["a", None], ["b"], None],
        },
    )
    make(tmp_path, "t.other", {"k": [1, None]})
    found = result_of(lakehouse, tmp_path, check)
    assert (found.violations, found.rows) == (violations, 3)


class TestV5NaN:
    def test_nan_lies_in_no_range_and_is_not_null(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """Engines hold NaN for the greatest number, so `x >= 0` alone would let it pass."""
        make(tmp_path, columns={"x": [0.5, float("nan"), None]})
        assert made(result_of(lakehouse, tmp_path, Range(column="x", minimum=0))) == (FAILED, 1)
        assert made(result_of(lakehouse, tmp_path, Range(column="x", maximum=1))) == (FAILED, 1)
        assert made(result_of(lakehouse, tmp_path, NotNull(column="x"))) == (FAILED, 1)
        found = result_of(lakehouse, tmp_path, Range(column="x", minimum=0, maximum=1))
        assert (found.violations, found.samples) == (1, ("nan",))

    def test_a_sample_shows_nan_as_nan(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """Also in a file whose bounds say that the column has but one value."""
        make(tmp_path, columns={"x": [0.5, float("nan")], "y": [1.5, 1.5]})
        check = Compare(left="x", operator="<", right="y")
        assert result_of(lakehouse, tmp_path, check).samples == ("x=nan, y=1.5",)

    @pytest.mark.parametrize(
        ("there", "missing"), [([0.5, 0.5], "nan"), ([0.7, float("nan")], "0.5")]
    )
    def test_nan_is_looked_for_as_nan(
        self, lakehouse: Lakehouse, tmp_path: Path, there: list[float], missing: str
    ) -> None:
        """A reference too, in a file whose bounds say that the column has but one value."""
        make(tmp_path, columns={"x": [0.5, float("nan")], "n": [1, 1]})
        make(tmp_path, "t.other", {"y": there, "n": [1, 1]})
        one = ForeignKey(column="x", table="t.other", references="y")
        several = ForeignKey(column=["x", "n"], table="t.other", references=["y", "n"])
        found = result_of(lakehouse, tmp_path, one)
        assert (found.violations, found.samples) == (1, (missing,))
        found = result_of(lakehouse, tmp_path, several)
        assert (found.violations, found.samples) == (1, (f"x={missing}, n=1",))

    def test_nan_equals_nan(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """Two of them are a duplicate."""
        make(tmp_path, columns={"x": [0.5, float("nan"), float("nan")], "n": [1, 1, 1]})
        assert made(result_of(lakehouse, tmp_path, Unique(column="x"))) == (FAILED, 1)
        assert made(result_of(lakehouse, tmp_path, Unique(column=["x", "n"]))) == (FAILED, 1)

    @pytest.mark.parametrize("column_type", [pl.Float32, pl.Float64])
    @pytest.mark.parametrize(
        ("check", "violations"),
        [
            (Unique(column="x"), 1),
            (Unique(column=["x", "n"]), 1),
            (Compare(left="x", operator=">=", right="y"), 0),
            (Compare(left="y", operator=">", right="x"), 3),
            (ForeignKey(column="x", table="t.other", references="nan"), 1),
            (ForeignKey(column=["x", "n"], table="t.other", references=["nan", "n"]), 1),
            (Range(column="x", minimum=-1), 2),
        ],
        ids=lambda value: value.words if hasattr(value, "words") else "",
    )
    def test_a_nan_with_a_sign_is_nan(
        self,
        lakehouse: Lakehouse,
        tmp_path: Path,
        column_type: type[pl.DataType],
        check: Any,
        violations: int,
    ) -> None:
        """Processors make one of 0/0, so that tables have both."""
        nan = float("nan")
        columns = {"x": [-nan, nan, 2.0], "y": [1.0, -nan, 2.0], "n": [1, 1, 1]}
        make(tmp_path, columns=columns, x=column_type, y=column_type)
        make(tmp_path, "t.other", {"nan": [nan], "n": [1]}, nan=column_type)
        found = result_of(lakehouse, tmp_path, check)
        assert (found.violations, found.finding) == (violations, found.finding)

    @pytest.mark.parametrize(
        ("check", "violations"),
        [
            (Compare(left="x", operator=">=", right="d"), 0),
            (Compare(left="d", operator="=", right="x"), 2),
            (ForeignKey(column="x", table="t.other", references="d"), 2),
            (ForeignKey(column=["d", "n"], table="t.other", references=["x", "n"]), 2),
        ],
        ids=lambda value: value.words if hasattr(value, "words") else "",
    )
    def test_floats_are_compared_with_decimals(
        self, lakehouse: Lakehouse, tmp_path: Path, check: Any, violations: int
    ) -> None:
        """As floats: no decimal is NaN, or as great as some."""
        columns = {
            "x": [0.5, 1e30, float("nan")],
            "d": [Decimal("0.5"), Decimal(2), Decimal(3)],
            "n": [1, 1, 1],
        }
        for table in ("t.checked", "t.other"):
            make(tmp_path, table, columns, d=pl.Decimal(20, 2))
        found = result_of(lakehouse, tmp_path, check)
        assert (found.violations, found.finding) == (violations, found.finding)

    @pytest.mark.parametrize(
        "check",
        [
            Compare(left="n", operator="=", right="x"),
            Compare(left="x", operator=">=", right="n"),
            ForeignKey(column="n", table="t.checked", references="x"),
            ForeignKey(column="x", table="t.checked", references="n"),
        ],
        ids=lambda check: check.words,
    )
    def test_whole_numbers_are_compared_with_short_floats(
        self, lakehouse: Lakehouse, tmp_path: Path, check: Any
    ) -> None:
        """As doubles: as floats of 32 bits the first two are one."""
        columns = {"n": [2**24 + 1, 1], "x": [2.0**24, 1.0]}
        make(tmp_path, columns=columns, x=pl.Float32)
        assert made(result_of(lakehouse, tmp_path, check)) == (FAILED, 1)


@pytest.mark.parametrize("column_type", [pl.Float32, pl.Float64])
def test_zero_equals_minus_zero(
    lakehouse: Lakehouse, tmp_path: Path, column_type: type[pl.DataType]
) -> None:
    """As in every comparison, whether one column is unique or several are, and in long lists."""
    columns = {"x": [0.0, -0.0, 0.1, None, float("nan")], "n": [1] * 5}
    make(tmp_path, columns=columns, x=column_type)
    assert made(result_of(lakehouse, tmp_path, Unique(column="x"))) == (FAILED, 1)
    assert made(result_of(lakehouse, tmp_path, Unique(column=["x", "n"]))) == (FAILED, 1)
    lists: list[list[str | float]] = [[0, 0.1], [0, 0.1, 1, 2], ["-0.0", 0.1, 1, 2]]
    for values in lists:
        check = AllowedValues(column="x", values=values)
        assert made(result_of(lakehouse, tmp_path, check)) == (FAILED, 1), values


@pytest.mark.parametrize(
    ("minimum", "violations"),
    [
        ("12345678901234567890.1234567890123456", 0),
        (Decimal("12345678901234567890.1234567890123457"), 1),
        ("12345678901234567890.12345678901234561", 1),
        (0.1, 0),
        (12345678901234567890, 0),
        (12345678901234567891, 1),
    ],
)
def test_v6_decimals_never_become_floats(
    lakehouse: Lakehouse, tmp_path: Path, minimum: Any, violations: int
) -> None:
    """The last of 36 digits decides, also beyond the column's own scale."""
    value = Decimal("12345678901234567890.1234567890123456")
    make(tmp_path, columns={"price": [value, None]}, price=pl.Decimal(36, 16))
    found = result_of(lakehouse, tmp_path, Range(column="price", minimum=minimum))
    assert (found.violations, found.finding) == (violations, found.finding)


@pytest.mark.parametrize(
    ("pattern", "violations"),
    [
        ("[*+/-]+", 1),
        (r"\++[0-9]+", 1),
        (r"[]*+]+", 1),
        ("(?P<q>[*]+)", 1),
        (r"(?P<of_q>\(\?P<q>)|[*]+|\+12", 0),
    ],
)
def test_what_looks_like_more_than_a_pattern_may_say_is_a_pattern(
    lakehouse: Lakehouse, tmp_path: Path, pattern: str, violations: int
) -> None:
    """In a set, or behind a backslash, a character is itself; groups may have names."""
    make(tmp_path, columns={"text": ["**", "+12"]})
    assert made(result_of(lakehouse, tmp_path, Pattern(column="text", pattern=pattern))) == (
        FAILED if violations else PASSED,
        violations,
    )


# Python foresees to read sets in sets one day, too.
@pytest.mark.filterwarnings("ignore:Possible (nested )?set:FutureWarning")
@pytest.mark.parametrize(
    "pattern",
    [
        r"\<b\>",
        r"[\<\>b]+",
        r"\Ab\Z",
        "b{,2}",
        "a[[]b",
        "[^[]+",
        "[a&&b]+",
        "[a~~b]+",
        "[+--]+",
        "[a-c--/]+",
        r"[\w-]+",
        r"[]\-b[]+",
        r"[\]\[]+",
        "b(?#so to say)",
        "(?P<start>b)$",
        r"(?m)b$\n^a",
        r"[$\Wb]+",
        "{[a-z]+}|{",
        "b{1,2}|{,",
        "b{,}",
        r"[\b]|\0",
        r"[\0-\037]",
        r"\N{LATIN SMALL LETTER B}+|[\N{AMPERSAND}-\U0000002c]",
        r"\v|[\v]",
        "(?x) b+  # one, or more",
        "(?x) [b #]+ \n # [, which opens a set \n | [&]",
        r"(?x) b \#? (?# no end) | \[  # it (?=is) one",
    ],
)
def test_a_pattern_is_read_as_python_reads_it(
    lakehouse: Lakehouse, tmp_path: Path, pattern: str
) -> None:
    """Where Rust and Java have something of their own: sets in sets, words' ends, and spellings."""
    texts = [
        "<b>",
        "<b>",
        "b",
        "bb",
        "bbb",
        "a[b",
        "a&b",
        "a~b",
        "a-b",
        "[",
        "]",
        "[]-",
        "+",
        ",",
        "a.b",
    ]
    texts += [
        "b\na",
        "b$",
        "",
        "c/-",
        "&",
        "~",
        "{b}",
        "{",
        "{,",
        "b #",
        "b#",
        "\b",
        "\0",
        "\v",
        "\n",
    ]
    make(tmp_path, columns={"text": texts})
    found = result_of(lakehouse, tmp_path, Pattern(column="text", pattern=pattern))
    broken = [text for text in texts if not re.fullmatch(pattern, text)]
    assert (found.violations, found.finding) == (len(broken), found.finding)


def test_the_end_of_a_text_is_no_line_feed_before_it(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """Java, and Python too, would have $ there."""
    make(tmp_path, columns={"text": ["b\n", "b", "b\nb"]})
    check = Pattern(column="text", pattern=r"[\s\S]*b$[\s\S]*")
    assert made(result_of(lakehouse, tmp_path, check)) == (FAILED, 1)


@pytest.mark.parametrize(
    ("condition", "violations"),
    [
        ("price <= 12345678901234567.89", 1),
        ("price % 0.01 = 0 AND price NOT IN (.5, 0.)", 0),
        ("x = 0.3", 0),
        ("x < 0.4 OR price = 0.3", 0),
        ("round(price, 1) > 0.2", 0),
        ("price > 1e-3 AND price > 0.1", 0),
    ],
)
def test_fractions_in_conditions_are_what_the_columns_are(
    lakehouse: Lakehouse, tmp_path: Path, condition: str, violations: int
) -> None:
    """Decimals to the last digit beside decimals, and floats beside floats."""
    prices = [Decimal("12345678901234567.90"), Decimal("0.30")]
    make(tmp_path, columns={"price": prices, "x": [0.3, 0.3]}, price=pl.Decimal(38, 2))
    found = result_of(lakehouse, tmp_path, Condition(condition=condition))
    assert (found.violations, found.finding) == (violations, found.finding)


@pytest.mark.parametrize(
    ("condition", "violations"),
    [
        ("n > 12345678901234567890123", 1),
        ("n = 12345678901234567890123", 1),
        ("n NOT IN (1, 12345678901234567890123)", 1),
        ("n > 18446744073709551615 AND n > -12345678901234567890123", 0),
    ],
)
def test_whole_numbers_in_conditions_are_as_long_as_decimals(
    lakehouse: Lakehouse, tmp_path: Path, condition: str, violations: int
) -> None:
    """Also where no 64 bits hold them; what no decimal holds is compared with none."""
    numbers = [Decimal(12345678901234567890123), Decimal(12345678901234567890124)]
    make(tmp_path, columns={"n": numbers}, n=pl.Decimal(38, 0))
    found = result_of(lakehouse, tmp_path, Condition(condition=condition))
    assert (found.violations, found.finding) == (violations, found.finding)
    too_long = result_of(lakehouse, tmp_path, Condition(condition=f"n < 1{39 * '0'}"))
    assert (too_long.outcome, "38 digits" in too_long.finding) == (ERROR, True), too_long.finding


def test_a_fraction_times_a_whole_number_is_a_fraction(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """As the page advises, for engines differ in what they make of two whole numbers."""
    make(tmp_path, columns={"n": [3, 4]})
    check = Condition(condition="1.0 * n / 2 = 1.5")
    assert made(result_of(lakehouse, tmp_path, check)) == (FAILED, 1)
    check = Condition(condition="3 / 2 = 1")
    found = (PASSED, 0) if lakehouse.engine == "deltalake" else (FAILED, 2)
    assert made(result_of(lakehouse, tmp_path, check)) == found


@pytest.mark.parametrize(
    ("check", "violations"),
    [
        (Range(column="price", minimum="0.00001"), 1),
        (Range(column="price", minimum="0.01001"), 2),
        (Range(column="price", minimum="-0.00001"), 0),
        (Range(column="price", maximum="0.00999"), 2),
        (Range(column="price", maximum="0.01001"), 1),
        (Range(column="price", minimum="1e-40", maximum="1e35"), 1),
    ],
    ids=lambda value: value.words if hasattr(value, "words") else "",
)
def test_a_bound_may_be_finer_than_the_column(
    lakehouse: Lakehouse, tmp_path: Path, check: Range, violations: int
) -> None:
    """Also where a value is too great to be written as fine as that."""
    values = [Decimal("1e35"), Decimal("0.01"), Decimal("0.00")]
    make(tmp_path, columns={"price": values}, price=pl.Decimal(38, 2))
    found = result_of(lakehouse, tmp_path, check)
    assert (found.violations, found.finding) == (violations, found.finding)


@pytest.mark.parametrize(
    ("check", "violations"),
    [
        (Range(column="n", minimum="0.1234567890123456789012345678901"), 2),
        (Range(column="n", maximum="-0.1234567890123456789012345678901"), 3),
        (Range(column="n", minimum="-99999999999999999999999.5", maximum="1.5"), 1),
    ],
    ids=lambda value: value.words if hasattr(value, "words") else "",
)
def test_a_bound_of_whole_numbers_may_be_a_fraction(
    lakehouse: Lakehouse, tmp_path: Path, check: Range, violations: int
) -> None:
    """Also where the column's greatest would have too many digits beside its own."""
    make(tmp_path, columns={"n": [2**62, 1, 0, -1]})
    assert made(result_of(lakehouse, tmp_path, check)) == (FAILED, violations)


@pytest.fixture
def machine_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A while in which the machine is west of Greenwich."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "America/Los_Angeles")
        time.tzset()
        yield
    time.tzset()


class TestV7TimeZones:
    MOMENT = dt.datetime(2024, 1, 1, 2, 0, 0, 1, UTC)

    @pytest.mark.parametrize(
        ("minimum", "violations"),
        [
            (MOMENT, 0),
            (MOMENT + dt.timedelta(microseconds=1), 1),
            ("2024-01-01T02:00:00.000001", 0),
            ("2024-01-01T04:00:00.000001+02:00", 0),
            ("2024-01-01T04:00:00.000002+02:00", 1),
            (dt.date(2024, 1, 1), 0),
            ("2024-01-02", 1),
        ],
    )
    def test_bounds_are_utc_to_the_microsecond(
        self, lakehouse: Lakehouse, tmp_path: Path, minimum: Any, violations: int
    ) -> None:
        """Whatever the session's time zone is, which stays as it was."""
        make(tmp_path, columns={"at": [self.MOMENT]})
        with elsewhere(lakehouse):
            found = result_of(lakehouse, tmp_path, Range(column="at", minimum=minimum))
        assert found.violations == violations, found.finding

    @pytest.mark.parametrize(
        ("condition", "violations"),
        [
            ("at < TIMESTAMP '9999-12-31 00:00:00'", 1),
            ("at IN (timestamp '9999-12-31', TIMESTAMP'2024-01-01T03:00:00.000001+01:00')", 0),
            ("plain = TIMESTAMP '2024-01-01 02:00:00.000001Z' OR at > plain", 1),
            ("at > TIMESTAMP '2024-01-01 02:00:00' + INTERVAL '1' DAY", 1),
        ],
    )
    def test_a_condition_may_name_any_moment(
        self, lakehouse: Lakehouse, tmp_path: Path, condition: str, violations: int
    ) -> None:
        """Also the one that stands for no end, in columns with a zone or without."""
        moments = [self.MOMENT, dt.datetime(9999, 12, 31, tzinfo=UTC)]
        columns = {"at": moments, "plain": [moment.replace(tzinfo=None) for moment in moments]}
        make(tmp_path, columns=columns)
        with elsewhere(lakehouse):
            found = result_of(lakehouse, tmp_path, Condition(condition=condition))
        assert (found.violations, found.finding) == (violations, found.finding)

    def test_a_date_begins_at_midnight_in_utc(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """A session west of Greenwich would have it begin hours later."""
        make(tmp_path, columns={"day": [self.MOMENT.date()], "at": [self.MOMENT]})
        with elsewhere(lakehouse):
            assert made(
                result_of(lakehouse, tmp_path, Compare(left="day", operator="<=", right="at"))
            ) == (PASSED, 0)
            assert made(
                result_of(lakehouse, tmp_path, Compare(left="at", operator="<", right="day"))
            ) == (FAILED, 1)

    def test_age_is_told_in_utc(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """An hour old is an hour old anywhere."""
        make(tmp_path, columns={"at": [dt.datetime.now(UTC) - dt.timedelta(hours=1)]})
        with elsewhere(lakehouse):
            found = result_of(lakehouse, tmp_path, Freshness(column="at", maximum_age_hours=2))
        assert found.outcome is PASSED
        assert 1 <= found.figures["age_hours"] < 1.1

    @pytest.mark.usefixtures("machine_elsewhere")
    def test_what_has_no_zone_is_utc(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """Not of the machine's zone: in samples, in an age, in bad rows, in structures."""
        plain = self.MOMENT.replace(tzinfo=None)
        end = dt.datetime(9999, 12, 31, tzinfo=UTC)
        columns = {
            "at": [plain, end.replace(tzinfo=None)],
            "nested": [{"at": plain, "zoned": self.MOMENT}] * 2,
        }
        make(tmp_path, columns=columns)
        found = result_of(lakehouse, tmp_path, Range(column="at", minimum="2025-01-01"))
        assert found.samples == ("2024-01-01 02:00:00.000001+00:00",)
        check = Freshness(column="at", maximum_age_hours=1)
        found = result_of(lakehouse, tmp_path, check)
        assert (found.outcome, found.figures["newest"]) == (PASSED, "9999-12-31T00:00:00+00:00")
        bad = split(
            "t.checked", [Range(column="at", maximum="2024-12-31")], lakehouse, root=tmp_path
        ).bad
        assert bad.rows[0][0] == end
        assert bad.rows[0][1] == {"at": plain, "zoned": self.MOMENT}

    @pytest.mark.parametrize(
        ("day", "newest", "outcome"),
        [(2_932_897, "+10000-01-01", PASSED), (-719_163, "0000-12-31", FAILED)],
    )
    def test_an_age_may_be_of_a_year_that_python_has_not(
        self, lakehouse: Lakehouse, tmp_path: Path, day: int, newest: str, outcome: Outcome
    ) -> None:
        """What is after all years is not old, and what is before all is."""
        days = pl.Series([day, None], dtype=pl.Int32).cast(pl.Date)
        make(tmp_path, columns={"day": days, "at": days.cast(pl.Datetime("us", "UTC"))})
        of_day = result_of(lakehouse, tmp_path, Freshness(column="day", maximum_age_hours=1))
        assert (of_day.outcome, of_day.figures) == (outcome, {"newest": newest})
        of_time = result_of(lakehouse, tmp_path, Freshness(column="at", maximum_age_hours=1))
        assert (of_time.outcome, of_time.figures["newest"]) == (outcome, f"{newest}T00:00:00Z")

    @pytest.mark.usefixtures("machine_elsewhere")
    @pytest.mark.parametrize(("hours", "outcome"), [(12, PASSED), (11.5, FAILED)])
    def test_a_date_is_as_old_as_its_midnight_in_utc(
        self, lakehouse: Lakehouse, tmp_path: Path, hours: float, outcome: Outcome
    ) -> None:
        """Wherever the machine is."""
        make(tmp_path, columns={"day": [self.MOMENT.date()]})
        noon = dt.datetime(2024, 1, 1, 11, 59, 59, tzinfo=UTC)
        opened = OpenTables(lakehouse, lambda _: str(tmp_path / "Tables/t/checked"), noon)
        check = Freshness(column="day", maximum_age_hours=hours)
        suite = TableSuite(table="t.checked", checks=[check])
        found = TableRun(suite, opened, {}).result().checks[1]
        assert (found.outcome, found.finding) == (outcome, found.finding)


@pytest.fixture
def nested(tmp_path: Path) -> str:
    """A table of nested columns."""
    primitive = {name: PrimitiveType(name) for name in ("string", "integer", "double")}
    address = StructType(
        [
            Field("city", primitive["string"]),
            Field("tags", ArrayType(primitive["string"], contains_null=True)),
            Field("extra", primitive["string"]),
        ]
    )
    DeltaTable.create(
        tmp_path / "Tables/t/checked",
        Schema(
            [
                Field("address", address),
                Field("scores", MapType(primitive["string"], primitive["double"])),
                Field("items", ArrayType(StructType([Field("n", primitive["integer"])]))),
            ]
        ),
    )
    return "t.checked"


@pytest.mark.usefixtures("nested")
class TestV8NestedTypes:
    def test_the_same_nested_types_are_no_difference(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """Spaces and the order of fields mean nothing."""
        check = TableSchema(
            declared=[
                Column(
                    name="address",
                    type="struct<extra: string, city: string, tags: array<string>>",
                ),
                Column(name="scores", type="map<string, double>"),
                Column(name="items", type="array<struct<n:integer>>"),
            ]
        )
        assert result_of(lakehouse, tmp_path, check).outcome is PASSED

    def test_every_nested_difference_is_named(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """By its path, at any depth."""
        check = TableSchema(
            declared=[
                Column(
                    name="address", type="struct<city:string,tags:array<long>,zip:struct<a:long>>"
                ),
                Column(name="scores", type="map<string,decimal(10,2)>"),
                Column(name="items", type="array<struct<n:long>>"),
            ]
        )
        found = result_of(lakehouse, tmp_path, check)
        assert found.outcome is FAILED
        assert found.finding.split("; ") == [
            "column address.tags.element is string, not long",
            "column address.zip is missing",
            "column address.extra is not declared",
            "column items.element.n is integer, not long",
            "column scores.value is double, not decimal(10,2)",
        ]


JSON_TEXTS = {
    True: [
        "{}",
        "[]",
        '{"a": [1, -0.5e+3, true, null, "\\u00e9 \\"\\\\"]}',
        " \n[{}]\t",
        "0",
        '"text"',
        "null",
        "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
        '{"k": "v", "m": {"v": "k"}}',
        '"\u2028\x7fé😀"',
        '{"a":1,"a":2}',
    ],
    False: [
        "",
        " ",
        "{} x",
        '{"a":1}{"b":2}',
        "1 2",
        "{'a': 1}",
        '{"a":1,}',
        "[1,]",
        "[,1]",
        "{a:1}",
        "NaN",
        "Infinity",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "tru",
        "tru e",
        "TRUE",
        "nulll",
        '"\t"',
        '"\\x"',
        '"\\u12"',
        '"open',
        "[1",
        "1]",
        '{"a" 1}',
        '{"a":}',
        "{:1}",
        "[1 2]",
        "// comment\n1",
        "\ufeff{}",
        "v",
        "k",
        "{mv}",
        "[k]",
        "\x0b1",
        "\xa01",
        "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
    ],
}


class TestV9Json:
    @pytest.mark.parametrize("valid", [True, False])
    def test_one_grammar_on_every_engine(
        self, lakehouse: Lakehouse, tmp_path: Path, valid: bool
    ) -> None:
        """RFC 8259, to sixteen levels: nothing before or behind the value, no empty text."""
        for text in JSON_TEXTS[valid]:
            if len(text) < 34:
                assert is_json(text) is valid, text
        texts = JSON_TEXTS[valid]
        make(tmp_path, columns={"n": list(range(len(texts))), "text": texts})
        check = ValidJson(column="text", tolerance=len(texts))
        place = str(tmp_path / "Tables/t/checked")
        (table,) = report_of(lakehouse, tmp_path, check).tables
        wrong = [] if valid else list(range(len(texts)))
        assert table.checks[1].violations == len(wrong), rows_of(lakehouse, place, texts)

    def test_null_is_left_alone(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """It is for not_null to tell."""
        make(tmp_path, columns={"text": [None, "{}"]})
        assert made(result_of(lakehouse, tmp_path, ValidJson(column="text"))) == (PASSED, 0)

    @pytest.mark.parametrize(("value", "violations"), [("object", 3), ("array", 3), ("any", 1)])
    def test_an_object_or_an_array_can_be_asked_for(
        self, lakehouse: Lakehouse, tmp_path: Path, value: Any, violations: int
    ) -> None:
        """Other JSON breaks it then."""
        make(tmp_path, columns={"text": [" {}", " []", "1", "x"]})
        found = result_of(lakehouse, tmp_path, ValidJson(column="text", value=value))
        assert found.violations == violations

    def test_any_text_is_decided_as_by_another_reader(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """Sound texts, and texts that differ from sound ones by a character, as json reads them."""
        texts = some_texts(4000)
        make(tmp_path, columns={"n": list(range(len(texts))), "text": texts})
        place = {"t": str(tmp_path / "Tables/t/checked")}
        view = OpenTables(lakehouse, lambda _: place["t"], dt.datetime.now(UTC)).open("t").view
        broken = ValidJson(column="text").breaks(view)
        found = lakehouse.query(f"SELECT n FROM t WHERE ({broken})", place).rows
        assert {texts[n] for (n,) in found} == {text for text in texts if not is_json(text)}
        assert 1000 < len(found) < 3500

    def test_large_texts_are_decided_too(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """Wide arrays, wide objects and long texts overflow no engine's stack."""
        many = 100_000
        texts = [
            json.dumps(list(range(many))),
            json.dumps({str(n): "\n" for n in range(many)}),
            json.dumps("\n" * many),
            "[" + "1," * many + "]",
        ]
        make(tmp_path, columns={"text": texts})
        assert made(result_of(lakehouse, tmp_path, ValidJson(column="text"))) == (FAILED, 1)


TOKEN = "example-token-0123456789"


class TestV10Secrets:
    def test_an_unmasked_secret_is_shown_nowhere(
        self, lakehouse: Lakehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not in samples, findings or errors, whatever check of its column fails."""
        make(tmp_path, columns={"credential_value": [TOKEN, TOKEN], "n": [1, 2]})
        with caplog.at_level(logging.DEBUG, logger="spectra_stage"):
            report = report_of(
                lakehouse,
                tmp_path,
                Masked(column="credential_value"),
                Unique(column="credential_value"),
                AllowedValues(column="credential_value", values=["***"]),
                Unique(column=["credential_value", "credential_value2"]),
                Condition(condition="length(credential_value) < 9 OR n = 2"),
                Condition(condition="CAST(credential_value AS INT) > 0"),
                ForeignKey(column="credential_value", table="t.checked", references="n"),
            )
        assert len(outcomes(report, FAILED)) == 4
        assert len(outcomes(report, ERROR)) == 3
        for told in (repr(report), caplog.text):
            assert TOKEN not in told
            assert TOKEN[:8] not in told

    @pytest.mark.parametrize(
        ("condition", "shown"),
        [
            ("CAST(secret AS DATE) IS NOT NULL", "hunter"),
            ("CAST(secret AS INT) > 0", "hunter"),
            ("CAST(beginning AS DATE) IS NOT NULL", "secretTAIL"),
            ("CAST(number AS DECIMAL(38, 10)) % 7 > 0", "123456"),
            ("CAST(number AS INT) % 7 > 0", "123456"),
            ("number * number > 0", "123456"),
        ],
    )
    def test_no_error_shows_a_value(
        self, lakehouse: Lakehouse, tmp_path: Path, condition: str, shown: str
    ) -> None:
        """Whatever quotes it has, begins like a word of the statement, or is never quoted."""
        columns = {
            "secret": ["hunter'2secretTAIL"],
            "beginning": ["t'secretTAIL"],
            "number": [Decimal("123456e30")],
        }
        make(tmp_path, columns=columns, number=pl.Decimal(38, 2))
        found = result_of(lakehouse, tmp_path, Condition(condition=condition))
        assert found.outcome is ERROR
        assert "***" in found.finding
        assert shown not in found.finding
        assert "TAIL" not in found.finding

    def test_a_registered_secret_is_shown_nowhere(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """In whatever column it turns up, and in the suite itself."""
        register_secret("hush-42")
        make(tmp_path, columns={"text": ["hush-42", "see hush-42"]})
        report = report_of(
            lakehouse,
            tmp_path,
            Pattern(column="text", pattern="x"),
            AllowedValues(column="text", values=["hush-42!"]),
            Condition(condition="text = 'hush-42' AND nothing > 1"),
        )
        assert len(outcomes(report, FAILED)) == 2
        assert "hush" not in repr(report)

    @pytest.mark.parametrize(("column", "masked"), [("api_token", ()), ("shown", ("SHOWN",))])
    def test_a_short_secret_is_not_taken_for_a_state(
        self, lakehouse: Lakehouse, tmp_path: Path, column: str, masked: tuple[str, ...]
    ) -> None:
        """Whether a column's name says that it is one, or a check that it is masked."""
        make(tmp_path, columns={column: ["hunter2", "hunter2"], "n": [1, 1]})
        report = report_of(
            lakehouse,
            tmp_path,
            *(Masked(column=name) for name in masked),
            Pattern(column=column, pattern="[a-z]+"),
            Unique(column=[column, "n"]),
            Condition(condition=f"length({column}) > 9 AND n > 0"),
        )
        found = {check.kind: check.samples for check in report.checks if check.samples}
        assert found == {
            "pattern": ("***",),
            "unique": (f"{column}=***, n=1",),
            "condition": (f"{column}=***, n=1",),
        }

    def test_other_values_are_shown_as_far_as_they_help(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """Short texts and numbers whole, of longer texts no more than the beginning."""
        make(tmp_path, columns={"text": ["Succes", "a" * 40], "n": [1, 2]})
        check = AllowedValues(column="text", values=["Success"])
        assert sorted(result_of(lakehouse, tmp_path, check).samples) == [
            "'Succes'",
            "'aaa'… (40 characters)",
        ]
        assert result_of(lakehouse, tmp_path, Range(column="n", maximum=1)).samples == ("2",)


@pytest.mark.usefixtures("engine")
def test_v10_what_keeps_errors_unlogged_leaves_pyspark_its_logger(tmp_path: Path) -> None:
    """A later error of the user's own is PySpark's, and without PySpark there is no such logger."""
    make(tmp_path, columns={"n": [1]})
    source = """
        import logging
        from tests.validations import *
        from spectra_stage.validation.checks import Condition
        report_of(lakehouse, arguments[0], Condition(condition="n > 0"))
        logger = logging.Logger.manager.loggerDict.get("SQLQueryContextLogger")
        answer = logger is None or type(logger).__name__
        if lakehouse.engine == "spark":
            from pyspark.sql import SparkSession
            try:
                SparkSession.getActiveSession().sql("SELECT nothing").collect()
            except Exception as error:
                answer = type(error).__name__ == "AnalysisException" or repr(error)
    """
    assert race(source, tmp_path, processes=1) == [True]


class TestV11Features:
    """Tables by Spark 4.1 and Delta 4.2.

    ``column_mapping``: columns (id BIGINT NOT NULL, `old name` STRING), mapped by name, rows
    (1, a), (2, b), (3, NULL), and `old name` renamed to `new name`. ``deletion_vectors``: ids 0 to
    999 in one file, s null where the id is even and x where not, and the even rows deleted.
    """

    def test_mapped_columns_go_by_their_names(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """And not by the names that their files have."""
        shutil.copytree(DATA / "column_mapping", tmp_path / "Tables/t/checked")
        report = report_of(
            lakehouse,
            tmp_path,
            TableSchema(
                declared=[
                    Column(name="id", type="long", nullable=False),
                    Column(name="new name", type="string"),
                ]
            ),
            NotNull(column="new name"),
            AllowedValues(column="new name", values=["a"]),
            Unique(column=["id", "new name"]),
        )
        assert [check.violations for check in report.checks] == [None, None, 1, 1, 0]
        assert outcomes(report, FAILED) == [
            "t.checked: not_null new name",
            "t.checked: allowed_values new name",
        ]

    def test_times_by_spark_are_of_every_year(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """``int96`` has 2026-11-27 and 9999-12-31 as Spark writes them by default."""
        shutil.copytree(DATA / "int96", tmp_path / "Tables/t/checked")
        check = Range(column="moment", minimum="2000-01-01", maximum="3000-01-01")
        found = result_of(lakehouse, tmp_path, check)
        assert (found.violations, found.samples) == (1, ("9999-12-31 00:00:00+00:00",))

    def test_deleted_rows_are_not_looked_at(self, lakehouse: Lakehouse, tmp_path: Path) -> None:
        """A deletion vector leaves them in the file."""
        shutil.copytree(DATA / "deletion_vectors", tmp_path / "Tables/t/checked")
        report = report_of(
            lakehouse,
            tmp_path,
            RowCount(exactly=500),
            NotNull(column="s"),
            Condition(condition="id % 2 = 1"),
            Unique(column="id"),
        )
        assert outcomes(report, PASSED) == [
            "t.checked: table_exists",
            "t.checked: row_count",
            "t.checked: not_null s",
            "t.checked: condition id",
            "t.checked: unique id",
        ]


class TestV12Size:
    def test_a_table_of_a_thousand_columns_is_one_statement(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """Two thousand checks, two of which fail."""
        columns: dict[str, list[Any]] = {f"c{n}": [1, 2] for n in range(1000)}
        columns["c500"] = [None, 2000]
        make(tmp_path, columns=columns)
        checks: list[Check] = [NotNull(column=name) for name in columns]
        checks += [Range(column=name, maximum=10) for name in columns]
        report = report_of(lakehouse, tmp_path, *checks)
        assert outcomes(report, FAILED) == [
            "t.checked: not_null c500",
            "t.checked: range c500",
        ]
        # One for the checks, one for the samples of the range.
        assert report.tables[0].statements == 2

    def test_a_writer_at_work_changes_nothing_midway(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """All statements of a run see the version that the table had when it was opened."""
        make(tmp_path, columns={"k": [1], "n": [1]})
        place = tmp_path / "Tables/t/checked"

        class Meddling(Condition):
            def plan(self, view: Any) -> Any:
                write_deltalake(place, pl.DataFrame({"k": [1], "n": [-1]}), mode="append")
                return super().plan(view)

        report = report_of(
            lakehouse,
            tmp_path,
            Meddling(condition="n > 0"),
            Unique(column=["k", "n"]),
            Unique(column="k"),
            RowCount(exactly=1),
            ForeignKey(column="n", table="t.checked", references="k"),
        )
        assert {check.outcome for check in report.checks} == {PASSED}
        assert (report.tables[0].version, DeltaTable(place).version()) == (0, 1)
        assert lakehouse.query("SELECT count(*) FROM t", {"t": str(place)}).rows == ((2,),)

    def test_processes_that_race_to_make_the_table_and_to_check_it_agree(
        self, tmp_path: Path
    ) -> None:
        """Whoever looks while others make the table finds it missing, or empty and as declared."""
        source = """
            from spectra_stage.validation.run import run
            from spectra_stage.validation.suite import Suite, TableSuite
            from spectra_stage.validation.checks import NotNull, TableSchema
            place = arguments[0] + "/Tables/t/checked"
            checks = [TableSchema(declared=EVERY_TYPE.columns), NotNull(column="moment")]
            suite = Suite(name="race", tables=[TableSuite(table="t.checked", checks=checks)])
            answer = []
            for _ in range(10):
                if me:
                    lakehouse.ensure(place, EVERY_TYPE)
                found = run(suite, lakehouse, root=arguments[0])
                answer.append([check.outcome.value for check in found.checks])
        """
        for found in race(source, tmp_path, processes=3):
            for outcome in found:
                assert outcome in (["failed", "skipped", "skipped"], ["passed"] * 3)
            assert found[-1] == ["passed"] * 3 or found[0][0] == "failed"


def test_one_broken_check_is_an_error_of_its_own(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """Its neighbours are made, whether it is refused at once or fails on a row."""
    make(tmp_path, columns={"n": [1, 0], "text": ["1", "x"]})
    report = report_of(
        lakehouse,
        tmp_path,
        NotNull(column="n"),
        Condition(condition="10 / n > 1"),
        Condition(condition="no_such_function(n) > 1"),
        Range(column="n", minimum=1),
        Condition(condition="n >"),
        Condition(condition="n = 1) OR (n = 0"),
        Condition(condition="n < 2 -- and this is no reason to leave out the rest"),
        Unique(column="n"),
        Range(column="text", minimum=5),
        Pattern(column="n", pattern="x"),
        TableExists(name="it is there"),
    )
    found = [check.outcome for check in report.checks]
    assert found == [
        PASSED,
        ERROR,
        ERROR,
        FAILED,
        ERROR,
        ERROR,
        PASSED,
        PASSED,
        ERROR,
        ERROR,
        PASSED,
    ]
    for check in report.checks:
        assert (check.violations is None) == (check.outcome is ERROR or not check.columns)


def test_a_faulty_check_of_ones_own_takes_no_other_down(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """Whether it names a column that is not there, or fails while values are looked for."""

    class Nameless(RowCheck):
        kind = "nameless"
        columns = ("other",)
        words = "n is small"

        def breaks(self, view: TableView) -> str:
            return f"{view.quoted('n')} > 1"

    class Clumsy(Nameless):
        kind = "clumsy"
        columns = ("n",)

        def samples(self, view: TableView, limit: int) -> str | None:
            raise KeyError(limit)

    make(tmp_path, columns={"n": [1, 2]})
    report = report_of(lakehouse, tmp_path, Nameless(), Clumsy(), NotNull(column="n"))
    nameless, clumsy, sound = list(report.checks)[1:]
    assert (nameless.outcome, nameless.finding) == (ERROR, "there is no column other")
    assert (clumsy.outcome, clumsy.finding) == (ERROR, "the check itself failed: KeyError: 5")
    assert sound.outcome is PASSED


def some_texts(count: int) -> list[str]:
    """JSON at random, and in most of it a character added, removed or changed; always the same."""
    chance = random.Random(9)
    characters = '{}[]:,"\\ 01-.eEutrfalsn\nkmv~'

    def value(levels: int) -> str:
        if not levels or chance.random() < 0.4:
            return chance.choice(["1", '"a"', "true", "null", "-1.5e3", '"\\n"', '""', "0"])
        items = [value(levels - 1) for _ in range(chance.randrange(4))]
        if chance.random() < 0.5:
            return f"[{', '.join(items)}]"
        return "{" + ",".join(f'"k{n}": {item}' for n, item in enumerate(items)) + "}"

    texts = []
    for _ in range(count):
        text = value(4)
        if chance.random() < 0.7:
            place = chance.randrange(len(text))
            text = text[:place] + chance.choice(characters) + text[place + chance.randrange(2) :]
        texts.append(text)
    return texts


def is_json(text: str) -> bool:
    """What Python's own reader says, without the numbers that JSON has not."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


def rows_of(lakehouse: Lakehouse, place: str, texts: list[str]) -> list[tuple[Any, ...]]:
    return list(lakehouse.query("SELECT n, text FROM t ORDER BY n", {"t": place}).rows)


class elsewhere:  # noqa: N801 - reads as a word
    """A while in which the user's Spark session, where there is one, is west of Greenwich."""

    ZONE = "America/Los_Angeles"

    def __init__(self, lakehouse: Lakehouse) -> None:
        self._session: Any = None
        if lakehouse.engine == "spark":
            from pyspark.sql import SparkSession

            self._session = SparkSession.getActiveSession()

    def __enter__(self) -> None:
        if self._session is not None:
            self._before = self._session.conf.get("spark.sql.session.timeZone")
            self._session.conf.set("spark.sql.session.timeZone", self.ZONE)

    def __exit__(self, *_: object) -> None:
        if self._session is not None:
            assert self._session.conf.get("spark.sql.session.timeZone") == self.ZONE
            self._session.conf.set("spark.sql.session.timeZone", self._before)


def test_a_check_of_one_s_own_may_answer_with_another_library_s_false(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """NumPy's is none of Python's, and tells of the values that break it all the same."""

    class ByNumPy(Range):
        kind = "by_numpy"

        def judge(self, view: TableView, answers: Answers) -> Finding:
            finding = super().judge(view, answers)
            return replace(finding, holds=np.bool_(finding.holds))  # type: ignore[arg-type]

    make(tmp_path, columns={"n": [1, None]})
    found = result_of(lakehouse, tmp_path, ByNumPy(column="n", minimum=2))
    assert (made(found), found.samples) == ((FAILED, 1), ("1",))
