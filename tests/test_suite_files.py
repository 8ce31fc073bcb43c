"""Suites in YAML: what they may say, and what they are told when they say something else."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from spectra_logging.errors import ConfigurationError
from spectra_logging.tables import Column
from spectra_stage.errors import SuiteError
from spectra_stage.validation.checks import (
    KINDS,
    AllowedValues,
    Compare,
    Condition,
    CountsBy,
    CountsRows,
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
    Unchecked,
    Unique,
    ValidJson,
)
from spectra_stage.validation.files import load_suite
from spectra_stage.validation.suite import Suite, TableSuite, distinct_names

EVERYTHING = """
suite: sales
tables:
  sales.orders:
    path: Tables/sales/orders_v2
    key: [order_id, line]
    columns:
      order_id: {type: long, nullable: false}
      line: integer
      status: {type: string, allowed_values: [open, closed]}
      price: {type: "decimal(10,2)", minimum: 0, maximum: 1000000}
      code: {type: string, pattern: "[A-Z]{3}"}
      payload: {type: string, json: object}
    more_columns: true
    checks:
      - table_exists: {name: it is there}
      - not_null: {column: status, tolerance: 0.5%, severity: warning}
      - unique: order_id
      - unique: [order_id, status]
      - range: {column: at, minimum: 2024-01-01, maximum: 2024-12-31 23:59:59}
      - allowed_values: {column: line, values: [1, 2, 3], tolerance: 10}
      - pattern: {column: code, pattern: "[A-Z]+", name: codes are capitals}
      - valid_json: payload
      - masked: {column: token, shown: 2}
      - compare: {left: ordered, operator: "<=", right: shipped}
      - row_count: {minimum: 1, maximum: 1000}
      - same_count: sales.orders_raw
      - foreign_key: {column: customer, table: sales.customers, references: id}
      - freshness: {column: at, maximum_age_hours: 24}
      - condition: price > 0 OR status = 'closed'
      - counts_rows: {column: total, newest_by: at, table: sales.lines, where: active}
      - counts_by: {column: counts, newest_by: at, table: sales.lines, by: kind}
      - table_schema: {declared: {order_id: long}, more_columns: true}
      - unchecked: somebody looks at each order
  sales.customers:
