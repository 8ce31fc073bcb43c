"""Segment files: allocated ahead by their owner, mapped, and read by whoever drains.

A segment is named ``<owner>-<sequence>.ndjson``. ``<owner>.owner`` is a lock that its owner holds
for life, so that anybody can tell a segment which is still being appended to from one whose
process is gone.
"""

from __future__ import annotations

import errno
import mmap
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from spectra_logging.journal.files import remove_file
from spectra_logging.journal.locks import FileLock, is_held_here

__all__ = [
    "PIECE_BYTES",
    "SegmentName",
    "create_segment",
    "holds_bytes",
    "is_old",
    "keep_owners_young",
    "list_segments",
    "owner_is_alive",
    "read_range",
    "segment_bytes_on_disk",
    "segments_by_owner",
    "trim_one_left_behind",
]

EXTENSION = ".ndjson"
PIECE_BYTES = 64 << 10
YOUNG_SECONDS = 3600.0


class SegmentName(NamedTuple):
    """A segment's name in parts; sorts by owner, then by age.

    Args:
        owner: Token of the process, or the child, that appends to it.
        sequence: Its number among the owner's segments, from 1.
    """

    owner: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.owner}-{self.sequence:06d}{EXTENSION}"

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """The parts of a file's name; ``None`` when it is no segment."""
        stem, extension = os.path.splitext(name)
        owner, dash, sequence = stem.rpartition("-")
        if extension != EXTENSION or not dash or not owner or not sequence.isdecimal():
            return None
        return cls(owner, int(sequence))


def create_segment(path: Path, size: int) -> mmap.mmap:
    """Allocate a segment of zeros and map it, shared.

    The space is allocated rather than left sparse: a full disk is then an ``OSError`` here and
    not a SIGBUS at the first store.

    Raises:
        OSError: The disk is full, or the folder can't be written to. No file is left behind.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            _allocate(descriptor, size)
            return mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
    except BaseException:
        remove_file(path)
        raise


def _allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
            return
        except OSError as error:
            # Where a file system can't, glibc writes zeros by itself; musl does not.
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
    # One write may stop short where the disk is full; the next one says so.
    while size > 0:
        size -= os.write(descriptor, bytes(size))


def list_segments(directory: Path) -> list[SegmentName]:
    """The segments in a journal, each owner's in order."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(segment for name in names if (segment := SegmentName.parse(name)))


def segments_by_owner(segments: Sequence[SegmentName]) -> dict[str, list[SegmentName]]:
    """The segments of each owner, in their order."""
    grouped: dict[str, list[SegmentName]] = {}
    for name in segments:
        grouped.setdefault(name.owner, []).append(name)
    return grouped


def owner_is_alive(directory: Path, owner: str) -> bool:
    """Whether the process that appends under this token still runs."""
    path = directory / f"{owner}.owner"
    if is_held_here(path):
        # Somebody may have removed its file, and what this process appends to must not follow.
        return True
    if not path.exists():
        return False
    lock = FileLock(path)
    if not lock.acquire():
        return True
    lock.release()
    return False


def keep_owners_young(directory: Path) -> None:
    """Keep what cleans folders of temporary files from the lock of an owner that still runs.

    A forked child that only appends has no thread to do so.
    """
    with suppress(OSError):  # one ends this very moment, say: the next time, then
        for path in directory.glob("*.owner"):
            if is_old(path) and owner_is_alive(directory, path.stem):
                os.utime(path)


def is_old(path: Path) -> bool:
    """Whether a file has not been touched for an hour; cleaners of temporary files go by days."""
    return path.stat().st_mtime < time.time() - YOUNG_SECONDS


def segment_bytes_on_disk(directory: Path) -> int:
    """The bytes that the journal's segments take up."""
    return sum(_size(directory / str(segment)) for segment in list_segments(directory))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def trim_one_left_behind(directory: Path) -> bool:
    """Cut off what a process that is gone had allocated for records that never came.

    Returns:
        Whether there was a segment with such a rest.
    """
    for name in list_segments(directory):
        path = directory / str(name)
        with suppress(OSError):  # it has been drained and removed, or is another user's
            if _ends_in_zeros(path) and not owner_is_alive(directory, name.owner):
                # From the end: zeros before it may be damage, with records behind.
                os.truncate(path, len(path.read_bytes().rstrip(b"\0")))
                return True
    return False


def _ends_in_zeros(path: Path) -> bool:
    size = path.stat().st_size
    return size > 0 and read_range(path, size - 1, size) == b"\0"


def read_range(path: Path, start: int, end: int | None = None) -> bytes:
    """The bytes of a segment from ``start``, by plain reads.

    Never through a mapping: an owner that closes truncates its segment, and a mapping of what is
    no longer there is a SIGBUS.

    Args:
        path: The segment.
        start: First byte.
        end: Byte after the last; fewer come back where the file is shorter. ``None`` reads a
            segment that may still be appended to, until a piece that ends in zeros.
    """
    pieces = []
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        left = PIECE_BYTES if end is None else end - start
        while left > 0 and (piece := file.read(left)):
            pieces.append(piece)
            if end is not None:
                left -= len(piece)
            elif piece.endswith(b"\0"):
                break
    return b"".join(pieces)


def holds_bytes(path: Path, start: int) -> bool:
    """Whether anything but zeros follows ``start`` closely; ``False`` when the file is gone."""
    try:
        # More than one byte, so that one byte damaged to zero doesn't hide what follows it.
        return bool(read_range(path, start, start + PIECE_BYTES).strip(b"\0"))
    except FileNotFoundError:
        return False
