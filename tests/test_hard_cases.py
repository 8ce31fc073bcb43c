"""docs/hard-cases.md names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "hard-cases.md"


def test_each_test_that_the_page_names_is_there() -> None:
    """Files, functions and classes that the page's tables name are defined."""
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", PAGE.read_text("utf-8"))
    assert len(named) > 20
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (TESTS / file).is_file()
        or (name and f"def {name}(" not in (TESTS / file).read_text("utf-8"))
    ]
    assert not missing


def test_each_hard_case_of_validation_is_there() -> None:
    """The twelve are numbered, and each is a class or a function of its own."""
    found = re.findall(r"`(?:TestV(\d+)\w+|test_v(\d+)_\w+)`", PAGE.read_text("utf-8"))
    assert sorted(int(a or b) for a, b in found) == list(range(1, 13))
    source = (TESTS / "test_validation_hard_cases.py").read_text("utf-8")
    for name in re.findall(r"`(TestV\w+|test_v\w+)`", PAGE.read_text("utf-8")):
        if name != "test_validation_hard_cases":
            assert re.search(rf"(?:class|def) {name}\b", source), name


def test_each_hard_case_of_discord_is_there() -> None:
    """The fifteen are numbered, and each has a test."""
    source = (TESTS / "test_discord_cases.py").read_text("utf-8")
    assert {int(number) for number in re.findall(r"def test_d(\d+)_", source)} == set(range(1, 16))
