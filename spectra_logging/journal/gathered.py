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

    Attributes:
        size: How many bytes there are.
    """

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self.size = 0

    def take_if_sound(self, path: Path, start: int, end: int) -> bool:
        """Read a part of a segment, and keep it if there are whole sound lines in it and no more.

        Raises:
            FileNotFoundError: There is no such segment.
        """
        if start >= end:
            return False
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            # Grown at once to what is to be read, and read into its place.
            self._buffer.seek(self.size + end - start - 1)
            self._buffer.write(b"\0")
            with self._buffer.getbuffer() as view, view[self.size :] as part:
                sound = file.readinto(part) == len(part) and is_sound(part)
        if sound:
            self.size += end - start
        else:
            self._buffer.truncate(self.size)
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
        return self._buffer.getvalue()