"""


# Others' classes enter themselves too, such as those of the documentation.
OUR_KINDS = {
    kind: check for kind, check in KINDS.items() if check.__module__.startswith("spectra_stage.")
}


def write(folder: Path, text: str, name: str = "suite.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_what_python_says(tmp_path: Path) -> None:
    """Each kind of check, with its options, severities and tolerances."""
    columns = (
        Column(name="order_id", type="long", nullable=False),
        Column(name="line", type="integer"),
        Column(name="status", type="string", allowed_values=("open", "closed")),
        Column(name="price", type="decimal(10,2)", minimum=0, maximum=1000000),
        Column(name="code", type="string", pattern="[A-Z]{3}"),
        Column(name="payload", type="string", json="object"),
    )
    end = dt.datetime(2024, 12, 31, 23, 59, 59)  # noqa: DTZ001 - YAML's has no zone: it is UTC
    assert load_suite(write(tmp_path, EVERYTHING)) == Suite(
        name="sales",
        tables=[
            TableSuite(
                table="sales.orders",
                path="Tables/sales/orders_v2",
                checks=[
                    TableSchema(declared=columns, more_columns=True),
                    NotNull(column="order_id"),
                    AllowedValues(column="status", values=("open", "closed")),
                    Range(column="price", minimum=0, maximum=1000000),
                    Pattern(column="code", pattern="[A-Z]{3}"),
                    ValidJson(column="payload", value="object"),
                    Unique(column=("order_id", "line")),
                    TableExists(name="it is there"),
                    NotNull(column="status", tolerance="0.5%", severity="warning"),
                    Unique(column="order_id"),
                    Unique(column=("order_id", "status")),
                    Range(column="at", minimum=dt.date(2024, 1, 1), maximum=end),
                    AllowedValues(column="line", values=(1, 2, 3), tolerance=10),
                    Pattern(column="code", pattern="[A-Z]+", name="codes are capitals"),
                    ValidJson(column="payload"),
                    Masked(column="token", shown=2),
                    Compare(left="ordered", operator="<=", right="shipped"),
                    RowCount(minimum=1, maximum=1000),
                    SameCount(table="sales.orders_raw"),
                    ForeignKey(column="customer", table="sales.customers", references="id"),
                    Freshness(column="at", maximum_age_hours=24),
                    Condition(condition="price > 0 OR status = 'closed'"),
                    CountsRows(column="total", newest_by="at", table="sales.lines", where="active"),
                    CountsBy(column="counts", newest_by="at", table="sales.lines", by="kind"),
                    TableSchema(declared=[Column(name="order_id", type="long")], more_columns=True),
                    Unchecked(statement="somebody looks at each order"),
                ],
            ),
            TableSuite(table="sales.customers", checks=[TableExists()]),
        ],
    )


def test_every_kind_of_check_is_in_the_documentation() -> None:
    """With each option that it takes."""
    page = (Path(__file__).parent.parent / "docs/validation.md").read_text(encoding="utf-8")
    for kind, check in OUR_KINDS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{kind}` |")]
        for option in fields(check):
            if option.name not in {"name", "severity", "tolerance"}:
                assert f"`{option.name}`" in row, (kind, option.name)


def test_every_kind_of_check_is_in_the_file_above() -> None:
    """A kind that is added without being tried here is found out."""
    assert [kind for kind in OUR_KINDS if f"- {kind}:" not in EVERYTHING] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it holds nothing"),
        ("tables: [", "1:10: it is no YAML"),
        ("suite: a\0", "it is no YAML: unacceptable character #x0000"),
        ("tables: {a: {key: 2024-02-30}}", "1:19: '2024-02-30' can't be read: day "),
        ("tables: {a: {key: !!bool b}}", "1:19: 'b' can't be read: 'b'"),
        ("tables: {<<: {a: {}}}", "1:10: it is no YAML: could not determine a constructor"),
        ('tables: {a: {path: "\\ud83d"}}', r"1:20: '\ud83d' can't be read: "),
        ("tables: " + "[" * 5000, "it is nested too deeply"),
        ("tables: {a: &a {checks: [*a]}}", "or holds an alias of what the alias stands in"),
        ("- a", "1:1: a suite is a list, not a mapping"),
        ("suite: a", "1:1: a suite lacks tables"),
        ("tables: {}", "1:9: tables are none; one at least is needed, by its dotted name"),
        ("suite: a\ntabels: {}", "2:9: a suite has no 'tabels'; it takes suite, tables"),
        ("tables: {a: {}, a: {}}", "1:17: 'a' is there twice"),
        ("tables: {a: {chekcs: []}}", "1:22: table a has no 'chekcs'; it takes path, columns"),
        ("tables: {a: {checks: {not_null: n}}}", "1:22: table a: checks is a mapping, not a list"),
        ("tables: {a: {checks: [3]}}", "1:23: table a: a check is 3, not a mapping"),
        ("tables: {a: {columns: {b: 5}}}", "1:27: column b is 5, not a mapping"),
        (
            "tables: {a: {checks: [table_schema: 5]}}",
            "1:37: table_schema: declared is 5; it may be a mapping of columns by name",
        ),
        (
            "tables: {a: {checks: [unique: 5]}}",
            "1:31: unique: column is 5; it may be a text or a list, each item a text",
        ),
        (
            "tables: {a: {checks: [not_nul: n]}}",
            "1:32: there is no check 'not_nul'; there are allowed_values, compare",
        ),
        (
            "tables:\n  a:\n    checks:\n      - range: {column: n, minimun: 1}",
            "4:37: range has no 'minimun'; it takes severity, name, tolerance, column, minimum",
        ),
        ("tables: {a: {checks: [range: n]}}", "1:30: range: minimum=None may be a value"),
        ("tables: {a: {checks: [range]}}", "1:23: range lacks column; it takes column, severity"),
        (
            "tables: {a: {checks: [compare: n]}}",
            "1:32: compare takes a mapping of left, operator, right, severity, name, tolerance",
        ),
        (
            "tables: {a: {checks: [not_null: {column: [n]}]}}",
            "1:42: not_null: column is ['n']; it may be a text",
        ),
        (
            "tables: {a: {checks: [not_null: {column: n, severity: bad}]}}",
            "1:55: not_null: severity is 'bad'; it may be warning or error",
        ),
        (
            "tables: {a: {checks: [not_null: {column: n, tolerance: 101%}]}}",
            "1:33: not_null: tolerance='101%' may be a number of rows, or a percentage",
        ),
        (
            "tables: {a: {checks: [row_count: {minimum: many}]}}",
            "1:44: row_count: minimum is 'many'; it may be a whole number",
        ),
        (
            "tables: {a: {checks: [row_count: {maximum: -1}]}}",
            "1:34: row_count: maximum=-1 may be a number of rows",
        ),
        (
            "tables: {a: {checks: [row_count: {minimum: 5, maximum: 2}]}}",
            "1:34: row_count: minimum=5 may be at most the maximum, which is 2",
        ),
        (
            "tables: {a: {checks: [range: {column: d, minimum: 2024-05-02, maximum: 2024-05-01}]}}",
            "1:30: range: minimum=datetime.date(2024, 5, 2) may be at most the maximum",
        ),
        (
            "tables: {a: {checks: [pattern: {column: n, pattern: '(?=x)'}]}}",
            "1:32: pattern: pattern='(?=x)' may be a regular expression without look-around",
        ),
        (
            "tables: {a: {columns: {n: {typ: long}}}}",
            "1:33: column n has no 'typ'; it takes name, type, nullable",
        ),
        ("tables: {a: {more_columns: 1}}", "1:28: table a: more_columns is 1, not true or false"),
        ("tables: {a: {path: 7}}", "1:20: table a: path is 7, not a text"),
        ("tables: {a: {key: [a, a]}}", "1:19: key: unique: column=('a', 'a') may be a column, or"),
        ("tables: {a: {key: []}}", "1:19: key: unique: column=() may be a column, or a list"),
        (
            "tables: {a: {columns: {n: {type: string, pattern: '('}}}}",
            "1:27: column n: pattern: pattern='(' may be a regular expression",
        ),
        (
            "tables: {a: {checks: [range: {column: n, maximum: .inf}]}}",
            "1:30: range: maximum=inf may be a finite value, or left out where there is no bound",
        ),
        (
            "tables: {a: {columns: {n: {type: double, minimum: .nan}}}}",
            "1:27: column n: range: minimum=nan may be a finite value",
        ),
        (
            "tables: {a: {checks: [allowed_values: {column: n, values: [1, .nan]}]}}",
            "1:39: allowed_values: values=(1, nan) may be finite values",
        ),
        (
            "tables: {a: {checks: [freshness: {column: n, maximum_age_hours: .inf}]}}",
            "1:34: freshness: maximum_age_hours=inf may be a number of hours above 0",
        ),
        (
            "tables: {a: {checks: [allowed_values: {column: n, values: [NO, SE]}]}}",
            "1:39: allowed_values: values=(False, 'SE') may be true and false alone, or others",
        ),
        ("tables: {'': {}}", "1:14: table='' may be a table's dotted name"),
        ("tables: {a: {key: [1]}}", "1:20: key is 1, not a text"),
    ],
)
def test_a_wrong_file_is_told_what_where_and_what_is_allowed(
    tmp_path: Path, text: str, problem: str
) -> None:
    """With the file, the line and the column."""
    path = write(tmp_path, text)
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert str(caught.value).startswith(f"suite {path}: ")
    assert problem in str(caught.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Nobody likes to correct a file one error a run."""
    path = write(
        tmp_path,
        "tables:\n  a:\n    checks:\n      - nonsense: n\n      - range: {column: 1}\n  b: 3\n"
        "  c:\n    key: [n, n]\n    columns:\n      n: {type: string, pattern: '('}\n",
    )
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        "4:19",
        "5:25",
        "6:6",
        "10:10",
        "8:10",
    ]


