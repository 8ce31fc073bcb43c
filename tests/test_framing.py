"""The bytes of a segment: sound lines are told from damaged ones, whatever happened to the file."""

from __future__ import annotations

import re
from zlib import crc32

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from spectra_logging.journal.framing import SUFFIX_BYTES, LineStart, count_lines, frame, verify

payloads = st.lists(
    st.dictionaries(st.text(max_size=8), st.text(max_size=40), min_size=1), min_size=1, max_size=12
).map(lambda rows: [msgspec.json.encode(row)[:-1] for row in rows])


def framed(payloads: list[bytes]) -> list[bytes]:
    """The lines of a segment that was appended these payloads."""
    return [frame(payload) for payload in payloads]


@given(payloads)
def test_every_line_of_a_sound_segment_is_accepted(payloads: list[bytes]) -> None:
    """What was framed is verified whole, and each line is a JSON object of its own."""
    lines = framed(payloads)
    found = verify(b"".join(lines))
    assert found.rows == b"".join(lines)
    assert found.damaged == ()
    assert all(isinstance(msgspec.json.decode(line), dict) for line in lines)


@given(payloads)
def test_any_run_of_lines_has_the_checksum_zero(payloads: list[bytes]) -> None:
    """So a range is verified by one call, wherever it begins and in whatever order lines came."""
    lines = framed(payloads)
    assert crc32(b"".join(lines)) == 0
    assert crc32(b"".join(reversed(lines))) == 0
    assert [crc32(line) for line in lines] == [0] * len(lines)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_a_line_is_the_same_in_one_piece_and_in_two(start: bytes, rest: bytes) -> None:
    """The start that many lines share is checksummed once for all of them."""
    assert frame(rest, LineStart(start)) == frame(start + rest)


@given(st.binary(max_size=64))
def test_a_checksum_is_text_that_needs_no_escape(payload: bytes) -> None:
    """Eight letters and digits between quotation marks, so that the line stays JSON."""
    suffix = frame(payload)[len(payload) :]
    assert len(suffix) == SUFFIX_BYTES
    assert re.fullmatch(rb',"crc":"[0-7p-w]{8}"}\n', suffix)


@given(payloads, st.data())
def test_a_flipped_byte_costs_the_line_it_hit_and_no_other(
    payloads: list[bytes], data: st.DataObject
) -> None:
    """Or the two that it makes one of, where it hit the end of a line."""
    lines = framed(payloads)
    whole = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    hit = next(i for i in range(len(lines)) if at < len(b"".join(lines[: i + 1])))
    merged = (
        whole[at] != ord("\n")
        and lines[hit].endswith(b"\n")
        and at + 1 == len(b"".join(lines[: hit + 1]))
    )
    lost = (hit, hit + 1) if merged else (hit,)
    found = verify(bytes(whole))
    assert found.rows == b"".join(line for i, line in enumerate(lines) if i not in lost)
    assert found.damaged


@given(payloads, st.data())
def test_a_truncated_segment_keeps_its_whole_lines(
    payloads: list[bytes], data: st.DataObject
) -> None:
    """What was cut off is a torn piece at the end, also when zeros follow it."""
    lines = framed(payloads)
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    kept = [i for i in range(len(lines)) if len(b"".join(lines[: i + 1])) <= cut]
    found = verify(whole[:cut] + bytes(data.draw(st.integers(0, 64))))
    assert found.rows == b"".join(lines[i] for i in kept)
    left_over = whole[len(found.rows) : cut]
    assert found.damaged == ((left_over,) if left_over else ())
    assert found.torn == bool(left_over)


@given(st.integers(0, 300_000), st.integers(0, 300_000), st.integers(1, 70_000))
def test_lines_are_counted_in_any_range(start: int, end: int, line_bytes: int) -> None:
    """Also where the range is counted piece by piece, and where a line is longer than a piece."""
    data = (b"x" * (line_bytes - 1) + b"\n") * (200_000 // line_bytes) + b"half a line"
    assert count_lines(data, start, end) == data.count(b"\n", start, end)
    assert count_lines(data) == data.count(b"\n")
