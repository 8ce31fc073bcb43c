"""Open Data Contracts: what is read of them, what is written, and that the two agree."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest
import yaml

from spectra_logging.lakehouse.base import Lakehouse
from spectra_logging.tables import Column
from spectra_stage.errors import SuiteError
from spectra_stage.validation.checks import (
    AllowedValues,
    Check,
    Condition,
    ForeignKey,
    Freshness,
    NotNull,
    Pattern,
    Range,
    RowCount,
    TableExists,
    TableSchema,
    Unchecked,
    Unique,
)
from spectra_stage.validation.files import export_contract, load_contract, load_suite
from spectra_stage.validation.files.odcs_keys import (
    OF_CONTRACTS,
    OF_OBJECTS,
    OF_PROPERTIES,
    OF_RULES,
)
from spectra_stage.validation.results import Outcome
from spectra_stage.validation.run import run
from spectra_stage.validation.suite import Suite, TableSuite
from spectra_stage.validation.suites import SUITES
from tests.test_suite_files import EVERYTHING, write
from tests.validations import UTC, made, make

CONTRACT = r"""
apiVersion: v3.2.0
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a
name: payments
version: 1.1.0
status: active
schema:
  - name: tbl
    physicalName: pay.tbl_1
    logicalType: object
    properties:
      - name: tenant
        primaryKey: true
        primaryKeyPosition: 2
        logicalType: string
        physicalType: varchar(18)
      - name: id
        primaryKey: true
        primaryKeyPosition: 1
        logicalType: integer
        physicalType: BIGINT
      - name: amount
        logicalType: number
        physicalType: DECIMAL(10, 2)
        logicalTypeOptions: {minimum: 0, exclusiveMaximum: 100, multipleOf: 5}
      - name: state
        required: true
        logicalType: string
        enum: [{value: open}, {value: closed, label: Closed}]
        quality:
          - {metric: nullValues, mustBeLessThan: 3, severity: info}
          - {metric: missingValues, arguments: {missingValues: [null, '', N/A]}, mustBe: 0}
          - {metric: nullValues, mustBeLessOrEqualTo: 2.5, unit: percent}
          - {metric: nullValues, mustBeLessThan: 1, unit: percent}
          - {metric: nullValues, mustBeGreaterThan: 1}
          - {type: text, description: It is what it is.}
          - {type: sql, query: SELECT 1, mustBe: 1}
          - {type: custom, engine: soda, implementation: "x"}
          - {type: custom, engine: spectra, implementation: {valid_json: {column: state}}}
      - name: iban
        logicalType: string
        unique: true
        logicalTypeOptions: {pattern: '^[A-Z]{2}[0-9]+$', minLength: 4, format: password}
        quality:
          - metric: invalidValues
            arguments: {pattern: 'DE|FR'}
            mustBe: 0
            name: German or French
      - name: at
        logicalType: timestamp
        logicalTypeOptions: {minimum: '2024-01-01T00:00:00Z', format: 'yyyy'}
      - name: count
        logicalType: integer
        logicalTypeOptions: {format: i32}
      - name: open_ended
        logicalType: number
      - name: tags
        logicalType: array
        items: {logicalType: string}
        logicalTypeOptions: {minItems: 1}
      - name: address
        logicalType: object
        properties:
          - {name: city, logicalType: string}
          - {name: floors, logicalType: array, physicalType: array<int>}
      - name: customer
        logicalType: integer
        physicalType: bigint
        relationships:
          - {to: crm.customers.id}
          - {to: [crm.a.id, crm.b.id]}
    relationships:
      - {from: [tbl.tenant, tbl.id], to: [crm.tenants.tenant, crm.tenants.id]}
    quality:
      - {metric: rowCount, mustBeBetween: [1, 10]}
      - {metric: rowCount, mustBeGreaterThan: 5}
      - {metric: rowCount, mustNotBe: 5}
      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [tenant, state]}}
  - name: other
    physicalName: Tables/elsewhere/other
slaProperties:
  - {property: freshness, value: 2, unit: d, element: pay.tbl_1.at}
  - {property: retention, value: 3, unit: y, element: pay.tbl_1.at}
"""


def checked(text: str) -> Any:
    """The contract, held to the standard's own schema."""
    contract = yaml.safe_load(text)
    schema = resources.files("open_data_contract_standard") / "schema.json"
    jsonschema.validate(contract, json.loads(schema.read_text()))
    return contract


def test_what_a_contract_says_becomes_checks(tmp_path: Path) -> None:
    """Types, keys, nulls, values, quality, relationships and freshness."""
    checked(CONTRACT)
    contract = load_contract(write(tmp_path, CONTRACT))
    assert contract.suite.name == "payments"
    first, second = contract.suite.tables
    assert (second.table, second.path) == ("other", "Tables/elsewhere/other")
    assert first.table == "pay.tbl_1"
    missing = "\"state\" IS NOT NULL AND \"state\" NOT IN ('', 'N/A')"
    expected: list[Check] = [
        TableExists(),
        TableSchema(
            declared=(
                Column(name="tenant", type="string", nullable=False),
                Column(name="id", type="long", nullable=False),
                Column(name="amount", type="decimal(10,2)"),
                Column(name="state", type="string", nullable=False),
                Column(name="iban", type="string"),
                Column(name="at", type="timestamp"),
                Column(name="count", type="integer"),
                Column(name="open_ended", type="any"),
                Column(name="tags", type="array<string>"),
                Column(name="address", type="struct<city:string,floors:array<integer>>"),
                Column(name="customer", type="long"),
            ),
            more_columns=True,
        ),
        NotNull(column="tenant"),
        NotNull(column="id"),
        Range(column="amount", minimum=0),
        Condition(condition='"amount" < 100'),
        Condition(condition='"amount" % 5 = 0'),
        NotNull(column="state"),
        AllowedValues(column="state", values=["open", "closed"]),
        NotNull(column="state", tolerance=2, severity="warning"),
        Condition(condition=missing),
        NotNull(column="state", tolerance="2.5%"),
        NotNull(column="state"),
        Unique(column="iban"),
        Pattern(column="iban", pattern="[A-Z]{2}[0-9]+"),
        Condition(condition='length("iban") >= 4'),
        Pattern(column="iban", pattern=r"[\s\S]*(?:DE|FR)[\s\S]*", name="German or French"),
        Range(column="at", minimum="2024-01-01T00:00:00Z"),
        ForeignKey(column="customer", table="crm.customers", references="id"),
        Unique(column=("id", "tenant")),
        RowCount(minimum=1, maximum=10),
        RowCount(minimum=6),
        Unique(column=("tenant", "state")),
        ForeignKey(column=("tenant", "id"), table="crm.tenants"),
        Freshness(column="at", maximum_age_hours=48.0),
    ]
    kinds = [check for check in first.checks if check.kind not in {"valid_json", "unchecked"}]
    assert [check for check in expected if check not in kinds] == []
    assert [check for check in kinds if check not in expected] == []
    assert len([check for check in first.checks if check.kind == "valid_json"]) == 1