def test_json_is_read_too_and_a_missing_file_is_told(tmp_path: Path) -> None:
    """JSON is YAML; the suite has its file's name where it names none."""
    path = write(tmp_path, '{"tables": {"a": {"checks": [{"not_null": "n"}]}}}', "mine.json")
    assert load_suite(path).name == "mine"
    with pytest.raises(ConfigurationError, match=r"missing\.yaml can't be read"):
        load_suite(tmp_path / "missing.yaml")


def test_json_is_read_however_it_is_written(tmp_path: Path) -> None:
    """Indented with tabs, and with the escapes of what is beyond 16 bits."""
    moods = {"column": "😀", "values": ["😀", "a"]}
    told = {"tables": {"a.b": {"checks": [{"allowed_values": moods}]}}}
    path = write(tmp_path, json.dumps(told, indent="\t"), "mine.json")
    assert load_suite(path).tables[0].checks[1] == AllowedValues(column="😀", values=("😀", "a"))


def test_an_operator_needs_no_quotes(tmp_path: Path) -> None:
    """YAML has a type of its own for what is just ``=``."""
    text = "tables: {a: {checks: [compare: {left: b, operator: =, right: c}]}}"
    compare = Compare(left="b", operator="=", right="c")
    assert load_suite(write(tmp_path, text)).tables[0].checks[1] == compare


