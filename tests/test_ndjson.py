"""Telling good rows from bad ones."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spectra_logging.lakehouse.arrow import arrow_schema, read_rows
from spectra_logging.lakehouse.ndjson import split_unreadable
from tests.lakehouses import EVERY_TYPE, JSON_ROW, lines, spec_of

SPEC = spec_of(("n", "long", False), ("text", "string", True))

BAD = [
    b'{"n": "one"}',
    b'{"n": null}',
    b'{"n": 1, "text": {"a": "\\u0000"}}',
    b'{"n": 1, "text": "a\0b"}',
    b'{"n": 1',
    b'"n": 1}',
    b'{"n": 1}{"n": 2}',
    b"[1]",
    b"5",
    b"\xff",
    b"\xef\xbb\xbf{}",
    b'{"n": NaN}',
]

good_lines = st.builds(
    lambda number, text: msgspec.json.encode({"n": number, "text": text, "crc": "00000000"}),
    st.integers(-(2**63), 2**63 - 1),
    st.text(),
)


@example([b'{"n": 1}{"n": 2}', b'{"n": 1', b'"n": 1}'])  # three lines, three rows, none good
@given(st.lists(st.one_of(good_lines, st.sampled_from(BAD))))
def test_every_bad_line_is_found_and_every_good_one_kept(mixed: list[bytes]) -> None:
    """Whatever stands beside what, lines are judged one by one and keep their order."""
    rows = b"".join(line + b"\n" for line in mixed)
    good, bad = split_unreadable(rows, SPEC)
    assert good == b"".join(line + b"\n" for line in mixed if line not in BAD)
    assert [line for line, _ in bad] == [line for line in mixed if line in BAD]
    assert read_rows(good, arrow_schema(SPEC.columns)).num_rows == len(mixed) - len(bad)


@given(st.binary())
def test_no_bytes_are_too_odd(rows: bytes) -> None:
    """Arbitrary bytes are split without an error, and what is called good can be read."""
    good, bad = split_unreadable(rows, SPEC)
    read_rows(good, arrow_schema(SPEC.columns))
    assert sum(1 for line in rows.split(b"\n") if line.strip()) == good.count(b"\n") + len(bad)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"n": "one"}', 'failed to parse "one" as Int64'),
        (b'{"n": 1, "text": 5}', "expected string got 5"),
        (b'{"text": "a"}', "non-nullable"),
        (b'{"n": 1}{"n": 2}', "2 rows"),
        (b'{"n": 1, "text": "\0"}', "NUL"),
        (b'{"n": "a\\u0000b"}', "failed to parse"),
    ],
)
def test_the_reason_says_what_is_wrong(line: bytes, reason: str) -> None:
    """Each bad line comes with words about it, not about its neighbours."""
    _, bad = split_unreadable(lines({"n": 1}) + line + b"\n" + lines({"n": 2}), SPEC)
    assert len(bad) == 1
    assert bad[0][0] == line
    assert reason in bad[0][1]


def test_a_reason_is_short_however_long_the_value() -> None:
    """A value of megabytes is not repeated in its error."""
    _, bad = split_unreadable(b'{"n": "' + b"x" * 5_000_000 + b'"}', SPEC)
    assert len(bad[0][1]) < 400


def test_good_rows_are_left_as_they_are() -> None:
    """Not a byte of them changes."""
    rows = lines(JSON_ROW, {**JSON_ROW, "big": None})
    assert split_unreadable(rows, EVERY_TYPE) == (rows, [])
    assert split_unreadable(b"", EVERY_TYPE) == (b"", [])
