"""Prepare's tables made to fit: what is missing is made, what is there stays, races end well."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectra_logging.errors import SchemaConflictError
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.tables import Column, TableSpec
from spectra_stage.prepare import initialize_prepare_stage
from spectra_stage.tables import PREPARE_SCHEMA, PREPARE_STATUS_MAP, PREPARE_TABLES, table_path
from tests.lakehouses import race
from tests.tables import read_rows

ROW = {"sourceSystem": "zephyr", "entity": "case", "sourceStatusName": "Open", "targetStatus": "o"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> Path:
    """A lakehouse of the test's own, through each engine."""
    monkeypatch.setenv("SPECTRA_ROOT", str(tmp_path))
    return tmp_path


def place(root: Path, spec: TableSpec) -> str:
    return str(root / table_path(spec))


def make(root: Path, spec: TableSpec, *columns: Column) -> None:
    """The table of a spec's place, with other columns."""
    open_lakehouse().ensure(place(root, spec), TableSpec(name=spec.name, columns=columns))


def without(spec: TableSpec, *names: str) -> list[Column]:
    return [column for column in spec.columns if column.name not in names]


def columns(root: Path, spec: TableSpec) -> list[tuple[str, str]]:
    return [(c.name, c.type) for c in open_lakehouse().schema(place(root, spec))]


def test_the_first_run_makes_three_empty_tables(root: Path) -> None:
    """With the specs' columns, types, nulls and comments; the report says so."""
    report = initialize_prepare_stage(source_system="zephyr")
    assert [(t.name, t.created, t.added_columns) for t in report.tables] == [
        ("prepare._schema", True, ()),
        ("prepare._endpoints", True, ()),
        ("prepare._statusMap", True, ()),
    ]
    assert report.changed
    for spec in PREPARE_TABLES:
        assert [
            (c.name, c.type, c.nullable, c.comment)
            for c in open_lakehouse().schema(place(root, spec))
        ] == [(c.name, c.type, c.nullable, c.comment) for c in spec.columns]
        assert read_rows(place(root, spec)) == []


def test_a_second_run_does_nothing_and_says_so(root: Path) -> None:
    """No table gets another version."""
    initialize_prepare_stage()
    versions = [open_lakehouse().version(place(root, spec)) for spec in PREPARE_TABLES]
    report = initialize_prepare_stage()
    assert not report.changed
    assert str(report) == (
        "prepare._schema: nothing to do; prepare._endpoints: nothing to do; "
        "prepare._statusMap: nothing to do"
    )
    assert [open_lakehouse().version(place(root, spec)) for spec in PREPARE_TABLES] == versions


def test_missing_columns_are_added_and_rows_stay(root: Path) -> None:
    """The rows that are there have nulls in them."""
    make(root, PREPARE_STATUS_MAP, *without(PREPARE_STATUS_MAP, "isTerminal", "notes"))
    table = place(root, PREPARE_STATUS_MAP)
    spec = TableSpec(name="x", columns=tuple(without(PREPARE_STATUS_MAP, "isTerminal", "notes")))
    open_lakehouse().write(table, [ROW], spec=spec, mode="append")
    report = initialize_prepare_stage()
    assert report.tables[2].added_columns == ("isTerminal", "notes")
    assert report.tables[2].in_words == "added isTerminal, notes"
    assert set(columns(root, PREPARE_STATUS_MAP)) == {
        (c.name, c.type) for c in PREPARE_STATUS_MAP.columns
    }
    (row,) = open_lakehouse().query("SELECT * FROM t", {"t": table}).to_dicts()
    assert {name: value for name, value in row.items() if value is not None} == ROW


