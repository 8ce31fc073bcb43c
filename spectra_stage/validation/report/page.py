"""A report as HTML: a page that needs nothing beside itself, and what a notebook shows.

The markup is well-formed XML as well as HTML, it has no script, and the page's policy forbids it to
load anything, so a report can be opened from a mail or a build's artefacts without a thought.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from importlib import resources

from spectra_stage.validation.report.cleaned import cleaned
from spectra_stage.validation.report.words import (
    WORST_FIRST,
    counted,
    duration,
    figures_of,
    number,
    table_facts,
    verdict,
)
from spectra_stage.validation.results import CheckResult, Outcome, Report, TableResult

__all__ = ["report_fragment", "report_page"]

NOTHING = "\N{EN DASH}"
MARKS = {
    Outcome.PASSED: "✓",
    Outcome.WARNING: "!",
    Outcome.FAILED: "✕",
    Outcome.ERROR: "?",
    Outcome.SKIPPED: NOTHING,
}
QUIET = frozenset((Outcome.PASSED, Outcome.SKIPPED))
"""Outcomes that are folded away."""

TROUBLE = {Outcome.FAILED: 0, Outcome.ERROR: 0, Outcome.WARNING: 1}

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def report_page(report: Report) -> str:
    """The report as an HTML page."""
    report = cleaned(report)
    title = escape(f"{report.suite} {report.outcome.value}: {verdict(report.counts)}")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="color-scheme" content="light dark" />
<meta http-equiv="Content-Security-Policy" content="{POLICY}" />
<title>{title}</title>
<style>
{_style()}
html {{ background: #f4f5f8; }}
body {{ margin: 0; }}
@media (prefers-color-scheme: dark) {{ html {{ background: #12161d; }} }}
@media print {{ html {{ background: #fff; }} }}
</style>
</head>
<body>
<main class="spectra-report">
{_body(report)}
</main>
</body>
</html>
"""


def report_fragment(report: Report) -> str:
    """The report as an element with its own style, to stand among others."""
    body = _body(cleaned(report))
    return f'<div class="spectra-report">\n<style>\n{_style()}</style>\n{body}\n</div>'


@cache
def _style() -> str:
    return (resources.files(__package__) / "page.css").read_text(encoding="utf-8")


def _body(report: Report) -> str:
    # Those with trouble come first, in the suite's order.
    numbered = sorted(enumerate(report.tables), key=lambda item: TROUBLE.get(item[1].outcome, 2))
    open_lists = report.outcome is Outcome.PASSED
    # A notebook may show several reports in one page.
    anchors = [
        (f"at-{report.started_at:%Y%m%d%H%M%S%f}-{position}", table) for position, table in numbered
    ]
    parts = [_verdict(report)]
    if len(anchors) > 1:
        parts.append(_overview(report, anchors))
    parts += [_table(table, anchor, open_lists) for anchor, table in anchors]
    return "\n".join(parts)


def _verdict(report: Report) -> str:
    tone = Outcome.FAILED if report.counts[Outcome.FAILED] else report.outcome
    statements = sum(table.statements for table in report.tables)
    facts = {
        "Started": f"{report.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "Took": duration(report.duration_seconds),
        "Tables": number(len(report.tables)),
        "Rows": number(sum(table.rows or 0 for table in report.tables)),
        "Statements": number(statements),
        "Engine": report.engine,
    }
    return f"""<header class="verdict {tone.value}">
<p class="suite">Validation of <strong>{escape(report.suite)}</strong></p>
<h1>{_title(report.counts)}</h1>
<p class="sentence">{escape(verdict(report.counts))}.</p>
{_bar(report)}
<dl class="facts">{_definitions(facts.items())}</dl>
</header>"""


def _title(counts: Mapping[Outcome, int]) -> str:
    if counts[Outcome.ERROR]:
        return f"{'Failed, and not' if counts[Outcome.FAILED] else 'Not'} fully checked"
    if counts[Outcome.FAILED]:
        return "Failed"
    return "Passed, with warnings" if counts[Outcome.WARNING] else "Passed"


def _bar(report: Report) -> str:
    counts = [(outcome, report.counts[outcome]) for outcome in WORST_FIRST]
    counts = [(outcome, count) for outcome, count in counts if count]
    if not counts:
        return ""
    parts = "".join(
        f'<span class="{outcome.value}" style="flex-grow: {count}"></span>'
        for outcome, count in counts
    )
    legend = "".join(
        f'<li class="{outcome.value}">{number(count)} {outcome.value}</li>'
        for outcome, count in counts
    )
    return f'<div class="bar" aria-hidden="true">{parts}</div>\n<ul class="legend">{legend}</ul>'


