"""Reports made by hand, for the tests of what becomes of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from hypothesis import strategies as st

from spectra_stage.validation.results import CheckResult, Outcome, Report, TableResult

__all__ = ["EVERY_OUTCOME", "PASSED", "check", "report", "reports", "table"]


def check(name: str = "a holds", outcome: Outcome = Outcome.PASSED, **facts: Any) -> CheckResult:
    """A check of ``source.endpoints``."""
    given: dict[str, Any] = {
        "kind": "not_null",
        "table": "source.endpoints",
        "finding": "0 of 1,204 rows break it",
        **facts,
    }
    return CheckResult(name=name, outcome=outcome, **given)


def table(*checks: CheckResult, **facts: Any) -> TableResult:
    """A table with these checks."""
    given: dict[str, Any] = {
        "table": "source.endpoints",
        "place": "/lakehouse/Tables/source/endpoints",
        "version": 3,
        "rows": 1204,
        "statements": 2,
        "duration_seconds": 0.0091,
        **facts,
    }
    own = tuple(dataclasses.replace(check, table=given["table"]) for check in checks)
    return TableResult(checks=own, **given)


def report(*tables: TableResult, **facts: Any) -> Report:
    """A report on these tables."""
    given: dict[str, Any] = {
        "suite": "source",
        "engine": "deltalake",
        "started_at": dt.datetime(2024, 5, 17, 9, 30, 1, 250_000, tzinfo=dt.timezone.utc),
        "duration_seconds": 0.0274,
        **facts,
    }
    return Report(tables=tables, **given)


_REPEATED = check(
    "full_path, http_method are unique",
    Outcome.FAILED,
    kind="unique",
    columns=("full_path", "http_method"),
    finding="2 rows repeat another's full_path and http_method",
    rows=1204,
    violations=2,
    figures={"distinct": 1202},
    samples=("/project/details, GET", "/release/{releaseId}, GET"),
)
_UNANSWERED = check(
    "category satisfies lower(category) = category",
    Outcome.ERROR,
    kind="predicate",
    columns=("category",),
    finding="the engine could not evaluate it:\nError during planning: no function 'lowr'",
)
_LONG = check(
    "description is at most 200 characters long",
    Outcome.WARNING,
    kind="length",
    columns=("description",),
    severity="warning",
    finding="1 of 1,204 rows is longer",
    rows=1204,
    violations=1,
    figures={"longest": 412},
)
EVERY_OUTCOME = report(
    table(
        check("the table exists", kind="exists", finding="version 7"),
        check("config_key is unique", finding="6 of 6 rows differ"),
        table="source.config",
        version=7,
        rows=6,
        place="/lakehouse/Tables/source/config",
    ),
    table(check("the table exists", kind="exists"), _LONG, _UNANSWERED, check(), _REPEATED),
    table(
        check("the table exists", Outcome.FAILED, kind="exists", finding="there is no Delta table"),
        check("status is one of active", Outcome.SKIPPED, finding="the table could not be opened"),
        table="source.portfolio",
        version=None,
        rows=None,
        statements=0,
        place="/lakehouse/Tables/source/portfolio",
    ),
)
"""A report in which every outcome occurs."""

PASSED = report(table(check("the table exists", kind="exists"), check("config_key is unique")))
"""A report without any trouble."""


_ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
_TROUBLESOME = st.sampled_from(
    [
        "\x00",
        "\x1b[31m",
        "\ud800",
        "\ufffe",
        "]]>",
        "<script>",
        "&amp;",
        "' onload='",
        "\u202e",
        "\r",
    ]
)
_TEXT = _ANY_TEXT | st.lists(_TROUBLESOME | _ANY_TEXT, max_size=4).map("".join)
_COUNT = st.none() | st.integers(0, 10**12)
_FIGURE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.datetimes(timezones=st.just(dt.timezone.utc))
    | st.binary(max_size=9)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_CHECKS = st.builds(
    CheckResult,
    kind=_TEXT,
    name=_TEXT,
    table=_TEXT,
    columns=st.lists(_TEXT, max_size=2).map(tuple),
    outcome=st.sampled_from(Outcome),
    finding=_TEXT,
    rows=_COUNT,
    violations=_COUNT,
    figures=st.dictionaries(_TEXT, _FIGURE, max_size=2),
    samples=st.lists(_TEXT, max_size=2).map(tuple),
)
_SECONDS = st.floats(0, 1e6)
_TABLES = st.builds(
    TableResult,
    table=_TEXT,
    place=_TEXT,
    version=_COUNT,
    rows=_COUNT,
    statements=st.integers(0, 99),
    duration_seconds=_SECONDS,
    checks=st.lists(_CHECKS, max_size=4).map(tuple),
)


def reports() -> st.SearchStrategy[Report]:
    """Reports that hold whatever text a table, an engine or a person may put there."""
    return st.builds(
        Report,
        suite=_TEXT,
        engine=_TEXT,
        started_at=st.datetimes(timezones=st.just(dt.timezone.utc)),
        duration_seconds=_SECONDS,
        tables=st.lists(_TABLES, max_size=3).map(tuple),
    )