def test_extra_columns_and_rows_are_left_alone(root: Path) -> None:
    """A column of somebody else's, and its values, are there afterwards."""
    extra = Column(name="owner", type="string")
    make(root, PREPARE_STATUS_MAP, *PREPARE_STATUS_MAP.columns, extra)
    spec = TableSpec(name="x", columns=(*PREPARE_STATUS_MAP.columns, extra))
    table = place(root, PREPARE_STATUS_MAP)
    open_lakehouse().write(table, [{**ROW, "owner": "me"}], spec=spec, mode="append")
    version = open_lakehouse().version(table)
    assert not initialize_prepare_stage().tables[2].changed
    assert open_lakehouse().version(table) == version
    (row,) = open_lakehouse().query("SELECT owner, entity FROM t", {"t": table}).to_dicts()
    assert row == {"owner": "me", "entity": "case"}


def test_a_conflict_lists_every_difference_and_changes_nothing(root: Path) -> None:
    """Two tables contradict their specs; the third, which is missing, is not made."""
    make(
        root,
        PREPARE_SCHEMA,
        Column(name="entity", type="long"),
        Column(name="rawField", type="string"),
    )
    make(root, PREPARE_STATUS_MAP, Column(name="SORTORDER", type="integer"))
    with pytest.raises(SchemaConflictError) as raised:
        initialize_prepare_stage()
    assert raised.value.differences == (
        f"{place(root, PREPARE_SCHEMA)}: column entity is long there, not string",
        f"{place(root, PREPARE_SCHEMA)}: column rawField is string there, not array<string>",
        f"{place(root, PREPARE_STATUS_MAP)}: column sortOrder is spelt SORTORDER there",
    )
    assert not Path(place(root, PREPARE_TABLES[1])).exists()
    assert columns(root, PREPARE_SCHEMA) == [("entity", "long"), ("rawField", "string")]


def test_one_conflict_names_its_table(root: Path) -> None:
    """The error is the one that the table's own creation would have raised."""
    make(root, PREPARE_SCHEMA, Column(name="entity", type="long"))
    with pytest.raises(SchemaConflictError, match="column entity is long there") as raised:
        initialize_prepare_stage(plan=True)
    assert raised.value.table == place(root, PREPARE_SCHEMA)


def test_a_plan_says_what_would_be_done_and_does_nothing(root: Path) -> None:
    """It tells the same as the run after it, which it does not stand in for."""
    make(root, PREPARE_SCHEMA, *without(PREPARE_SCHEMA, "notes"))
    plan = initialize_prepare_stage(plan=True)
    assert plan.planned
    assert str(plan) == (
        "prepare._schema: added notes; prepare._endpoints: created; prepare._statusMap: created; "
        "nothing was changed: a plan"
    )
    assert not Path(place(root, PREPARE_STATUS_MAP)).exists()
    done = initialize_prepare_stage()
    assert [table.in_words for table in done.tables] == [table.in_words for table in plan.tables]
    assert not initialize_prepare_stage(plan=True).changed


ROUNDS = 50
RACE = """
import os
from spectra_stage.prepare import initialize_prepare_stage
from spectra_stage.tables import PREPARE_TABLES, table_path
answer = []
for number in range(int(arguments[1])):
    os.environ["SPECTRA_ROOT"] = f"{arguments[0]}/{number}"
    if number:
        wait_for_the_others()
    answer.append([table.in_words for table in initialize_prepare_stage().tables])
"""


def test_two_processes_at_once_make_each_table_once(root: Path) -> None:
    """In fifty rounds that begin together, each table is made by one of the two, and fits."""
    first, second = race(RACE, root, str(ROUNDS), rounds=ROUNDS)
    for number, outcomes in enumerate(zip(first, second, strict=True)):
        for spec, outcome in zip(PREPARE_TABLES, zip(*outcomes, strict=True), strict=True):
            assert sorted(outcome) == ["created", "nothing to do"], (number, spec.name)
            found = open_lakehouse().schema(str(root / str(number) / table_path(spec)))
            assert [(c.name, c.type, c.nullable) for c in found] == [
                (c.name, c.type, c.nullable) for c in spec.columns
            ]
