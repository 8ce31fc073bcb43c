"""Which files are merged, and what is said of the merged one."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from spectra_logging.lakehouse.compaction import (
    FILES_A_TIER,
    FULL_FILE_BYTES,
    FULL_FILE_ROWS,
    files_to_merge,
)
from spectra_logging.lakehouse.data_files import DataFile, Statistics, merged_statistics

UTC = dt.timezone.utc


def files(*sizes: int) -> list[DataFile]:
    return [
        DataFile(path=str(number), size_bytes=size, modified_at_milliseconds=number)
        for number, size in enumerate(sizes)
    ]


def test_few_files_are_left_alone() -> None:
    """Merging two or three is not worth a commit."""
    assert files_to_merge(files()) == []
    assert files_to_merge(files(*[10_000] * (FILES_A_TIER - 1))) == []


def test_small_files_are_merged_oldest_first() -> None:
    """All of a size go into one, in order of time."""
    small = files(*[10_000] * 50)
    assert files_to_merge(list(reversed(small))) == small


def test_larger_files_wait_for_their_like() -> None:
    """A file that is merged already is not rewritten for every handful of small ones."""
    small_and_one_large = files(2 << 20, *[10_000] * 50)
    assert files_to_merge(small_and_one_large) == small_and_one_large[1:]


def test_a_merge_that_fills_the_next_size_takes_it_along() -> None:
    """Seven of a size and what becomes the eighth are merged in one go, not in two."""
    everything = files(*[500_000] * 7, *[100_000] * 8)
    assert files_to_merge(everything) == everything


def test_a_merged_file_holds_no_more_rows_than_memory_can_spare() -> None:
    """However well they compress: merging takes memory by the row."""
    files = [
        DataFile(
            path=f"part-{n:02}",
            size_bytes=1000,
            statistics=Statistics(row_count=FULL_FILE_ROWS // 8),
        )
        for n in range(20)
    ]
    assert files_to_merge(files) == files[:8]
    full = DataFile(path="full", size_bytes=1000, statistics=Statistics(row_count=FULL_FILE_ROWS))
    assert files_to_merge([full] * 20) == []


@given(st.lists(st.integers(1, 2 * FULL_FILE_BYTES), max_size=60))
def test_a_merged_file_is_never_too_large(sizes: list[int]) -> None:
    """What is merged fits one file, and is at least two files."""
    chosen = files_to_merge(files(*sizes))
    assert len(chosen) != 1
    assert sum(file.size_bytes for file in chosen) <= FULL_FILE_BYTES


def test_a_row_is_rewritten_a_few_times_however_large_the_table() -> None:
    """20,000 commits of 30 kB: four writes of each byte at most, and few files at any time."""
    table: list[DataFile] = []
    written_bytes = appended_bytes = most_files = 0
    for number in range(20_000):
        table.append(DataFile(path=f"{number}", size_bytes=30_000, modified_at_milliseconds=number))
        appended_bytes += 30_000
        if number % 50 == 49:
            chosen = files_to_merge(table)
            merged_bytes = sum(file.size_bytes for file in chosen)
            written_bytes += merged_bytes
            if chosen:
                merged = DataFile(
                    path=f"merged{number}", size_bytes=merged_bytes, modified_at_milliseconds=number
                )
                table = [file for file in table if file not in chosen] + [merged]
            small = [file for file in table if file.size_bytes < FULL_FILE_BYTES // 2]
            most_files = max(most_files, len(small))
    assert written_bytes <= 4 * appended_bytes
    assert most_files <= 4 * FILES_A_TIER + 50


def test_bounds_of_the_merged_file_hold_for_all_its_rows() -> None:
    """The outermost of each, in the form of Delta's log; nulls are counted."""
    early = dt.datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    late = dt.datetime(2024, 1, 2, 3, 4, 6, tzinfo=UTC)
    parts = [
        Statistics(
            row_count=2,
            minima={"at": early, "n": 3, "day": dt.date(2024, 1, 1), "x": 0.5, "text": "b"},
            maxima={"at": late, "n": 9, "day": dt.date(2024, 1, 3), "x": 1.5, "text": "d"},
            null_counts={"at": 0, "n": 1, "day": 0, "x": 0, "text": 0},
        ),
        Statistics(
            row_count=3,
            minima={"at": late, "n": 1, "day": dt.date(2024, 1, 2), "x": 0.25, "text": "a"},
            maxima={"at": late, "n": 1, "day": dt.date(2024, 1, 2), "x": 0.25, "text": "c"},
            null_counts={"at": 0, "n": 2, "day": 0, "x": 0, "text": 0},
        ),
    ]
    assert merged_statistics(parts, 5) == {
        "numRecords": 5,
        "nullCount": {"at": 0, "n": 3, "day": 0, "x": 0, "text": 0},
        "minValues": {
            "at": "2024-01-02T03:04:05.678Z",
            "n": 1,
            "day": "2024-01-01",
            "x": 0.25,
            "text": "a",
        },
        "maxValues": {
            "at": "2024-01-02T03:04:06.000Z",
            "n": 9,
            "day": "2024-01-03",
            "x": 1.5,
            "text": "d",
        },
    }


def test_a_bound_that_one_part_lacks_is_not_claimed() -> None:
    """Else rows of that part would be passed over; a part of nothing but nulls needs none."""
    known = Statistics(
        row_count=1,
        minima={"n": 1, "x": 1.0},
        maxima={"n": 1, "x": 1.0},
        null_counts={"n": 0, "x": 0},
    )
    only_nulls = Statistics(row_count=2, null_counts={"n": 2, "x": 2})
    unknown = Statistics(
        row_count=1, minima={"x": float("-inf")}, maxima={}, null_counts={"n": 0, "x": 0}
    )
    nothing = Statistics()
    assert merged_statistics([known, only_nulls], 3)["minValues"] == {"n": 1, "x": 1.0}
    assert merged_statistics([known, unknown], 2)["minValues"] == {}
    assert merged_statistics([known, unknown], 2)["maxValues"] == {}
    for order in ([known, nothing], [nothing, known]):
        assert merged_statistics(order, 2) == {
            "numRecords": 2,
            "nullCount": {},
            "minValues": {},
            "maxValues": {},
        }
