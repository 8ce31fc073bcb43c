"""What a batch takes from a journal's segments: read, verified, and in one piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from spectra_logging.journal.framing import count_lines, verify
from spectra_logging.journal.gathered import Gathered
from spectra_logging.journal.segment import (
    SegmentName,
    list_segments,
    owner_is_alive,
    read_range,
    segments_by_owner,
)
from spectra_logging.journal.state import BatchRange

__all__ = ["Content", "Reject", "collect", "reread"]

BATCH_BYTES = 8 << 20
"""About what one commit writes; a batch ends with the segment that reaches it."""

LEFT_BEHIND_BYTES = 1 << 20
"""Up to how much of what processes left is looked into, for the runs that left it."""


@dataclass(frozen=True)
class Reject:
    """Something that will never be a row, and why."""

    data: bytes
    reason: str


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a batch takes.

    Args:
        ranges: Segment name → the part of it that the batch takes.
        rows: Newline-delimited JSON.
        row_count: Lines in ``rows``.
        damaged: What the journal held in between that is no sound record.
        more: Whether there may be more for another batch already.
        left_behind: How many of the rows were left by processes that are gone.
        left_behind_rows: Those rows, unless they are many.
    """

    ranges: Mapping[str, BatchRange]
    rows: bytes
    row_count: int
    damaged: tuple[Reject, ...]
    more: bool
    left_behind: int
    left_behind_rows: bytes


@dataclass(frozen=True)
class _Piece:
    """What a batch takes of one segment: a part of its bytes, and the rows that are in it."""

    name: SegmentName
    start: int
    end: int
    first_byte: int
    """Of its rows, among those of the batch."""

    end_byte: int
    damaged: tuple[bytes, ...]
    owner_is_gone: bool


def collect(directory: Path, offsets: Mapping[str, int]) -> Content | None:
    """What a new batch takes now; ``None`` when there is nothing.

    Args:
        directory: The journal's folder.
        offsets: Segment name → how many of its bytes other batches have taken before.
    """
    segments = list_segments(directory)
    gathered = Gathered(_expected_bytes(directory, segments, offsets))
    pieces: list[_Piece] = []
    for owner, names in segments_by_owner(segments).items():
        alive = owner_is_alive(directory, owner)
        for name in names:
            # Only an owner's newest segment is still appended to.
            live = alive and name is names[-1]
            start = offsets.get(str(name), 0)
            piece = _take(gathered, directory, name, start, None, alive=alive, live=live)
            if piece is None:
                continue
            pieces.append(piece)
            if _size(pieces) >= BATCH_BYTES:
                return _content(gathered, pieces, more=True)
    return _content(gathered, pieces, more=False) if pieces else None


def reread(directory: Path, ranges: Mapping[str, BatchRange]) -> Content:
    """What a batch took that was sealed before, as far as it is still there.

    What is not counts as damaged, without data: nobody else would ever miss it.
    """
    gathered = Gathered(sum(extent.end - extent.start for extent in ranges.values()))
    pieces = []
    for text, extent in ranges.items():
        name = SegmentName.parse(text)
        assert name is not None
        alive = owner_is_alive(directory, name.owner)
        start, end = extent.start, extent.end
        piece = _take(gathered, directory, name, start, end, alive=alive, live=False)
        if piece is not None:
            pieces.append(piece)
    # Nobody knows what has come since.
    content = _content(gathered, pieces, more=True)
    return replace(content, damaged=(*content.damaged, *_gone(ranges, content.ranges)))


def _gone(sealed: Mapping[str, BatchRange], there: Mapping[str, BatchRange]) -> Iterator[Reject]:
    """What a segment no longer holds of what was sealed, as where its file was removed or cut."""
    for name, extent in sealed.items():
        left = there.get(name) or BatchRange(start=extent.start, end=extent.start, rows=0)
        if left.end < extent.end:
            records = extent.rows - left.rows
            yield Reject(b"", f"gone from journal segment {name}: {records} records")


def _expected_bytes(
    directory: Path, segments: Sequence[SegmentName], offsets: Mapping[str, int]
) -> int:
    """What a new batch comes to if nothing is damaged and no segment is still appended to."""
    expected = 0
    for name in segments:
        with suppress(FileNotFoundError):
            expected += (directory / str(name)).stat().st_size - offsets.get(str(name), 0)
        if expected >= BATCH_BYTES:
            break
    return expected


def _take(
    gathered: Gathered,
    directory: Path,
    name: SegmentName,
    start: int,
    end: int | None,
    *,
    alive: bool,
    live: bool,
) -> _Piece | None:
    """Gather a segment's rows from ``start``, verified; ``None`` when there is nothing."""
    path, first_byte = directory / str(name), gathered.size
    try:
        if end is None and not live:
            end = path.stat().st_size
        if end is not None and gathered.take_if_sound(path, start, end):
            return _Piece(name, start, end, first_byte, gathered.size, (), not alive)
        data = read_range(path, start, end)
    except FileNotFoundError:
        return None
    data = data[: data.rfind(b"\n") + 1] if live else data.rstrip(b"\0")
    found = verify(data)
    size, damaged = len(data), found.damaged
    if live and found.torn:
        # Being written this very moment: it belongs to the next batch.
        size -= len(damaged[-1])
        damaged = damaged[:-1]
    if live and damaged:
        # A read is not one moment: it may have copied zeros where a line came to stand just before
        # it copied what follows that line. Whoever stored what follows had stored the line.
        found = verify(read_range(path, start, start + size))
        damaged = found.damaged
    if not found.rows and not damaged:
        return None
    gathered.add(found.rows)
    return _Piece(name, start, start + size, first_byte, gathered.size, damaged, not alive)


def _content(gathered: Gathered, pieces: Sequence[_Piece], *, more: bool) -> Content:
    rows = gathered.rows()
    ranges = {
        str(piece.name): BatchRange(
            start=piece.start,
            end=piece.end,
            rows=count_lines(rows, piece.first_byte, piece.end_byte),
            damaged=len(piece.damaged),
        )
        for piece in pieces
    }
    left = [piece for piece in pieces if piece.owner_is_gone]
    few = _size(left) <= LEFT_BEHIND_BYTES
    return Content(
        ranges=ranges,
        rows=rows,
        row_count=sum(extent.rows for extent in ranges.values()),
        damaged=tuple(
            Reject(data, f"damaged in journal segment {piece.name}")
            for piece in pieces
            for data in piece.damaged
        ),
        more=more,
        left_behind=sum(ranges[str(piece.name)].rows for piece in left),
        left_behind_rows=b"".join(rows[piece.first_byte : piece.end_byte] for piece in left)
        if few
        else b"",
    )


def _size(pieces: Sequence[_Piece]) -> int:
    return sum(piece.end - piece.start for piece in pieces)
