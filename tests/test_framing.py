"""The bytes of a segment: sound lines are told from damaged ones, whatever happened to the file."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from spectra_logging.journal.framing import SUFFIX_BYTES, frame, resume_checksum, verify

payloads = st.lists(
    st.dictionaries(st.text(max_size=8), st.text(max_size=40), min_size=1), min_size=1, max_size=12
).map(lambda rows: [msgspec.json.encode(row)[:-1] for row in rows])


def framed(payloads: list[bytes]) -> list[bytes]:
    """The lines of a segment that was appended these payloads."""
    lines, checksum = [], 0
    for payload in payloads:
        line, checksum = frame(payload, checksum)
        lines.append(line)
    return lines


@given(payloads)
def test_every_line_of_a_sound_segment_is_accepted(payloads: list[bytes]) -> None:
    """What was framed is verified whole, and each line is a JSON object of its own."""
    lines = framed(payloads)
    found = verify(b"".join(lines), 0)
    assert found.rows == b"".join(lines)
    assert (found.row_count, found.damaged) == (len(lines), ())
    assert all(isinstance(msgspec.json.decode(line), dict) for line in lines)


@given(payloads, st.data())
def test_a_range_is_verified_from_any_line_on(payloads: list[bytes], data: st.DataObject) -> None:
    """The checksum before a range follows from the line before it."""
    lines = framed(payloads)
    cut = data.draw(st.integers(0, len(lines) - 1))
    before = b"".join(lines[:cut])
    found = verify(b"".join(lines[cut:]), resume_checksum(before[-SUFFIX_BYTES:]))
    assert (found.row_count, found.damaged) == (len(lines) - cut, ())


@given(payloads, st.data())
def test_a_flipped_byte_costs_at_most_the_lines_it_touches(
    payloads: list[bytes], data: st.DataObject
) -> None:
    """Every line but the one hit, and the next where a line's end was hit, is still delivered."""
    lines = framed(payloads)
    whole = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    touched = next(i for i in range(len(lines)) if at < len(b"".join(lines[: i + 1])))
    found = verify(bytes(whole), 0)
    delivered = found.rows.splitlines(keepends=True)
    expected = [line for i, line in enumerate(lines) if i not in (touched, touched + 1)]
    assert [line for line in expected if line not in delivered] == []
    assert all(line in lines for line in delivered), "nothing is delivered that was not logged"
    assert found.row_count == len(delivered)


@given(payloads)
def test_a_line_whose_checksum_alone_is_hit_is_mended_by_the_next(payloads: list[bytes]) -> None:
    """The next line was checksummed over the digits as they had been, and so vouches for them."""
    lines = [*framed([*payloads, b'{"last":1'])]
    digit = len(lines[0]) - 4
    hit = lines[0][:digit] + (b"0" if lines[0][digit : digit + 1] != b"0" else b"1") + b'"}\n'
    found = verify(hit + b"".join(lines[1:]), 0)
    assert found.rows == b"".join(lines)
    assert found.damaged == ()


@given(payloads, st.data())
def test_a_truncated_segment_keeps_its_whole_lines(
    payloads: list[bytes], data: st.DataObject
) -> None:
    """What was cut off is a torn piece at the end, also when zeros follow it."""
    lines = framed(payloads)
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    kept = [i for i in range(len(lines)) if len(b"".join(lines[: i + 1])) <= cut]
    found = verify(whole[:cut] + bytes(data.draw(st.integers(0, 64))), 0)
    assert found.rows == b"".join(lines[i] for i in kept)
    left_over = whole[len(found.rows) : cut]
    assert found.damaged == ((left_over,) if left_over else ())
    assert found.torn == bool(left_over)