def test_columns_may_be_called_what_yaml_takes_for_something_else(tmp_path: Path) -> None:
    """A key is a name, whatever YAML would make of it as a value."""
    names = ["no", "yes", "on", "off", "010", "1.10", "2024-01-01", "null"]
    columns = ", ".join(f"{name}: long" for name in names)
    suite = load_suite(write(tmp_path, f"tables: {{a.b: {{columns: {{{columns}}}}}}}"))
    declared = tuple(Column(name=name, type="long") for name in names)
    assert suite.tables[0].checks[1] == TableSchema(declared=declared)


def test_checks_say_at_once_what_can_not_work() -> None:
    """In Python as in files."""
    for make in (
        RowCount,
        lambda: RowCount(exactly=1, minimum=1),
        lambda: Unique(column=["a", "a"]),
        lambda: Unique(column=[]),
        lambda: AllowedValues(column="a", values=[]),
        lambda: AllowedValues(column="a", values="ab"),
        lambda: Compare(left="a", operator="like", right="b"),  # type: ignore[arg-type]
        lambda: Freshness(column="a", maximum_age_hours=0),
        lambda: Range(column="a", maximum=Decimal("Infinity")),
        lambda: Masked(column="a", shown=9),
        lambda: ForeignKey(column=["a", "b"], table="t", references="c"),
        lambda: Condition(condition=" "),
        lambda: ValidJson(column="a", value="number"),  # type: ignore[arg-type]
        lambda: NotNull(column="a", tolerance=-1),
        lambda: NotNull(column="a", tolerance="some"),
        lambda: NotNull(column="a", severity="fatal"),  # type: ignore[arg-type]
        lambda: Pattern(column="a", pattern="("),
        lambda: Pattern(column="a", pattern=r"(a)\1"),
        lambda: Pattern(column="a", pattern=r"(?P<q>a)(?P=q)"),
        lambda: Pattern(column="a", pattern=r"(?P<q>a)?(?(q)b|c)"),
        lambda: Pattern(column="a", pattern=r"\\++"),
        lambda: Pattern(column="a", pattern=r"[a]{1,2}+"),
        lambda: Pattern(column="a", pattern="[^[:space:]]"),
        lambda: Pattern(column="a", pattern="[_[:alnum:]]+"),
        lambda: Pattern(column="a", pattern=r"(?ia)\w+"),
        lambda: TableSchema(declared=[]),
        lambda: TableSuite(table=""),
        lambda: TableSuite(table="a", checks=["not_null"]),  # type: ignore[list-item]
        lambda: Suite(name="a", tables=[TableSuite(table="b"), TableSuite(table="b")]),
        lambda: Suite(name="a", tables=[]),
    ):
        with pytest.raises(ConfigurationError):
            make()


def test_what_comes_once_only_is_kept() -> None:
    """A generator is empty when it is read again, and no checks would pass."""
    tables = (
        TableSuite(table=name, checks=(NotNull(column=column) for column in "xy"))  # type: ignore[arg-type]
        for name in "ab"
    )
    suite = Suite(name="s", tables=tables)  # type: ignore[arg-type]
    assert [(table.table, len(table.checks)) for table in suite.tables] == [("a", 3), ("b", 3)]


def test_thousands_of_checks_may_say_the_same() -> None:
    """Each has a name of its own, and is not counted anew for each of the others."""
    told = [NotNull(column="a"), NotNull(column="b", name="a is never null (3)")]
    checks = [*told, *[NotNull(column="a")] * 2_000]
    lines_run = 0

    def count(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines_run
        lines_run += event == "line"
        return count if frame.f_code is distinct_names.__code__ else None

    traced_before = sys.gettrace()
    sys.settrace(count)
    try:
        names = distinct_names(checks)
    finally:
        sys.settrace(traced_before)
    assert lines_run < 20 * len(checks)
    assert names[:4] == [
        "a is never null",
        "a is never null (3)",
        "a is never null (2)",
        "a is never null (4)",
    ]
    assert len(set(names)) == len(checks)
