"""A report as JUnit XML, for what shows test results.

The file satisfies both schemas that readers go by: the Ant task's, which is the stricter one about
what must be there and in which order, and Jenkins's. A table is a test suite, a check is a test
case. JUnit knows no warning: a check that warns is a test that passed, and is told in the suite's
``system-out``, as is everything else about the table.
"""

from __future__ import annotations

import platform
from xml.etree import ElementTree as ET

from spectra_stage.validation.report.cleaned import cleaned
from spectra_stage.validation.report.lines import check_lines, table_text
from spectra_stage.validation.results import CheckResult, Outcome, Report, TableResult

__all__ = ["report_junit"]

ELEMENTS = {
    Outcome.FAILED: "failure",
    Outcome.ERROR: "error",
    Outcome.SKIPPED: "skipped",
}


def report_junit(report: Report) -> str:
    """The report as a JUnit XML document."""
    report = cleaned(report)
    root = ET.Element("testsuites")
    for position, table in enumerate(report.tables):
        _add_suite(root, report, table, position)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_suite(root: ET.Element, report: Report, table: TableResult, position: int) -> None:
    counts = table.counts
    suite = ET.SubElement(
        root,
        "testsuite",
        name=_name(table.table),
        package=_name(report.suite),
        id=str(position),
        timestamp=report.started_at.replace(tzinfo=None).isoformat(timespec="seconds"),
        hostname=_name(platform.node() or "localhost"),
        tests=str(len(table.checks)),
        failures=str(counts[Outcome.FAILED]),
        errors=str(counts[Outcome.ERROR]),
        skipped=str(counts[Outcome.SKIPPED]),
        time=f"{max(table.duration_seconds, 0):.3f}",
    )
    facts = {
        "place": table.place,
        "version": table.version,
        "rows": table.rows,
        "statements": table.statements,
        "engine": report.engine,
    }
    properties = ET.SubElement(suite, "properties")
    for name, value in facts.items():
        if value is not None:
            ET.SubElement(properties, "property", name=name, value=str(value))
    for check in table.checks:
        _add_case(suite, table, check)
    ET.SubElement(suite, "system-out").text = table_text(table)
    ET.SubElement(suite, "system-err")


def _add_case(suite: ET.Element, table: TableResult, check: CheckResult) -> None:
    # The checks of a table share its statements, so no check has a time of its own.
    case = ET.SubElement(
        suite, "testcase", name=_name(check.name), classname=_name(table.table), time="0"
    )
    element = ELEMENTS.get(check.outcome)
    if element is None:
        return
    told = ET.SubElement(case, element, message=check.finding.partition("\n")[0])
    if element != "skipped":
        told.set("type", _name(check.kind))
        told.text = "\n".join(str(line) for line in check_lines(check))


def _name(text: str) -> str:
    return text.strip() or "unnamed"
