"""What a batch takes is the sound parts of segments, in order, whatever was expected of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from spectra_logging.journal.framing import frame
from spectra_logging.journal.gathered import Gathered

lines = st.binary(max_size=30).map(lambda data: frame(data.replace(b"\n", b"")))
parts = st.tuples(
    st.lists(lines, max_size=4).map(b"".join),  # before it
    st.lists(lines, max_size=4).map(b"".join),  # it
    st.lists(lines, max_size=4).map(b"".join),  # behind it
)


@given(
    st.lists(st.tuples(st.sampled_from(["sound", "torn", "otherwise"]), parts)),
    st.integers(0, 1000),
)
def test_sound_parts_are_kept_and_no_others(
    taken: list[tuple[str, tuple[bytes, bytes, bytes]]], expected_bytes: int
) -> None:
    """Neither more nor fewer bytes than expected, nor a torn part, leave a trace in the rows."""
    gathered = Gathered(expected_bytes)
    kept = b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "segment")
        for how, (before, part, behind) in taken:
            if how == "otherwise":
                gathered.add(part)
                kept += part
                continue
            path.write_bytes(before + part + behind)
            end = len(before) + len(part) - (how == "torn")
            sound = gathered.take_if_sound(path, len(before), end)
            assert sound == (how == "sound" and part != b"")
            kept += part if sound else b""
            assert gathered.size == len(kept)
    assert gathered.rows() == kept


def test_a_part_that_ends_beyond_its_segment_is_not_sound(tmp_path: Path) -> None:
    """A segment may have become shorter than when its size was asked."""
    path = tmp_path / "segment"
    path.write_bytes(frame(b'{"n":1'))
    gathered = Gathered(1 << 20)
    assert not gathered.take_if_sound(path, 0, path.stat().st_size + 1)
    assert gathered.take_if_sound(path, 0, path.stat().st_size)
    assert gathered.rows() == path.read_bytes()
