"""The bytes of a journal segment: how a line is checksummed, and how damage is found.

A segment is newline-delimited JSON, an object a record, followed by zeros where the file was
allocated ahead. Each line ends in its checksum::

    {"recorded_at":1700000000000000,…,"crc":"3q0tv71w"}

The checksum is the one text that makes the CRC-32 of its line, newline included, zero. So is then
the CRC-32 of any run of whole lines, one after the other: a sound range of any length is verified
by one call, which releases the GIL, and only a range that fails is taken apart line by line. And
no line depends on another, so that threads can append without waiting for each other.
"""

from __future__ import annotations

from zlib import crc32

import msgspec

__all__ = [
    "CHECKSUM_KEY",
    "NO_START",
    "SUFFIX_BYTES",
    "LineStart",
    "VerifiedRange",
    "count_lines",
    "frame",
    "is_sound",
    "verify",
]

CHECKSUM_KEY = "crc"
"""Every line's last key; no column of a row may be called so."""

# A character of the checksum is one of "01234567pqrstuvw": bits 0, 1, 2 and 6 are free, so that
# eight of them hold 32 bits. Of those bits and the payload's CRC, the line's CRC is the XOR of what
# each contributes, and these four make every line's equation solvable, which few others do.
_SUFFIX = b',"%b":"00000000"}\n' % CHECKSUM_KEY.encode()
_FREE_BITS = (0, 1, 2, 6)
_LAST_CHARACTER = _SUFFIX.rindex(b"0")
SUFFIX_BYTES = len(_SUFFIX)
_NEWLINE = _SUFFIX[-1]
_COUNTED_AT_ONCE = 1 << 16


def _suffix_tables() -> tuple[list[int], list[int], list[int]]:
    """What each eleven bits of a payload's CRC contribute to its suffix, read as one big number."""
    no_suffix = int.from_bytes(_SUFFIX, "big")
    unaltered = crc32(_SUFFIX)
    # Gauss, over bits: of the free bits make combinations that each decide one bit of the CRC.
    combinations: dict[int, tuple[int, int]] = {}
    for character in range(8):
        for bit in _FREE_BITS:
            free = 1 << (8 * (SUFFIX_BYTES - 1 - _LAST_CHARACTER + character) + bit)
            effect = crc32((no_suffix ^ free).to_bytes(SUFFIX_BYTES, "big")) ^ unaltered
            effect, free = _reduced(effect, free, combinations)
            combinations[effect.bit_length()] = (effect, free)

    def cancelling(crc: int) -> int:
        """The bits to flip in the suffix behind a payload of this CRC, for zero to come out."""
        left, flipped = _reduced(crc32(_SUFFIX, crc), 0, combinations)
        assert left == 0
        return flipped

    base = cancelling(0)
    tables = []
    for first, bits in ((0, 11), (11, 11), (22, 10)):
        table = [0 if first else no_suffix ^ base]
        for bit in range(bits):
            contribution = cancelling(1 << (first + bit)) ^ base
            table += [entry ^ contribution for entry in table]
        tables.append(table)
    return tables[0], tables[1], tables[2]


def _reduced(effect: int, free: int, combinations: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """An effect on the CRC, and the bits that have it, less what known combinations do."""
    while effect and (known := combinations.get(effect.bit_length())):
        effect ^= known[0]
        free ^= known[1]
    return effect, free


_LOW, _MIDDLE, _HIGH = _suffix_tables()


class LineStart:
    """How the lines of many records begin, checksummed once for all of them.

    Args:
        data: The bytes of a JSON object up to some point.
    """

    __slots__ = ("crc", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.crc = crc32(data)


NO_START = LineStart(b"")


def frame(payload: bytes, start: LineStart = NO_START) -> bytes:
    """A finished line.

    Args:
        payload: A JSON object without its closing brace, or what is left of it behind ``start``.
        start: How it begins.
    """
    crc = crc32(payload, start.crc)
    suffix = _LOW[crc & 0x7FF] ^ _MIDDLE[crc >> 11 & 0x7FF] ^ _HIGH[crc >> 22]
    return start.data + payload + suffix.to_bytes(SUFFIX_BYTES, "big")


class VerifiedRange(msgspec.Struct, frozen=True):
    """What verifying a range of a segment found.

    Args:
        rows: The sound lines, whole, in order.
        damaged: The pieces that are no sound line.
        torn: Whether the last piece is among the damaged, which in a segment that is still
            being appended to is a line half written rather than damage.
    """

    rows: bytes
    damaged: tuple[bytes, ...] = ()
    torn: bool = False


def is_sound(data: bytes | memoryview) -> bool:
    """Whether these are whole sound lines, one at least, and nothing else."""
    return len(data) > 0 and data[-1] == _NEWLINE and crc32(data) == 0


def count_lines(data: bytes, start: int = 0, end: int | None = None) -> int:
    """How many lines end in a range of some bytes; all of them by default.

    By ``bytes.replace``, piece by piece: it finds the next newline by ``memchr``, where
    ``bytes.count`` looks at one byte after the other. Both hold the GIL, this one for a third of
    the time.
    """
    end = len(data) if end is None else end
    lines = 0
    for at in range(start, end, _COUNTED_AT_ONCE):
        piece = data[at : min(at + _COUNTED_AT_ONCE, end)]
        lines += len(piece) - len(piece.replace(b"\n", b""))
    return lines


def verify(data: bytes) -> VerifiedRange:
    """Tell the sound lines of a range from the damaged.

    Args:
        data: The bytes of a segment from a line's start; it may end in zeros.
    """
    if is_sound(data):
        return VerifiedRange(data)
    sound: list[bytes] = []
    damaged: list[bytes] = []
    torn = False
    for line in _lines(data):
        torn = crc32(line) != 0
        (damaged if torn else sound).append(line)
    return VerifiedRange(b"".join(sound), tuple(damaged), torn)


def _lines(data: bytes) -> list[bytes]:
    # splitlines() would also cut at a carriage return, which only damage puts there.
    pieces = data.rstrip(b"\0").split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
