"""Rows as data files in a folder of their own, and what becomes of such folders."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import polars as pl
import pytest

from spectra_logging.lakehouse.staging import (
    StagedRows,
    clear_abandoned,
    stage,
    writer_properties,
)
from spectra_logging.tables import ACTIVITY_LOG
from tests.lakehouses import lines, spec_of

SMALL = spec_of(("n", "long", False), ("text", "string", True))


def staged(folder: Path, rows: bytes) -> StagedRows:
    return stage(folder, rows, SMALL, SMALL.columns, {})


def test_staged_rows_are_out_of_readers_sight_until_they_are_discarded(tmp_path: Path) -> None:
    """The folder's name begins as readers of Delta tables pass over; nothing is left of it."""
    ready = staged(tmp_path, lines({"n": 1, "text": "a"}, {"n": 2}))
    assert [path.name[0] for path in tmp_path.iterdir()] == ["_"]
    (file,) = ready.files
    assert pl.read_parquet(file.path).rows() == [(1, "a"), (2, None)]
    assert json.loads(json.loads(file.add)["add"]["stats"])["numRecords"] == 2
    ready.discard()
    ready.discard()
    assert list(tmp_path.iterdir()) == []


def test_statistics_are_those_that_the_table_asks_for(tmp_path: Path) -> None:
    """A property of the table's says of how many columns they are."""
    configuration = {"delta.dataSkippingNumIndexedCols": "1", "delta.appendOnly": "true"}
    rows = lines({"n": 1, "text": "a"})
    (file,) = stage(tmp_path, rows, SMALL, SMALL.columns, configuration).files
    stats = json.loads(json.loads(file.add)["add"]["stats"])
    assert (stats["minValues"], stats["maxValues"]) == ({"n": 1}, {"n": 1})


def test_no_rows_are_no_file(tmp_path: Path) -> None:
    """A commit that only notes its transaction has none."""
    assert staged(tmp_path, b"").files == ()


def test_rows_that_can_t_be_staged_leave_nothing(tmp_path: Path) -> None:
    """Also not the folder that was made for them."""
    with pytest.raises(Exception, match="seventy"):
        staged(tmp_path, lines({"n": "seventy"}))
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
    """What is younger may be in use, and what is called otherwise is somebody else's."""
    names = "a" * 32, "b" * 32, "other"
    left, young, stranger = (tmp_path / f"_spectra-{name}" for name in names)
    for folder in (left, young, stranger):
        folder.mkdir()
    for folder, hours in ((left, 25), (young, 23), (stranger, 25)):
        touched = time.time() - hours * 3600
        os.utime(folder, (touched, touched))
    clear_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, stranger])


def test_a_folder_that_its_owner_removes_meanwhile_is_passed_over(tmp_path: Path) -> None:
    """A name that leads nowhere is what is left of one between being listed and looked at."""
    (tmp_path / f"_spectra-{'a' * 32}").symlink_to(tmp_path / "gone")
    clear_abandoned(tmp_path)
