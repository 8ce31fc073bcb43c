"""A validation's report as data, JSON, JUnit XML and text: what it says, and that it is valid."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from hypothesis import given, settings
from rich.console import Console

from spectra_logging.redaction import register_secret
from spectra_stage.validation.results import Outcome, Report
from tests.reports import EVERY_OUTCOME, PASSED, check, report, reports, table

SCHEMA = xmlschema.XMLSchema(str(Path(__file__).parent / "junit.xsd"))
SECRET = "correct-horse-battery"


def in_terminal(shown: Report, width: int = 100) -> str:
    """What rich prints of the report, without colours."""
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def cases(document: str) -> dict[str, ET.Element]:
    """The test cases of a JUnit document by their names."""
    return {case.attrib["name"]: case for case in ET.fromstring(document).iter("testcase")}


def test_the_dictionary_has_all_that_was_found() -> None:
    """Verdict, counts, and for each table and check what there is to know, as plain data."""
    found = EVERY_OUTCOME.to_dict()
    assert json.loads(json.dumps(found)) == found
    assert (found["suite"], found["outcome"], found["valid"]) == ("source", "error", False)
    assert found["started_at"] == "2024-05-17T09:30:01.250000+00:00"
    assert found["counts"] == {"passed": 4, "warning": 1, "failed": 2, "error": 1, "skipped": 1}
    config, endpoints, portfolio = found["tables"]
    assert [config["outcome"], endpoints["outcome"], portfolio["outcome"]] == [
        *("passed", "error", "failed")
    ]
    assert (portfolio["version"], portfolio["rows"]) == (None, None)
    (failed,) = [check for check in endpoints["checks"] if check["outcome"] == "failed"]
    assert failed == {
        "kind": "unique",
        "name": "full_path, http_method are unique",
        "columns": ["full_path", "http_method"],
        "severity": "error",
        "outcome": "failed",
        "finding": "2 rows repeat another's full_path and http_method",
        "rows": 1204,
        "violations": 2,
        "figures": {"distinct": 1202},
        "samples": ["/project/details, GET", "/release/{releaseId}, GET"],
    }


def test_figures_become_what_json_has() -> None:
    """Times, decimals, NaN and whatever else is measured: text where JSON has no word for it."""
    figures = {
        "newest": dt.datetime(2024, 5, 17, tzinfo=dt.timezone.utc),
        "sum": Decimal("10.10"),
        "mean": float("nan"),
        "worst": Outcome.FAILED,
        "values": ("a", {"b": {1}}),
    }
    (found,) = report(table(check(figures=figures))).to_dict()["tables"][0]["checks"]
    assert found["figures"] == {
        "newest": "2024-05-17T00:00:00+00:00",
        "sum": "10.10",
        "mean": "nan",
        "worst": "failed",
        "values": ["a", {"b": [1]}],
    }


def test_junit_tells_each_outcome_apart() -> None:
    """A failure, an error and a skip are elements of their own; a warning is a test that passed."""
    found = cases(EVERY_OUTCOME.to_junit())
    assert {name: [child.tag for child in case] for name, case in found.items()} == {
        "the table exists": ["failure"],  # of the last table with a check of that name
        "config_key is unique": [],
        "description is at most 200 characters long": [],
        "category satisfies lower(category) = category": ["error"],
        "a holds": [],
        "full_path, http_method are unique": ["failure"],
        "status is one of active": ["skipped"],
    }
    (failure,) = found["full_path, http_method are unique"]
    assert failure.attrib == {
        "message": "2 rows repeat another's full_path and http_method",
        "type": "unique",
    }
    assert failure.text is not None
    assert failure.text.endswith("\ne.g. /release/{releaseId}, GET")
    (error,) = found["category satisfies lower(category) = category"]
    assert error.attrib["message"] == "the engine could not evaluate it:"
    assert "no function 'lowr'" in (error.text or "")


def test_junit_counts_and_describes_each_table() -> None:
    """A table is a suite: its counts, version, place and rows, and its warnings in the output."""
    suites = ET.fromstring(EVERY_OUTCOME.to_junit()).findall("testsuite")
    counted = ("name", "tests", "failures", "errors", "skipped", "timestamp", "time")
    assert [[suite.attrib[name] for name in counted] for suite in suites] == [
        ["source.config", "2", "0", "0", "0", "2024-05-17T09:30:01", "0.009"],
        ["source.endpoints", "5", "1", "1", "0", "2024-05-17T09:30:01", "0.009"],
        ["source.portfolio", "2", "1", "0", "1", "2024-05-17T09:30:01", "0.009"],
    ]
    properties = {item.attrib["name"]: item.attrib["value"] for item in suites[1].iter("property")}
    assert properties == {
        "place": "/lakehouse/Tables/source/endpoints",
        "version": "3",
        "rows": "1204",
        "statements": "2",
        "engine": "deltalake",
    }
    assert "warning  description is at most 200 characters" in (
        suites[1].findtext("system-out") or ""
    )


@given(reports())
@settings(max_examples=200, deadline=None)
def test_junit_is_valid_whatever_was_found(found: Report) -> None:
    """Any text at all gives XML that the schema of both readers accepts, with every check in it."""
    document = found.to_junit()
    SCHEMA.validate(ET.fromstring(document.encode()))
    assert document.count("<testcase ") == len(list(found.checks))


@given(reports())
@settings(max_examples=200, deadline=None)
def test_json_is_valid_whatever_was_found(found: Report) -> None:
    """Any text at all gives strict JSON in UTF-8, which reads back as the dictionary."""

    def refuse(constant: str) -> Any:
        pytest.fail(f"{constant} is no JSON")

    text = found.to_json().encode("utf-8")
    assert json.loads(text, parse_constant=refuse) == found.to_dict()


@given(reports())
@settings(max_examples=100, deadline=None)
def test_a_terminal_is_told_and_never_commanded(found: Report) -> None:
    """No text that was found brings a control character along; only a finding breaks its lines."""
    for text in (found.to_text(all_checks=True), in_terminal(found)):
        text.encode("utf-8")
        assert not {character for character in text if character < " "} - {"\n"}
        assert "\u202e" not in text


def test_text_has_the_verdict_first_and_the_worst_first() -> None:
    """The first line is the verdict; in a table failures stand before warnings and passes."""
    lines = EVERY_OUTCOME.to_text().splitlines()
    assert lines[:2] == [
        "source error: 2 of 9 checks failed, 1 could not be made, 1 warning, 1 skipped",
        "3 tables, 27 ms, deltalake, 2024-05-17 09:30:01 UTC",
    ]
    start = lines.index("source.endpoints  version 3, 1,204 rows, 2 statements, 9.1 ms")
    assert [line.split()[0] for line in lines[start:] if line.startswith("  ") and line[2] != " "][
        :4
    ] == ["failed", "error", "warning", "passed"]
    assert "           violations 2 of 1,204 rows (0.17 %), distinct 1,202" in lines


def test_text_counts_what_passed_unless_asked_for_all() -> None:
    """Passed checks are one line a table; with all_checks they are one line each."""
    assert PASSED.to_text().splitlines()[-1] == "  passed   2 checks"
    assert PASSED.to_text(all_checks=True).splitlines()[-2:] == [
        "  passed   the table exists",
        "  passed   config_key is unique",
    ]


def test_a_terminal_shows_what_the_text_says() -> None:
    """Rich prints the same words, and no bracket in them is taken for its markup."""
    found = report(table(check("a[0] is [bold]", Outcome.FAILED, finding="[/red] not closed")))
    for shown in (EVERY_OUTCOME, PASSED, found):
        assert [line.rstrip() for line in in_terminal(shown).splitlines()] == (
            shown.to_text().splitlines()
        )


def test_a_terminal_keeps_the_indent_of_what_it_wraps() -> None:
    """In a narrow window the end of a long finding stands below its beginning."""
    found = report(table(check("long", Outcome.FAILED, finding="word " * 30)))
    wrapped = [line for line in in_terminal(found, width=50).splitlines() if "word" in line]
    assert len(wrapped) > 3
    assert {len(line) - len(line.lstrip()) for line in wrapped} == {11}


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], "no check was made"),
        (["passed"], "1 check passed"),
        (["passed", "passed"], "all 2 checks passed"),
        (["passed", "skipped"], "1 of 2 checks passed, 1 skipped"),
        (["warning", "passed"], "1 of 2 checks passed, 1 warning"),
        (["error"], "1 of 1 check could not be made"),
        (["failed", "warning", "warning"], "1 of 3 checks failed, 2 warnings"),
    ],
)
def test_the_verdict_reads_as_a_sentence(outcomes: list[str], expected: str) -> None:
    """What failed comes first; what passed is told when nothing failed."""
    found = report(table(*(check(str(n), Outcome(o)) for n, o in enumerate(outcomes))))
    assert f": {expected}\n" in found.to_text()


@pytest.fixture
def leaky() -> Report:
    """A report that holds a registered secret, and one behind a telling key, wherever text goes."""
    register_secret(SECRET)
    held = f"{SECRET} password=hunter2-and-more"
    return report(
        table(
            check(
                held,
                Outcome.FAILED,
                kind=held,
                columns=(held,),
                finding=f"one\n{held}",
                figures={held: held, "api_token": "hunter2-and-more", "list": [held]},
                samples=(held,),
                table=held,
            ),
            table=held,
            place=f"abfss://lake/Tables/a?sv=1&sig=hunter2-and-more&{SECRET}",
        ),
        suite=held,
        engine=held,
    )


@pytest.mark.parametrize("form", ["json", "junit", "text", "html", "notebook", "terminal", "dict"])
def test_no_form_shows_a_secret(leaky: Report, form: str) -> None:
    """Registered secrets, and values behind secret keys, are nowhere in any form of the report."""
    forms: dict[str, Callable[[], str]] = {
        "json": leaky.to_json,
        "junit": leaky.to_junit,
        "text": leaky.to_text,
        "html": leaky.to_html,
        "notebook": leaky._repr_html_,
        "terminal": lambda: in_terminal(leaky),
        "dict": lambda: repr(leaky.to_dict()),
    }
    shown = forms[form]()
    assert "***" in shown
    assert SECRET not in shown
    assert "hunter2" not in shown


def test_what_is_endless_is_cut() -> None:
    """A finding and a sample of a megabyte are shown by their beginnings, with their lengths."""
    found = report(table(check("a", Outcome.FAILED, finding="x" * 10**6, samples=("y" * 10**6,))))
    (shown,) = found.to_dict()["tables"][0]["checks"]
    assert len(shown["finding"]) == 2_000
    assert shown["finding"].endswith("… (1,000,000 characters)")
    assert len(shown["samples"][0]) == 500
