"""The bytes of a journal segment: how a line is checksummed, and how damage is found.

A segment is newline-delimited JSON, an object a record, followed by zeros where the file was
allocated ahead. Each line ends in its checksum::

    {"recorded_at":1700000000000000,…,"crc":"89abcdef"}

The checksum is the CRC-32 of *every byte of the segment* up to the checksum itself. So the last
line vouches for all before it, and a sound range of any length is verified by one call that
releases the GIL; only a range that fails is taken apart line by line.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

__all__ = ["SUFFIX_BYTES", "VerifiedRange", "frame", "resume_checksum", "verify"]

SUFFIX = b',"crc":"%08x"}\n'
SUFFIX_BYTES = len(SUFFIX % 0)

_DIGITS = slice(-11, -3)


def frame(payload: bytes, checksum: int) -> tuple[bytes, int]:
    """A finished line, and the running checksum after it.

    Args:
        payload: A JSON object without its closing brace.
        checksum: The running checksum before the line; 0 at a segment's start.
    """
    crc = crc32(payload, checksum)
    suffix = SUFFIX % crc
    return payload + suffix, crc32(suffix, crc)


def resume_checksum(suffix: bytes) -> int:
    """The running checksum after a line, from the :data:`SUFFIX_BYTES` that end it; 0 for none.

    A damaged suffix gives some number, and then the next line tells.
    """
    crc = _stored_crc(suffix)
    return 0 if crc is None else crc32(suffix, crc)


@dataclass(frozen=True)
class VerifiedRange:
    """What verifying a range of a segment found.

    Args:
        rows: The sound lines, whole, in order.
        row_count: How many they are.
        damaged: The pieces that are no sound line.
        torn: Whether the last piece is among the damaged, which in a segment that is still
            being appended to is a line half written rather than damage.
    """

    rows: bytes
    row_count: int
    damaged: tuple[bytes, ...] = ()
    torn: bool = False


def verify(data: bytes, checksum: int) -> VerifiedRange:
    """Tell the sound lines of a range from the damaged.

    Args:
        data: The bytes of a segment from a line's start; it may end in zeros.
        checksum: The running checksum before it.
    """
    tail = data[-SUFFIX_BYTES:]
    # A view, since a copy of megabytes takes as long as half the checksum.
    if crc32(memoryview(data)[:-SUFFIX_BYTES], checksum) == _stored_crc(tail):
        return VerifiedRange(data, data.count(b"\n"))
    return _verify_by_line(data, checksum)


def _stored_crc(suffix: bytes) -> int | None:
    """The checksum that a line's suffix holds; ``None`` when it is no suffix."""
    digits = suffix[_DIGITS]
    try:
        crc = int(digits, 16)
    except ValueError:
        return None
    # int() forgives capitals, signs and blanks, which frame() never writes.
    return crc if suffix == SUFFIX % crc else None


def _verify_by_line(data: bytes, checksum: int) -> VerifiedRange:
    sound: list[bytes] = []
    damaged: list[bytes] = []
    # A line whose own digits were hit still vouches for itself through the next line, which was
    # checksummed over the digits as they had been.
    suspect: tuple[bytes, int] | None = None
    torn = False
    for line in _lines(data):
        payload, suffix = line[:-SUFFIX_BYTES], line[-SUFFIX_BYTES:]
        stored = _stored_crc(suffix)
        if suspect is not None:
            mended, mended_checksum = suspect
            if stored is not None and crc32(payload, mended_checksum) == stored:
                sound.append(mended)
                damaged.pop()
                checksum = mended_checksum
            suspect = None
        computed = crc32(payload, checksum)
        torn = computed != stored
        if not torn:
            sound.append(line)
            checksum = crc32(suffix, computed)
        else:
            damaged.append(line)
            suspect = frame(payload, checksum)
            checksum = resume_checksum(suffix)
    return VerifiedRange(b"".join(sound), len(sound), tuple(damaged), torn)


def _lines(data: bytes) -> list[bytes]:
    # splitlines() would also cut at a carriage return, which only damage puts there.
    pieces = data.rstrip(b"\0").split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