def _overview(report: Report, anchors: list[tuple[str, TableResult]]) -> str:
    shown = [outcome for outcome in WORST_FIRST if report.counts[outcome]]
    heads = "".join(
        f'<th scope="col" class="number wide">{outcome.value.capitalize()}</th>'
        for outcome in shown
    )
    rows = "\n".join(_overview_row(table, anchor, shown) for anchor, table in anchors)
    return f"""<section class="card overview" aria-label="Tables">
<table>
<thead><tr>
<th scope="col">Table</th><th scope="col">Verdict</th>{heads}
<th scope="col" class="number wide">Version</th><th scope="col" class="number">Rows</th>
<th scope="col" class="number wide">Took</th>
</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</section>"""


def _overview_row(table: TableResult, anchor: str, shown: list[Outcome]) -> str:
    cells = []
    for outcome in shown:
        count = table.counts[outcome]
        weight = "none" if not count else "" if outcome in QUIET else f"some {outcome.value}"
        cells.append(f'<td class="{f"number wide {weight}".strip()}">{number(count)}</td>')
    version = NOTHING if table.version is None else str(table.version)
    rows = NOTHING if table.rows is None else number(table.rows)
    return (
        f'<tr><th scope="row"><a href="#{anchor}"><code>{escape(table.table)}</code></a>'
        f"</th><td>{_pill(table.outcome)}</td>{''.join(cells)}"
        f'<td class="number wide">{version}</td><td class="number">{rows}</td>'
        f'<td class="number wide">{duration(table.duration_seconds)}</td></tr>'
    )


def _table(table: TableResult, anchor: str, open_lists: bool) -> str:
    checks = [
        _check(check)
        for outcome in WORST_FIRST
        if outcome not in QUIET
        for check in table.checks
        if check.outcome is outcome
    ]
    told = f"<ul>\n{chr(10).join(checks)}\n</ul>\n" if checks else ""
    lists = "\n".join(
        _list([check for check in table.checks if check.outcome is outcome], outcome, open_lists)
        for outcome in (Outcome.SKIPPED, Outcome.PASSED)
    )
    return f"""<section class="card" id="{anchor}" aria-labelledby="{anchor}-name">
<div class="table-head">
<h2><code id="{anchor}-name">{escape(table.table)}</code> {_pill(table.outcome)}</h2>
<p>{escape(" · ".join(table_facts(table)))}</p>
<p class="place"><code>{escape(table.place)}</code></p>
</div>
{told}{lists}
</section>"""


def _check(check: CheckResult) -> str:
    figures = figures_of(check)
    parts = [f"<h3>{_pill(check.outcome)} <span>{escape(check.name)}</span></h3>"]
    if check.finding:
        parts.append(f'<p class="finding">{escape(check.finding)}</p>')
    if figures:
        parts.append(f'<dl class="figures">{_definitions(figures)}</dl>')
    if check.samples:
        samples = " ".join(f"<code>{escape(sample)}</code>" for sample in check.samples)
        parts.append(f'<p class="samples"><span>For example</span> {samples}</p>')
    about = [check.kind, ", ".join(check.columns), f"severity {check.severity}"]
    parts.append(f'<p class="about">{escape(" · ".join(filter(None, about)))}</p>')
    return f'<li class="check {check.outcome.value}">\n{chr(10).join(parts)}\n</li>'


def _list(checks: list[CheckResult], outcome: Outcome, is_open: bool) -> str:
    if not checks:
        return ""
    rows = "\n".join(
        f'<tr><td>{escape(check.name)}</td><td class="none">{escape(check.finding)}</td></tr>'
        for check in checks
    )
    return f"""<details class="{outcome.value}"{' open="open"' if is_open else ""}>
<summary>{escape(counted(len(checks), "check"))} {outcome.value}</summary>
<div class="list">
<table>
<thead><tr><th scope="col">Check</th><th scope="col">Found</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
</details>"""


def _pill(outcome: Outcome) -> str:
    return (
        f'<span class="pill {outcome.value}"><span aria-hidden="true">{MARKS[outcome]}</span>'
        f"{outcome.value.capitalize()}</span>"
    )


def _definitions(facts: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts
    )
