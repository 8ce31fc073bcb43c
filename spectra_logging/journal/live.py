"""The segment that a process appends to: a mapping that takes lines until it is full."""

from __future__ import annotations

import _thread
import mmap
import os
import sys
from pathlib import Path

from spectra_logging.journal.framing import count_lines
from spectra_logging.journal.segment import PIECE_BYTES, SegmentName, create_segment

__all__ = ["LiveSegment"]


class LiveSegment:
    """A mapped segment that takes lines from any thread, without a lock.

    ``mmap.write`` stores a line behind the one before it, or raises, in one call that holds the GIL
    throughout: no other thread, signal handler or finaliser gets in between. All else that moves
    the mapping's position therefore does so in one call too.

    Args:
        directory: The journal's folder.
        name: The segment's name.
        size: Its size in bytes.

    Attributes:
        name: The segment's name.
        write: Appends a line; raises ``ValueError`` when there is no room for it, or when no more
            lines are taken.

    Raises:
        OSError: The disk is full, or the folder can't be written to.
    """

    def __init__(self, directory: Path, name: SegmentName, size: int) -> None:
        self.name = name
        self._size = size
        self._map = create_segment(directory / str(name), size)
        self._ended_at: int | None = None
        self._counted = 0, 0
        self.write = self._map.write

    @property
    def end(self) -> int:
        """The byte after the last line."""
        return self._map.tell() if self._ended_at is None else self._ended_at

    @property
    def row_count(self) -> int:
        """How many lines it holds."""
        end = self.end
        # Bytes and rows together: a signal handler may raise here, or count them itself.
        start, rows = self._counted
        while start < end:
            until = min(end, start + PIECE_BYTES)
            piece: bytes = self._map[start:until]
            start, rows = self._counted = until, rows + count_lines(piece)
        return rows

    def end_here(self) -> None:
        """Take no more lines, until :meth:`go_on`."""
        while self._ended_at is None:
            end = self._map.tell()
            try:
                # To the mapping's end, unless a line has come since: then this is beyond it.
                self._map.seek(self._size - end, os.SEEK_CUR)
            except ValueError:
                continue
            self._ended_at = end

    def go_on(self) -> None:
        """Take lines again."""
        if self._ended_at is not None:
            end, self._ended_at = self._ended_at, None
            self._map.seek(end)

    def fault_in(self) -> None:
        """Have the kernel make the segment's pages ready, on a thread that ends with that.

        The first store to a page of a fresh mapping takes longer than all else about a record.
        """
        if sys.platform == "linux":
            try:
                _thread.start_new_thread(_populate, (self._map,))
            except RuntimeError:
                pass  # Python starts no more threads: the stores do it, page by page.

    def close(self) -> None:
        """Unmap the segment; ``write`` raises from now on."""
        self.end_here()
        try:
            self._map.close()
        except BufferError:
            pass  # Its pages are being made ready; it is unmapped when nobody knows it any more.


_MADV_POPULATE_WRITE = 23


def _populate(segment: mmap.mmap) -> None:
    try:
        # ctypes lets the GIL go meanwhile; mmap.madvise keeps it.
        import ctypes

        first_byte = ctypes.c_char.from_buffer(segment)
        address, size = ctypes.addressof(first_byte), len(segment)
        del first_byte
        # It changes no byte and minds no page that is unmapped by now; kernels before 5.14 refuse.
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(address), ctypes.c_size_t(size), _MADV_POPULATE_WRITE
        )
    except Exception:  # noqa: BLE001, S110 - then the stores do it, page by page
        pass