AT_MOST = "how many at most is what can be said"
NO_BOUND = "a count of rows without a bound"


def test_what_no_check_says_is_told(tmp_path: Path) -> None:
    """With its position, so that nobody believes that it is checked."""
    contract = load_contract(write(tmp_path, CONTRACT))
    told = [note.partition(": ")[2] for note in contract.notes]
    assert told == [
        "the type of open_ended is left open: physicalType tells it",
        "no check says less than 1 percent; at most is what can be said",
        f"no check says a threshold of {{'mustBeGreaterThan': 1}}; {AT_MOST}",
        "no check says a rule of type text is for people or for another engine",
        "no check says a rule of type sql is for people or for another engine",
        "no check says a rule for the engine soda",
        "no check says minItems of tags",
        "no check says a relationship from customer to ['crm.a.id', 'crm.b.id']",
        "no check says a count of rows of {'mustNotBe': 5}",
        "no check says the SLA property retention",
    ]
    assert contract.notes[0].startswith("56:9: ")


def test_what_is_said_of_nested_columns_is_told_too(tmp_path: Path) -> None:
    """No check looks into fields, elements, keys or values, however deep."""
    contract = """
kind: DataContract
apiVersion: v3.2.0
id: nested
version: 1.0.0
status: active
schema:
  - name: t.checked
    properties:
      - name: address
        logicalType: object
        properties:
          - name: city
            logicalType: string
            required: true
            quality: [{metric: nullValues, mustBe: 0}]
          - {name: zip, physicalName: Zip, logicalType: string, logicalTypeOptions: {minLength: 5}}
          - name: floors
            logicalType: array
            items:
              logicalType: object
              properties:
                - {name: n, logicalType: integer, logicalTypeOptions: {format: i32, minimum: 0}}
      - name: tags
        logicalType: array
        items: {logicalType: string, enum: [{value: a}]}
      - name: scores
        logicalType: map
        map: {key: {logicalType: string, unique: true}, value: {logicalType: string}}
"""
    checked(contract)
    notes = load_contract(write(tmp_path, contract)).notes
    assert [note.partition(": ")[2].removeprefix("no check says ") for note in notes] == [
        "required of address.city",
        "quality of address.city",
        "minLength of address.Zip",
        "minimum of address.floors.items.n",
        "enum of tags.items",
        "unique of scores.key",
    ]
    assert notes[0].startswith("13:13: ")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("nullValues, mustBeGreaterThan: 1, mustBeLessOrEqualTo: 5", None),
        ("nullValues, mustBeLessOrEqualTo: 5, mustBeLessThan: 3", None),
        ("nullValues, mustNotBe: 2, mustBeLessThan: 3", None),
        ("rowCount, mustNotBe: 2, mustBeLessThan: 3", None),
        ("rowCount, mustBeGreaterThan: 10.5, mustBeLessThan: 30", None),
        ("rowCount, mustBeLessOrEqualTo: 5, mustBeLessThan: 3", RowCount(maximum=2)),
        (
            "rowCount, mustBeGreaterThan: 1, mustBeGreaterOrEqualTo: 1, mustBeLessThan: 3",
            RowCount(minimum=2, maximum=2),
        ),
        ("rowCount, mustBe: 5", RowCount(exactly=5)),
    ],
)
def test_of_several_thresholds_none_is_passed_over(
    tmp_path: Path, rule: str, expected: Check | None
) -> None:
    """Version 3.0 allows them: the strictest count, or it is told that no check says them."""
    contract = f"{V3}- name: a\n  properties: [{{name: b, quality: [{{metric: {rule}}}]}}]"
    checks = load_suite(write(tmp_path, contract)).tables[0].checks[2:]
    if expected is None:
        assert [check.kind for check in checks] == ["unchecked"]
    else:
        assert list(checks) == [expected]


SAID_BY_NO_CHECK = """
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: t.checked
    properties:
      - name: n
        physicalType: bigint
        quality:
          - {type: sql, name: no gaps, query: SELECT 1, mustBe: 0}
          - {type: text, description: "People say that it is right."}
          - {metric: nullValues, mustBe: 0}
      - name: tags
        physicalType: array<string>
        logicalTypeOptions: {minItems: 1, maxItems: 9, uniqueItems: true}
"""


