"""Rows cut into slices, and the folders where data files are made."""

from __future__ import annotations

import os
import time
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectra_logging.lakehouse import staging
from spectra_logging.lakehouse.staging import (
    clear_workshops,
    slices_of,
    workshop,
    writer_properties,
)
from spectra_logging.tables import ACTIVITY_LOG


@given(
    lines=st.lists(st.integers(0, 40).map(lambda size: b"x" * size + b"\n"), max_size=60),
    unended=st.booleans(),
    cores=st.integers(1, 6),
    slice_bytes=st.integers(1, 50),
)
def test_slices_are_whole_lines_and_all_of_them(
    lines: list[bytes], unended: bool, cores: int, slice_bytes: int
) -> None:
    """No row is cut, lost or moved, and no slice is empty."""
    rows = b"".join(lines) + b"y" * unended
    with (
        patch.object(staging, "usable_cores", lambda: cores),
        patch.object(staging, "SLICE_BYTES", slice_bytes),
    ):
        slices = slices_of(rows)
    assert b"".join(slices) == rows
    assert all(bytes(part).endswith(b"\n") for part in slices[:-1])
    assert all(slices)
    assert len(slices) <= min(cores, staging.MOST_SLICES)


def test_a_small_batch_is_one_file() -> None:
    """Whatever the cores: a table of tiny files is slow to read."""
    assert len(slices_of(b"x\n" * 1000)) == 1


def test_a_workshop_goes_when_it_is_left(tmp_path: Path) -> None:
    """Also by an error, with all that is in it; readers pass over its name."""
    with pytest.raises(KeyError), workshop(tmp_path) as place:  # noqa: PT012
        assert place.name.startswith("_")
        (place / "0").mkdir()
        (place / "0" / "part.parquet").touch()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_columns_that_hardly_repeat_have_no_dictionary() -> None:
    """Times, keys and the JSON of all other fields."""
    properties = writer_properties(ACTIVITY_LOG).column_properties
    assert properties is not None
    assert set(properties) == {
        "activity_id",
        "metadata",
        "start_time",
        "end_time",
        "recorded_at",
    }


def test_what_killed_processes_left_goes_after_a_day(tmp_path: Path) -> None:
    names = "a" * 32, "b" * 32, "other"
    left, young, stranger = (tmp_path / f"_spectra-{name}" for name in names)
    for folder in (left, young, stranger):
        folder.mkdir()
    two_days_ago = time.time() - 2 * 86_400
    os.utime(left, (two_days_ago, two_days_ago))
    os.utime(stranger, (two_days_ago, two_days_ago))
    clear_workshops(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, stranger])


def test_a_workshop_that_its_owner_leaves_meanwhile_is_passed_over(tmp_path: Path) -> None:
    """A name that leads nowhere is what is left of one between being listed and looked at."""
    (tmp_path / f"_spectra-{'a' * 32}").symlink_to(tmp_path / "gone")
    clear_workshops(tmp_path)
