"""A validation's report as HTML: well-formed, of its own, escaped, and the worst first."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from xml.etree import ElementTree as ET

import html5lib
import pytest
from hypothesis import given, settings

from spectra_stage.validation.results import Outcome, Report
from tests.reports import EVERY_OUTCOME, PASSED, check, report, reports, table

LOADS = {"src", "srcset", "href", "action", "data", "poster", "background", "formaction"}
"""Attributes by which an element may ask for something elsewhere."""


def parsed(document: str) -> ET.Element:
    """The page, read by a parser of HTML that refuses what the standard calls an error."""
    strict = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    root = strict.parse(document)
    assert isinstance(root, ET.Element)
    return root


def words(element: ET.Element) -> str:
    """The text below an element, white space made one."""
    return " ".join("".join(element.itertext()).split())


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    """The elements of a class."""
    return [item for item in root.iter() if name in item.get("class", "").split()]


@given(reports())
@settings(max_examples=150, deadline=None)
def test_the_page_is_valid_whatever_was_found(found: Report) -> None:
    """As HTML and as XML; nothing found becomes an element, an attribute or a request."""
    document = found.to_html()
    root = parsed(document)
    ET.fromstring(document.partition("\n")[2])
    assert {item.tag for item in root.iter()} <= PLAIN_ELEMENTS
    for item in root.iter():
        assert not [name for name in item.attrib if name.startswith("on")]
        assert {item.get(name, "#")[0] for name in LOADS} == {"#"}
    assert len(of_class(root, "check")) + len(root.findall(".//details//tbody/tr")) == (
        len(list(found.checks))
    )


PLAIN_ELEMENTS = set(
    "html head meta title style body main header section h1 h2 h3 p strong span code a div "
    "ul li dl dt dd table thead tbody tr th td details summary".split()
)


def test_the_style_asks_for_nothing() -> None:
    """No address anywhere in the page, and a policy that forbids to load one."""
    document = EVERY_OUTCOME.to_html()
    assert not re.search(r"//|url\(|@import|<script|<link", document)
    (policy,) = parsed(document).findall(".//meta[@http-equiv='Content-Security-Policy']")
    assert policy.get("content") == "default-src 'none'; style-src 'unsafe-inline'"


def test_the_page_says_first_how_it_ended() -> None:
    """The title and the one heading of the first level have the verdict."""
    root = parsed(EVERY_OUTCOME.to_html())
    assert words(root.findall(".//title")[0]).startswith("source error: 2 of 9 checks failed")
    (heading,) = root.iter("h1")
    assert words(heading) == "Failed, and not fully checked"
    assert words(of_class(root, "sentence")[0]) == (
        "2 of 9 checks failed, 1 could not be made, 1 warning, 1 skipped."
    )


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("passed passed", "Passed"),
        ("passed warning", "Passed, with warnings"),
        ("failed warning", "Failed"),
        ("error warning", "Not fully checked"),
        ("error failed", "Failed, and not fully checked"),
    ],
)
def test_the_heading_never_takes_an_error_for_a_pass(outcomes: str, expected: str) -> None:
    """A check that could not be made is told in the heading, beside a failure too."""
    found = report(table(*(check(o, Outcome(o)) for o in outcomes.split())))
    (heading,) = parsed(found.to_html()).iter("h1")
    assert words(heading) == expected


def test_trouble_comes_first_and_passes_are_folded() -> None:
    """Tables with trouble before those without; in each the failed checks open, the others not."""
    root = parsed(EVERY_OUTCOME.to_html())
    assert [words(code) for code in root.findall(".//h2/code")] == [
        *("source.endpoints", "source.portfolio", "source.config")
    ]
    assert [words(heading) for heading in root.iter("h3")] == [
        "✕Failed full_path, http_method are unique",
        "?Error category satisfies lower(category) = category",
        "!Warning description is at most 200 characters long",
        "✕Failed the table exists",
    ]
    folded = root.findall(".//details")
    assert [words(summary) for summary in root.iter("summary")] == [
        *("2 checks passed", "1 check skipped", "2 checks passed")
    ]
    assert all(fold.get("open") is None for fold in folded)


def test_what_passed_is_open_when_there_is_nothing_else() -> None:
    """A page on which all is well shows what was looked at."""
    (fold,) = parsed(PASSED.to_html()).iter("details")
    assert fold.get("open") is not None
    assert "config_key is unique" in words(fold)


def test_a_failure_is_shown_with_its_figures_and_samples() -> None:
    """The finding, the share of the rows, what was measured, values that break it, the columns."""
    shown = words(of_class(parsed(EVERY_OUTCOME.to_html()), "check")[0])
    for expected in (
        "2 rows repeat another's full_path and http_method",
        "violations2 of 1,204 rows (0.17 %)",
        "distinct1,202",
        "For example /project/details, GET /release/{releaseId}, GET",
        "unique · full_path, http_method · severity error",
    ):
        assert expected in shown


def test_the_overview_leads_to_each_table() -> None:
    """Every link of the page has its target, and table cells have their headers."""
    root = parsed(EVERY_OUTCOME.to_html())
    targets = {item.get("id") for item in root.iter()}
    links = [link.get("href", "") for link in root.iter("a")]
    assert len(links) == 3
    assert {link[1:] for link in links} <= targets
    for grid in root.iter("table"):
        heads = grid.findall("./thead/tr/th")
        assert heads
        assert all(head.get("scope") == "col" for head in heads)
        assert {len(list(row)) for row in grid.findall("./tbody/tr")} == {len(heads)}


def test_a_notebook_is_shown_an_element_with_a_style_of_its_own() -> None:
    """Nothing in the style reaches another element of the notebook's page."""
    fragment = EVERY_OUTCOME._repr_html_()
    assert fragment.startswith('<div class="spectra-report">')
    style = re.sub(r"/\*.*?\*/", "", fragment.partition("<style>")[2].partition("</style>")[0])
    selectors = [part.strip() for part in re.findall(r"([^{};]+)\{", style)]
    assert len(selectors) > 50
    for selector in selectors:
        if not selector.startswith("@media"):
            assert all(".spectra-report" in part for part in re.split(r",\s", selector)), selector
    parsed(
        f"<!DOCTYPE html><html><head><title>notebook</title></head><body>{fragment}</body></html>"
    )