def test_what_no_check_says_is_skipped_in_the_report(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """Under the name that the contract gives it, so that nobody takes it for kept."""
    make(tmp_path, columns={"n": [1], "tags": [["a"]]})
    report = run(load_suite(write(tmp_path, SAID_BY_NO_CHECK)), lakehouse, root=tmp_path)
    assert [(c.kind, c.name, c.finding) for c in report.checks if c.outcome is Outcome.SKIPPED] == [
        (
            "unchecked",
            "no gaps",
            "no check says a rule of type sql is for people or for another engine",
        ),
        (
            "unchecked",
            "People say that it is right.",
            "no check says a rule of type text is for people or for another engine",
        ),
        ("unchecked", "minItems of tags", "no check says minItems of tags"),
        ("unchecked", "maxItems of tags", "no check says maxItems of tags"),
        ("unchecked", "uniqueItems of tags", "no check says uniqueItems of tags"),
    ]
    assert report.counts == {Outcome.PASSED: 3, Outcome.SKIPPED: 5} | dict.fromkeys(
        (Outcome.WARNING, Outcome.FAILED, Outcome.ERROR), 0
    )
    assert report.outcome is Outcome.PASSED


MISTYPED = """
kind: DataContract
apiVersion: v3.1.0
slaProperty: []
schema:
  - name: t.checked
    qualities: []
    properties:
      - {name: n, physicalType: bigint, requred: true}
      - name: s
        logicalType: object
        properties: [{name: a, logicalType: string, uniqe: true}]
        quality: [{metric: nullValues, mustBe: 0, units: percent}]
"""


def test_a_key_that_the_standard_lacks_is_told(tmp_path: Path) -> None:
    """Most likely it is mistyped, and what it was to promise is not checked."""
    contract = load_contract(write(tmp_path, MISTYPED))
    lacks = ", which is no key of the standard"
    statements = [
        note.partition(": no check says ")[2].removesuffix(lacks) for note in contract.notes
    ]
    assert statements == [
        "'slaProperty' of the contract",
        "'requred' of n",
        "'uniqe' of s.a",
        "'units' of a quality rule",
        "'qualities' of t.checked",
    ]
    assert contract.notes[1].startswith("9:50: ")
    checks = contract.suite.tables[0].checks
    unchecked = [check.statement for check in checks if isinstance(check, Unchecked)]
    assert [statement.removesuffix(lacks) for statement in unchecked] == statements[1:]


def test_every_key_of_the_standard_is_known() -> None:
    """By the standard's own schema, whose newest version has those of the others too."""
    path = resources.files("open_data_contract_standard") / "schema.json"
    schema = json.loads(path.read_text())

    def keys(name: str) -> set[str]:
        return set(schema["$defs"][name]["properties"])

    operators = schema["$defs"]["DataQualityOperators"]["oneOf"]
    assert set(schema["properties"]) <= OF_CONTRACTS
    assert keys("SchemaElement") | keys("SchemaObject") <= OF_OBJECTS
    assert keys("SchemaElement") | keys("SchemaBaseProperty") <= OF_PROPERTIES
    assert keys("DataQuality") | keys("DataQualityLibrary") | keys("DataQualityCustom") <= OF_RULES
    assert {name for operator in operators for name in operator["properties"]} <= OF_RULES


def normal(suite: Suite) -> dict[str, tuple[str | None, list[str]]]:
    """A suite in which the order of checks means nothing."""
    return {table.table: (table.path, sorted(map(repr, table.checks))) for table in suite.tables}


def without_comments(suite: Suite) -> Suite:
    """What a contract keeps: comments are for people, and validity has checks of its own."""

    def plain(check: Check) -> Check:
        if not isinstance(check, TableSchema):
            return check
        columns = tuple(
            Column(name=column.name, type=column.type, nullable=column.nullable)
            for column in check.declared
        )
        return TableSchema(
            declared=columns,
            more_columns=check.more_columns,
            name=check.name,
            severity=check.severity,
        )

    tables = [
        TableSuite(table=t.table, path=t.path, checks=[plain(check) for check in t.checks])
        for t in suite.tables
    ]
    return Suite(name=suite.name, tables=tables)


@pytest.mark.parametrize("name", SUITES)
def test_the_stages_suites_survive_the_round(tmp_path: Path, name: str) -> None:
    """Written as a contract that the standard's schema allows, and read again."""
    suite = SUITES[name]()
    export = export_contract(suite)
    checked(export.text)
    read = load_suite(write(tmp_path, export.text))
    assert normal(read) == normal(without_comments(suite))


def test_a_suite_of_every_check_survives_the_round(tmp_path: Path) -> None:
    """What the standard has no words for is a rule of our own engine, and is told."""
    suite = load_suite(write(tmp_path, EVERYTHING))
    # A contract has one list of properties a table.
    first = suite.tables[0]
    suite = Suite(
        name=suite.name,
        tables=[
            TableSuite(table=first.table, path=first.path, checks=first.checks[:-1]),
            *suite.tables[1:],
        ],
    )
    export = export_contract(suite, identifier="an-id", version="2.0.0")
    contract = checked(export.text)
    assert (contract["id"], contract["version"]) == ("an-id", "2.0.0")
    assert normal(load_suite(write(tmp_path, export.text))) == normal(without_comments(suite))
    assert "sales.orders: ordered <= shipped" in export.notes
    assert not [note for note in export.notes if "never null" in note]


DATES = """
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: t.checked
    properties:
      - name: d
        logicalType: date
        logicalTypeOptions: {exclusiveMinimum: 2024-01-01}
        quality:
          - {metric: missingValues, arguments: {missingValues: [null, 1999-01-01]}, mustBe: 0}
      - name: at
        logicalType: timestamp
        logicalTypeOptions:
          exclusiveMinimum: 2024-01-01
          exclusiveMaximum: 2024-05-01T14:00:00+02:00
        quality:
          - {metric: missingValues, arguments: {missingValues: [2024-05-01 12:00:00]}, mustBe: 0}
"""


def test_dates_in_a_contract_are_dates_in_its_conditions(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """Not differences of their parts, which all dates are greater than and none is equal to."""
    days = [dt.date(1999, 1, 1), dt.date(2024, 5, 1)]
    moments = [dt.datetime(2024, 1, 1, tzinfo=UTC), dt.datetime(2024, 5, 1, 12, tzinfo=UTC)]
    make(tmp_path, columns={"d": days, "at": moments})
    report = run(load_suite(write(tmp_path, DATES)), lakehouse, root=tmp_path)
    found = [made(check) for check in report.checks if check.kind == "condition"]
    assert found == [(Outcome.FAILED, 1)] * 5


def contract_of_missing_values(missing: str, told_by: str, kinds: Mapping[str, str]) -> str:
    """One that allows none of the values in any of the columns, whose types it tells."""
    properties = "".join(
        f"""
      - name: {name}
        {told_by}: {kind}
        quality:
          - {{metric: missingValues, arguments: {{missingValues: {missing}}}, mustBe: 0}}"""
        for name, kind in kinds.items()
    )
    return f"""
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: t.checked
    properties:{properties}
"""


def test_one_list_of_missing_values_serves_columns_of_every_kind(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """What can't be in a column is not missing there; dates and times are texts by the standard."""
    missing = "[null, '', N/A, -1, '-2', '9999-12-31', '9999-12-31T00:00:00Z']"
    kinds = {"n": "bigint", "x": "double", "at": "timestamp", "d": "date", "s": "string"}
    kinds["b"] = "boolean"
    contract = contract_of_missing_values(missing, "physicalType", kinds)
    end = dt.datetime(9999, 12, 31, tzinfo=UTC)
    now = dt.datetime(2024, 1, 1, tzinfo=UTC)
    columns = {
        "n": [1, -1, -2, None],
        "x": [1.5, -1.0, -2.0, None],
        "at": [now, end, end, None],
        "d": [now.date(), end.date(), end.date(), None],
        "s": ["one", "-1", "N/A", None],
        "b": [True, False, True, None],
    }
    make(tmp_path, columns=columns)
    found = load_contract(write(tmp_path, contract))
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    assert [(check.violations, check.finding) for check in result.checks[2:]] == [
        *[(3, "3 of 4 rows break it")] * 5,
        (1, "1 of 4 rows break it"),
    ]


def test_missing_values_are_compared_where_a_type_is_left_open_or_nested(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """An integer of any width, say, as most contracts have them, or a list: it equals no text."""
    missing = "[null, '', N/A, -1]"
    kinds = {"n": "integer", "x": "number", "m": "number", "tags": "array", "part": "object"}
    contract = contract_of_missing_values(missing, "logicalType", kinds)
    columns = {
        "n": [1, -1, None],
        "x": [1.5, -1.0, None],
        "m": [Decimal("1.5"), Decimal(-1), None],
        "tags": [["a"], [], None],
        "part": [{"a": 1}, {"a": -1}, None],
    }
    make(tmp_path, columns=columns)
    found = load_contract(write(tmp_path, contract))
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    assert [(check.violations, check.finding) for check in result.checks[2:]] == [
        *[(2, "2 of 3 rows break it")] * 3,
        *[(1, "1 of 3 rows break it")] * 2,
    ]


def test_minus_zero_is_missing_where_zero_is(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """However many values are, and whether the column's type is told or left open."""
    make(tmp_path, columns={"x": [-0.0, 0.0, 5.0]})
    for option, kind in (("physicalType", "double"), ("logicalType", "number")):
        contract = contract_of_missing_values("[0, -1, -2, -3]", option, {"x": kind})
        found = load_contract(write(tmp_path, contract))
        (result,) = run(found.suite, lakehouse, root=tmp_path).tables
        assert result.checks[-1].violations == 2


OF_3_0 = """
kind: DataContract
apiVersion: v3.0.2
schema:
  - name: t.checked
    properties:
      - name: n
        logicalType: integer
        logicalTypeOptions:
          {minimum: 1, exclusiveMinimum: true, maximum: 3, exclusiveMaximum: false}
        quality:
          - {rule: duplicateCount, mustBeLessThan: 1}
          - {rule: nullCheck}
      - name: d
        logicalType: date
        logicalTypeOptions: {maximum: '2024-01-02', exclusiveMaximum: true, exclusiveMinimum: true}
      - name: at
        logicalType: date
        logicalTypeOptions: {format: "yyyy-MM-dd'T'HH:mm:ssZ", minimum: '2024-01-02T00:00:00Z'}
      - name: currency
        logicalType: string
        quality:
          - {type: library, rule: validValues, validValues: [pounds, euros]}
          - {type: library, rule: sounding}
    quality:
      - {rule: rowCount, mustBeBetween: [1, 2]}
      - {rule: rowCount}
"""


def test_a_contract_of_version_3_0_says_the_same_in_its_own_words(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """Rules are what became metrics, and whether a bound is exclusive is true or false."""
    contract = load_contract(write(tmp_path, OF_3_0))
    assert [note.partition(": ")[2] for note in contract.notes] == [
        "the type of n is left open: physicalType tells it",
        f"no check says a threshold of {{}}; {AT_MOST}",
        f"no check says {NO_BOUND}",
    ]
    columns = {
        "n": [1, 3, 3, None],
        "d": [dt.date(2024, 1, day) for day in (1, 1, 1, 2)],
        "at": [dt.datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)],
        "currency": ["pounds", "euros", "marks", None],
    }
    make(tmp_path, columns=columns)
    report = run(contract.suite, lakehouse, root=tmp_path)
    assert {check.name: made(check) for check in report.checks} == {
        "the table exists": (Outcome.PASSED, None),
        "the columns are as declared": (Outcome.PASSED, None),
        "n is at most 3": (Outcome.PASSED, 0),
        '"n" > 1': (Outcome.FAILED, 1),
        "n is unique": (Outcome.FAILED, 1),
        "n is never null": (Outcome.FAILED, 1),
        "\"d\" < DATE '2024-01-02'": (Outcome.FAILED, 1),
        "at is at least 2024-01-02T00:00:00Z": (Outcome.FAILED, 1),
        "currency is pounds or euros": (Outcome.FAILED, 1),
        "there are at least 1 and at most 2 rows": (Outcome.FAILED, None),
        **dict.fromkeys((f"a threshold of {{}}; {AT_MOST}", NO_BOUND), (Outcome.SKIPPED, None)),
    }


def test_null_may_be_among_valid_values(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """As it is in an example of the standard's own."""
    contract = """
kind: DataContract
apiVersion: v3.2.0
schema:
  - name: t.checked
    properties:
      - name: status
        logicalType: string
        enum: [{value: ''}, {value: null}, {value: x}]
        quality:
          - {metric: invalidValues, arguments: {validValues: ['', null, n/a]}, mustBe: 0}
          - {metric: invalidValues, arguments: {validValues: [null]}, mustBe: 0}
      - name: unused
        logicalType: string
        enum: [{value: null}]
"""
    found = load_contract(write(tmp_path, contract))
    columns = {"status": ["", None, "n/a", "n/a", "x"], "unused": [None] * 5}
    make(tmp_path, columns=columns, unused=pl.String)
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    assert [made(check) for check in result.checks[2:]] == [
        (Outcome.FAILED, 2),
        (Outcome.FAILED, 1),
        (Outcome.SKIPPED, None),
        (Outcome.SKIPPED, None),
    ]
    assert [note.partition(": ")[2] for note in found.notes] == [
        "no check says metric invalidValues with ['validValues']",
        "no check says that unused is always null",
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(?:\+49)?(?:\d+)$",
        r"^(?:a)|(?:b)$",
        r"^a|b$",
        r"^(?:a|b)$",
        r"^(a|b)+$",
        r"^[(|]+$",
        r"^\(|b$",
        r"^a\|b$",
        r"(?i)^A|b$",
        r"(?i)^AB$",
        r"(?i)B",
        r"(?m)^b$",
        "^$",
        r"b\$",
    ],
)
def test_a_pattern_means_what_it_says(lakehouse: Lakehouse, tmp_path: Path, pattern: str) -> None:
    """Brackets that don't close each other, anchors of one alternative, and flags before it all."""
    texts = ["+491", "1", "a", "b", "ab", "ba", "aXb", "|", "(", "(b", "a|b", "A\nb", "b$", ""]
    column = {"name": "text", "logicalType": "string"}
    rule = {"metric": "invalidValues", "arguments": {"pattern": pattern}, "mustBe": 0}
    contract = {
        "kind": "DataContract",
        "apiVersion": "v3.1.0",
        "schema": [
            {
                "name": "t.checked",
                "properties": [
                    {**column, "logicalTypeOptions": {"pattern": pattern}, "quality": [rule]}
                ],
            }
        ],
    }
    found = load_contract(write(tmp_path, json.dumps(contract)))
    assert found.notes == ()
    make(tmp_path, columns={"text": texts})
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    broken = len([text for text in texts if not re.search(pattern, text)])
    assert [check.violations for check in result.checks[2:]] == [broken, broken]


def test_nan_lies_within_no_bounds_of_a_contract(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """Whether they are valid themselves or not."""
    contract = """
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: t.checked
    properties:
      - {name: a, physicalType: double, logicalTypeOptions: {exclusiveMinimum: 0.5}}
      - {name: b, physicalType: float, logicalTypeOptions: {exclusiveMaximum: 9}}
      - {name: c, physicalType: double, logicalTypeOptions: {minimum: 0, maximum: 9}}
      - {name: d, logicalType: number, logicalTypeOptions: {exclusiveMinimum: 0.5}}
"""
    found = load_contract(write(tmp_path, contract))
    values = [1.0, float("nan"), -float("nan"), None]
    make(tmp_path, columns=dict.fromkeys("abcd", values), b=pl.Float32)
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    assert [made(check) for check in result.checks[2:]] == [(Outcome.FAILED, 2)] * 4


def test_exclusive_bounds_of_decimals_are_exact_where_no_type_is_told(
    lakehouse: Lakehouse, tmp_path: Path
) -> None:
    """As floats the two are one, and a number may be either."""
    contract = """
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: t.checked
    properties:
      - name: d
        logicalType: number
        logicalTypeOptions: {exclusiveMinimum: '12345678901234567.1'}
"""
    make(tmp_path, columns={"d": [Decimal("12345678901234567.1"), Decimal("12345678901234567.2")]})
    found = load_contract(write(tmp_path, contract))
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    assert made(result.checks[-1]) == (Outcome.FAILED, 1)


@pytest.mark.parametrize(
    ("options", "violations"),
    [
        ("multipleOf: 0.00001", 1),
        ("multipleOf: '1e-5'", 1),
        ("exclusiveMinimum: 0.00003", 2),
        ("exclusiveMaximum: 1.0e+16", 1),
    ],
)
def test_numbers_with_exponents_are_decimals_beside_decimals(
    lakehouse: Lakehouse, tmp_path: Path, options: str, violations: int
) -> None:
    """Python writes 0.00001 as 1e-05, which SQL has as a float."""
    contract = f"""
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: t.checked
    properties:
      - {{name: d, physicalType: 'decimal(38,6)', logicalTypeOptions: {{{options}}}}}
"""
    told = ["0.00003", "0.000025", "0.0001", "10000000000000000"]
    make(tmp_path, columns={"d": [Decimal(number) for number in told]}, d=pl.Decimal(38, 6))
    found = load_contract(write(tmp_path, contract))
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    check = result.checks[-1]
    assert (check.violations, check.finding) == (violations, check.finding)


def test_a_whole_number_may_be_written_as_a_fraction(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """The column's numbers stay whole: as floats the greater is the even one."""
    contract = """
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: t.checked
    properties:
      - name: n
        physicalType: long
        logicalTypeOptions: {multipleOf: 2.0, exclusiveMinimum: '9007199254740992.0'}
"""
    make(tmp_path, columns={"n": [2**53 + 1, 2**53 + 2]})
    found = load_contract(write(tmp_path, contract))
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    assert [made(check) for check in result.checks[2:]] == [
        (Outcome.PASSED, 0),
        (Outcome.FAILED, 1),
    ]


def test_numbers_are_as_short_as_floats_beside_them(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """As in a range, and among allowed values: 0.1 is what the column holds of it."""
    contract = """
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: t.checked
    properties:
      - name: x
        physicalType: float
        logicalTypeOptions: {minimum: 0.1, exclusiveMinimum: 0.1, exclusiveMaximum: '999.9'}
        quality:
          - {metric: missingValues, mustBe: 0, arguments: {missingValues: [999.9]}}
          - {metric: invalidValues, mustBe: 0, arguments: {validValues: [0.1, 0.5, 999.9]}}
"""
    make(tmp_path, columns={"x": [0.1, 0.5, 999.9, None]}, x=pl.Float32)
    found = load_contract(write(tmp_path, contract))
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    assert [made(check) for check in result.checks[2:]] == [
        (Outcome.PASSED, 0),
        (Outcome.FAILED, 1),
        (Outcome.FAILED, 1),
        (Outcome.FAILED, 1),
        (Outcome.PASSED, 0),
    ]


@pytest.mark.parametrize(
    ("told", "dtype"),
    [
        ("physicalType: double", pl.Float64),
        ("physicalType: float", pl.Float32),
        ("logicalType: number", pl.Float64),
        ("logicalType: number", pl.Decimal(10, 3)),
    ],
)
@pytest.mark.parametrize("step", ["0.01", "'0.05'", "1.0e-2", "0.3"])
def test_a_float_is_a_multiple_of_a_fraction_where_it_is_the_nearest(
    lakehouse: Lakehouse, tmp_path: Path, told: str, dtype: pl.DataType, step: str
) -> None:
    """Neither 0.01 nor 0.07 is a float, and what is held of the two leaves a remainder."""
    contract = f"""
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: t.checked
    properties:
      - {{name: x, {told}, logicalTypeOptions: {{multipleOf: {step}}}}}
"""
    unit = Decimal(step.strip("'"))
    kept = [unit * number for number in range(-500, 500)]
    broken: list[Decimal | float] = [unit + Decimal("0.005"), unit * 7 + Decimal("0.001")]
    values: list[Any] = [*kept, *broken, None]
    if dtype in {pl.Float64, pl.Float32}:
        broken += [math.nan, math.inf]
        values = [None if value is None else float(value) for value in (*kept, *broken, None)]
    make(tmp_path, columns={"x": values}, x=dtype)
    found = load_contract(write(tmp_path, contract))
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    check = result.checks[-1]
    assert (check.violations, check.finding) == (len(broken), check.finding)
    assert check.name == f"x is a multiple of {float(unit)}"


def test_several_checks_of_one_kind_survive_the_round(tmp_path: Path) -> None:
    """A property has room for one pattern and for one of each bound; others become rules."""
    columns = (Column(name="text", type="string"), Column(name="n", type="long"))
    checks: list[Check] = [
        TableExists(),
        TableSchema(declared=columns, more_columns=True),
        Pattern(column="text", pattern="[a-z]+"),
        Pattern(column="text", pattern=".{3}"),
        Range(column="n", minimum=5),
        Range(column="n", minimum=0),
    ]
    suite = Suite(name="several", tables=[TableSuite(table="a.b", checks=checks)])
    export = export_contract(suite)
    checked(export.text)
    assert normal(load_suite(write(tmp_path, export.text))) == normal(suite)
    assert export.notes == ("a.b: n is at least 0",)


@pytest.mark.parametrize("option", [{"severity": "warning"}, {"name": "as in May"}])
def test_a_schema_is_as_severe_when_it_is_read_again(
    lakehouse: Lakehouse, tmp_path: Path, option: dict[str, Any]
) -> None:
    """And has its name: what a contract says of properties is an error without one."""
    declared = [Column(name="n", type="long"), Column(name="m", type="long")]
    checks: list[Check] = [TableSchema(declared=declared, **option), NotNull(column="n")]
    suite = Suite(name="a", tables=[TableSuite(table="t.checked", checks=checks)])
    export = export_contract(suite)
    checked(export.text)
    read = load_suite(write(tmp_path, export.text))
    assert normal(read) == normal(suite)
    make(tmp_path, columns={"n": [1]})
    assert (
        run(read, lakehouse, root=tmp_path).outcome is run(suite, lakehouse, root=tmp_path).outcome
    )


def test_a_small_tolerance_survives_the_round(tmp_path: Path) -> None:
    """Python writes 0.00001 with an exponent, which no percentage has."""
    checks: list[Check] = [
        TableSchema(declared=[Column(name="n", type="long")], more_columns=True),
        NotNull(column="n", tolerance="0.00001%"),
    ]
    suite = Suite(name="a", tables=[TableSuite(table="t.checked", checks=checks)])
    export = export_contract(suite)
    checked(export.text)
    assert normal(load_suite(write(tmp_path, export.text))) == normal(suite)


@pytest.mark.parametrize(
    ("told", "is_open"),
    [
        ("physicalType: 'struct<company:string,any:long>'", False),
        ("logicalType: object, properties: [{name: company, logicalType: string}]", False),
        ("logicalType: object, properties: [{name: n, logicalType: number}]", True),
        ("logicalType: array", True),
        ("logicalType: map, map: {key: {logicalType: string}}", True),
    ],
)
def test_a_type_is_open_where_it_is_not_told(tmp_path: Path, told: str, is_open: bool) -> None:
    """And not where a field's name reads like it."""
    contract = f"{V3}- name: a\n  properties: [{{name: b, {told}}}]"
    notes = load_contract(write(tmp_path, contract)).notes
    assert [note.partition(": ")[2] for note in notes] == (
        ["the type of b is left open: physicalType tells it"] if is_open else []
    )


@pytest.mark.parametrize(
    "told",
    [
        "struct<Id:bigint,tags:array<string>,price:decimal(10,2),at:struct<n:int>>",
        "STRUCT<Id: BIGINT, tags: ARRAY<STRING>, price: DECIMAL(10, 2), at: STRUCT<n: INT>>",
        "struct<Id:long,tags:array<string>,price:decimal(10,2),at:struct<n:integer>>",
    ],
)
def test_types_are_read_however_deep_they_are_nested(
    lakehouse: Lakehouse, tmp_path: Path, told: str
) -> None:
    """As a catalog shows them, as SQL has them, and as Delta's log does."""
    nested = pl.Struct(
        {
            "Id": pl.Int64,
            "tags": pl.List(pl.String),
            "price": pl.Decimal(10, 2),
            "at": pl.Struct({"n": pl.Int32}),
        }
    )
    row = {"Id": 1, "tags": ["a"], "price": Decimal("1.50"), "at": {"n": 1}}
    make(tmp_path, columns={"nested": [row], "list": [[1]]}, nested=nested)
    contract = f"""
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: t.checked
    properties:
      - {{name: nested, physicalType: '{told}'}}
      - {{name: list, physicalType: 'ARRAY<BIGINT>'}}
"""
    found = load_contract(write(tmp_path, contract))
    (result,) = run(found.suite, lakehouse, root=tmp_path).tables
    assert result.checks[1].finding == "all 2 are"


def test_allowed_decimals_survive_the_round(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """As texts, which hold all their digits."""
    price = Decimal("12345678901234567890.01")
    column = Column(name="price", type="decimal(38,2)")
    checks = [TableSchema(declared=[column]), AllowedValues(column="price", values=[price])]
    suite = Suite(name="prices", tables=[TableSuite(table="t.checked", checks=checks)])
    make(tmp_path, columns={"price": [price, price + 1]}, price=pl.Decimal(38, 2))
    read = load_suite(write(tmp_path, export_contract(suite).text))
    report = run(read, lakehouse, root=tmp_path)
    assert [made(check) for check in report.checks if check.kind == "allowed_values"] == [
        (Outcome.FAILED, 1)
    ]


NAMED = """
kind: DataContract
apiVersion: v3.1.0
schema:
  - name: orders
    physicalName: sales.orders_v1
    properties:
      - {name: id, physicalName: order_id, logicalType: string}
      - {name: line, logicalType: string}
      - {name: changed, physicalName: changed_at, logicalType: timestamp}
      # Its name is another's behind the scenes.
      - {name: order_id, physicalName: legacy_id, logicalType: string, quality: [{REPEATED}]}
      - name: customer
        physicalName: customer_id
        logicalType: string
        relationships: [{to: customers.id}]
    relationships:
      - {from: [orders.id, line], to: [stock.items.order_id, stock.items.line]}
    quality:
      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [id, line]}}
      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [changed]}}
      - {metric: duplicateValues, mustBe: 0}
  - name: customers
    physicalName: crm.customers_v1
    properties: [{name: id, physicalName: customer_no, logicalType: string}]
slaProperties:
  - {property: freshness, value: 1, unit: d, element: orders.changed}
""".replace("{REPEATED}", "{metric: duplicateValues, mustBe: 0}")


def test_a_reference_by_the_contracts_names_leads_to_the_physical_ones(tmp_path: Path) -> None:
    """Of tables and of columns; what the contract does not declare is called as it says."""
    contract = load_contract(write(tmp_path, NAMED))
    orders, customers = contract.suite.tables
    assert (orders.table, customers.table) == ("sales.orders_v1", "crm.customers_v1")
    assert list(orders.checks[2:]) == [
        Unique(column="legacy_id"),
        ForeignKey(column="customer_id", table="crm.customers_v1", references="customer_no"),
        Unique(column=("order_id", "line")),
        Unique(column="changed_at"),
        Unchecked(statement="metric duplicateValues of a whole object"),
        ForeignKey(column=("order_id", "line"), table="stock.items"),
        Freshness(column="changed_at", maximum_age_hours=24),
    ]
    assert contract.notes == ("22:9: no check says metric duplicateValues of a whole object",)


@pytest.mark.parametrize(
    ("value", "unit", "hours"),
    [("1", "week", 168), ("2", "Days", 48), ("1.5", "h", 1.5), ("90", "minutes", 1.5)],
)
def test_a_unit_of_freshness_is_read_whole(
    tmp_path: Path, value: str, unit: str, hours: float
) -> None:
    """In its long and in its short form."""
    (table,) = load_suite(write(tmp_path, level(f"value: {value}, unit: {unit}"))).tables
    assert table.checks[1] == Freshness(column="b", maximum_age_hours=hours)


@pytest.mark.parametrize(
    ("told", "statement"),
    [
        ("value: 1, unit: month", "a freshness of 1 month for a.b"),
        ("value: 1, unit: ms", "a freshness of 1 ms for a.b"),
        ("value: '24', unit: h", "a freshness of '24' h for a.b"),
        ("value: true, unit: h", "a freshness of True h for a.b"),
        ("value: 1", "a freshness of 1 None for a.b"),
        ("value: 1, unit: h, element: b", "a freshness of 1 h for b"),
        ("value: 1, unit: h, element: c.b", "a freshness of c, which has no object"),
        ("value: 1, unit: month, element: c.b", "a freshness of 1 month for c.b"),
    ],
)
def test_a_freshness_that_is_not_checked_is_told(tmp_path: Path, told: str, statement: str) -> None:
    """Whatever it is that keeps it from being one; among its table's checks, if it has any."""
    contract = load_contract(write(tmp_path, level(told)))
    assert contract.notes == (f"6:3: no check says {statement}",)
    expected = [Unchecked(statement=statement)] if statement.endswith("a.b") else []
    assert list(contract.suite.tables[0].checks) == [TableExists(), *expected]


def level(told: str) -> str:
    """A contract that promises the freshness of ``a.b``, unless it is told of another column."""
    element = "" if "element" in told else ", element: a.b"
    return f"{V3}- name: a\nslaProperties:\n- {{property: freshness, {told}{element}}}"


V3 = "kind: DataContract\napiVersion: v3.1.0\nschema:\n"
CUSTOM = "{type: custom, engine: spectra, implementation: {range: {column: b}}}"

OF_A = V3 + "- name: a\n  properties: [{name: b, "
RULE = "{metric: missingValues, mustBe: 0"
MALFORMED = "is not as the standard has it:"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: DataContract", "1:1: apiVersion is missing; it may be v3.0.0 or later"),
        ("kind: DataContract\napiVersion: v2.2.2", "2:13: apiVersion is 'v2.2.2'"),
        ("kind: DataContract\napiVersion: v3.1.0\nschema: {}", "3:9: schema is a mapping"),
        ("kind: DataContract\napiVersion: v3.1.0", "1:1: schema has no objects"),
        ("kind: DataContract\napiVersion: v3.1.0\nschema: []", "3:9: schema has no objects"),
        (
            V3 + "- properties: [{name: a}]",
            "4:3: name of a schema object is '', not a text",
        ),
        (
            V3 + "- name: a\n  properties: [{nam: a}]",
            "5:16: a property lacks name",
        ),
        (
            V3 + "- name: a\n  properties: [{name: no}]",
            "5:23: name of a property is False, not a text; in quotes it is one",
        ),
        (
            V3 + "- name: a\n  properties: [{name: a, physicalName: 010}]",
            "5:40: name of a property is 8, not a text; in quotes it is one",
        ),
        (
            f"{V3}- name: a\n  quality: [{CUSTOM}]",
            "range: minimum=None may be a value",
        ),
        (OF_A + "enum: 5}]", "5:32: enum is 5, not a list"),
        (OF_A + "enum: new}]", "5:32: enum is 'new', not a list"),
        (OF_A + "required: 'false'}]", "5:36: required is 'false', not true or false"),
        (OF_A + "primaryKey: 1}]", "5:38: primaryKey is 1, not true or false"),
        (OF_A + "unique: 'no'}]", "5:34: unique is 'no', not true or false"),
        (OF_A + "enum: [{description: x}]}]", f"5:16: a property {MALFORMED} KeyError('value')"),
        (
            OF_A + "logicalTypeOptions: {exclusiveMaximum: .inf}}]",
            "5:16: exclusiveMaximum is inf; it may be a finite value",
        ),
        (
            OF_A + "logicalTypeOptions: {minimum: .nan}}]",
            "5:16: range: minimum=nan may be a finite",
        ),
        (OF_A + "logicalTypeOptions: [1]}]", f"5:16: a property {MALFORMED}"),
        (OF_A + "logicalTypeOptions: {pattern: 5}}]", f"5:16: a property {MALFORMED}"),
        (OF_A + "logicalType: integer, logicalTypeOptions: [1]}]", f"5:16: a property {MALFORMED}"),
        (OF_A + "logicalType: object, properties: {a: b}}]", f"5:16: a property {MALFORMED}"),
        (OF_A + "relationships: [x]}]", f"5:42: a relationship {MALFORMED}"),
        (OF_A + f"quality: [{RULE}, arguments: [a]}}]}}]", f"5:36: a quality rule {MALFORMED}"),
        (
            OF_A + "quality: [{metric: nullValues, mustBeBetween: [0]}]}]",
            "5:36: mustBeBetween is [0]; it may be a list of two numbers",
        ),
        (
            OF_A + "quality: [{metric: nullValues, mustBeBetween: [0, 1, 2]}]}]",
            "5:36: mustBeBetween is [0, 1, 2]; it may be a list of two numbers",
        ),
        (
            V3 + "- name: a\n  quality: [{metric: rowCount, mustBeBetween: 5}]",
            "5:13: mustBeBetween is 5; it may be a list of two numbers",
        ),
        (
            OF_A + "quality: [{metric: nullValues, mustBeLessThan: .inf}]}]",
            f"5:36: a quality rule {MALFORMED}",
        ),
        (
            OF_A + "physicalType: timestamp, "
            "logicalTypeOptions: {exclusiveMinimum: '0001-01-01T00:00:00+05:00'}}]",
            f"5:16: a property {MALFORMED}",
        ),
        (
            V3 + "- name: a\n  quality: [{metric: rowCount, mustBeBetween: [1]}]",
            "5:13: mustBeBetween is [1]; it may be a list of two numbers",
        ),
        (
            V3 + "- name: a\n  quality: [{type: custom, engine: spectra, implementation: {}}]",
            "5:61: implementation may hold one check",
        ),
        (V3 + "- name: a\n  relationships: [x]", f"5:19: a relationship {MALFORMED}"),
        (V3 + "- name: a\n  properties: {a: b}", "5:15: properties is a mapping, not a list"),
        (
            V3 + "- name: a\n  customProperties: 5\n  properties: [{name: b}]",
            "5:21: customProperties is 5, not a list",
        ),
        (
            V3 + "- name: a\n  customProperties: [{property: spectraMoreColumns, value: 'false'}]"
            "\n  properties: [{name: b}]",
            "5:60: value is 'false', not true or false",
        ),
        (
            V3 + "- name: a\n  properties:\n  - {name: b, primaryKey: true, primaryKeyPosition: c}"
            "\n  - {name: d, primaryKey: true}",
            f"4:3: a schema object {MALFORMED}",
        ),
        (
            V3 + "- name: a\n- {name: b, physicalName: a, properties: [{name: c}]}",
            "5:3: table a is there twice",
        ),
        (V3 + "- name: a\nslaProperties: [x]", f"5:17: an SLA property {MALFORMED}"),
        (
            V3
            + "- name: a\nslaProperties:\n- {property: freshness, value: 0, unit: d, element: a.b}",
            "6:3: freshness: maximum_age_hours=0 may be a number of hours above 0",
        ),
    ],
)
def test_a_wrong_contract_is_told_what_and_where(tmp_path: Path, text: str, problem: str) -> None:
    """As a suite's own file is."""
    with pytest.raises(SuiteError) as caught:
        load_suite(write(tmp_path, text))
    assert problem in str(caught.value)
