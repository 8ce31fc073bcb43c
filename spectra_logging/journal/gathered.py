"""The rows of a batch, read from one segment after the other into one piece of memory."""

from __future__ import annotations

import io
from pathlib import Path

from spectra_logging.journal.framing import is_sound

__all__ = ["Gathered"]


class Gathered:
    """Bytes that grow.

    Read apart and then joined, each page of them would be made twice, which takes as long as all
    the reading.

    Args:
        expected_bytes: About how many they will be.

    Attributes:
        size: How many bytes there are.
    """

    def __init__(self, expected_bytes: int) -> None:
        self._expected_bytes = expected_bytes
        self._buffer = io.BytesIO()
        self.size = 0

    def take_if_sound(self, path: Path, start: int, end: int) -> bool:
        """Read a part of a segment, and keep it if there are whole sound lines in it and no more.

        Raises:
            FileNotFoundError: There is no such segment.
        """
        if start >= end:
            return False
        end_byte = self.size + end - start
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            self._make_room(end_byte)
            with self._buffer.getbuffer() as view, view[self.size : end_byte] as part:
                sound = file.readinto(part) == len(part) and is_sound(part)
        if sound:
            self.size = end_byte
        return sound

    def add(self, rows: bytes) -> None:
        """Keep bytes that were read otherwise."""
        if self.size:
            self._buffer.seek(self.size)
            self._buffer.write(rows)
        else:
            self._buffer = io.BytesIO(rows)  # which shares them
        self.size += len(rows)

    def rows(self) -> bytes:
        """All of them; nothing is copied."""
        self._buffer.truncate(self.size)
        return self._buffer.getvalue()

    def _make_room(self, end_byte: int) -> None:
        if self._buffer.seek(0, io.SEEK_END) >= end_byte:
            return
        if self.size:
            self._buffer.seek(end_byte - 1)
            self._buffer.write(b"\0")
        else:
            # Of zeros that nobody has touched there is no page yet. It is made when it is read
            # into, which lets the GIL go; growing holds it for as long as the reading takes.
            self._buffer = io.BytesIO(bytes(max(end_byte, self._expected_bytes)))