def test_two_reports_in_one_notebook_keep_to_themselves() -> None:
    """No id of the one is an id of the other, so that its links stay within it."""
    later = EVERY_OUTCOME.started_at + dt.timedelta(microseconds=1)
    ids = [
        {item.get("id") for item in parsed(found.to_html()).iter()} - {None}
        for found in (EVERY_OUTCOME, dataclasses.replace(EVERY_OUTCOME, started_at=later))
    ]
    assert len(ids[0]) == 6
    assert ids[0].isdisjoint(ids[1])


def palettes() -> list[dict[str, str]]:
    """The colours of the style: light, dark, and on paper."""
    blocks = re.findall(r"\{[^{}]*--ink:[^{}]*\}", PASSED._repr_html_())
    return [dict(re.findall(r"--([\w-]+):\s*(#\w+)", block)) for block in blocks]


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("number", range(3), ids=["light", "dark", "print"])
def test_every_text_stands_out_from_its_ground(number: int) -> None:
    """WCAG's level AA for text of any size: 4.5 to 1, in each palette."""
    palette = palettes()[number]
    pairs = [
        *(("ink", ground) for ground in ("paper", "ground", "code-ground")),
        *(("soft", ground) for ground in ("paper", "ground")),
        *((outcome.value, "paper") for outcome in Outcome),
        *((outcome.value, f"{outcome.value}-ground") for outcome in Outcome),
    ]
    faint = {pair: contrast(palette[pair[0]], palette[pair[1]]) for pair in pairs}
    assert {pair: value for pair, value in faint.items() if value < 4.5} == {}
