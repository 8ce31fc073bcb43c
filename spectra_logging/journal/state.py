"""What a journal remembers between drains.

That is which batch is the newest, and how much of each segment is in the table.

The state is one small JSON file, replaced by rename. Sealing a batch *is* that rename: before it,
the batch does not exist; after it, the same bytes make up that batch for whoever commits it. Two
copies are kept, since losing the state to a flipped bit would mean not knowing what was committed.
"""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path
from zlib import crc32

import msgspec

from spectra_logging.journal.files import replace_file

__all__ = [
    "DRAIN_LOCK",
    "SEAL_LOCK",
    "BatchRange",
    "JournalState",
    "SealedBatch",
    "SegmentProgress",
    "StateFile",
    "new_application_id",
]

DRAIN_LOCK = "drain.lock"
"""Held by the one process that drains, for as long as a drain takes."""

SEAL_LOCK = "seal.lock"
"""Held while a batch is sealed, and by an owner that gives up an old segment: so no segment is
given up that a batch has just taken."""


class SegmentProgress(msgspec.Struct, kw_only=True):
    """How much of a segment has been taken into committed batches.

    Args:
        offset: Bytes from the segment's start.
        written: Records of those bytes that are in the table.
        quarantined: Pieces of those bytes that could not be delivered.
    """

    offset: int = 0
    written: int = 0
    quarantined: int = 0


class BatchRange(msgspec.Struct, kw_only=True):
    """The part of one segment that a batch takes.

    Args:
        start: First byte.
        end: Byte after the last.
        rows: Sound records in between.
        damaged: Pieces in between that are no sound record.
    """

    start: int
    end: int
    rows: int
    damaged: int = 0


class SealedBatch(msgspec.Struct, kw_only=True):
    """A batch that is fixed but not known to be committed.

    Args:
        number: Version of the Delta transaction.
        ranges: Segment name → the part of it that the batch takes.
    """

    number: int
    ranges: dict[str, BatchRange]


class JournalState(msgspec.Struct, kw_only=True):
    """The state file's content.

    Args:
        application_id: Application id of the journal's Delta transactions.
        place: Where the journal was when it got that id.
        committed_batch: Number of the newest batch known to be in the table; 0 for none.
        sealed: The batch in flight, if there is one.
        segments: Segment name → progress, for segments that still exist.
    """

    application_id: str
    place: str = ""
    committed_batch: int = 0
    sealed: SealedBatch | None = None
    segments: dict[str, SegmentProgress] = msgspec.field(default_factory=dict)

    def progress(self, segment: str) -> SegmentProgress:
        """The progress of a segment; that of an untouched one when nothing is known of it."""
        return self.segments.get(segment) or SegmentProgress()


# Made here, as all decoders of structs are: msgspec 0.22 ends the process with a segmentation fault
# when a thread decodes a struct while another's first decode of it is still finding out its types.
_state = msgspec.json.Decoder(JournalState)


class StateFile:
    """The two copies of a journal's state.

    Args:
        directory: The journal's folder.
    """

    def __init__(self, directory: Path) -> None:
        self._copies = (directory / "state.json", directory / "state-copy.json")

    def load(self) -> JournalState | None:
        """The newest sound copy; ``None`` when there is none.

        Raises:
            OSError: A copy can't be read now, which says nothing about what is in it.
        """
        for path in self._copies:
            try:
                checksum, _, body = path.read_bytes().partition(b"\n")
                if checksum == b"%08x" % crc32(body):
                    return _state.decode(body)
            except (FileNotFoundError, msgspec.DecodeError):
                continue
        return None

    def load_or_create(self) -> JournalState:
        """The state, or a new journal's; damaged copies are set aside, not overwritten.

        A journal that has been copied, with an image or a backup of its machine, goes on under an
        id of its own. Its original counts batches up from the same number, and of two batches with
        one id and number the table takes the first alone.

        Raises:
            OSError: The state can't be read or written now.
        """
        state, place = self.load(), _place(self._copies[0].parent)
        if state is None:
            for path in self._copies:
                if path.exists():
                    replace_file(path, path.with_name(f"{path.name}.damaged-{os.urandom(4).hex()}"))
            state = JournalState(application_id=new_application_id(), place=place)
            self.save(state)
        elif state.place != place and state.sealed is None:
            state.application_id, state.place = new_application_id(), place
            self.save(state)
        return state

    def save(self, state: JournalState) -> None:
        """Replace both copies, the first first: it is the one that :meth:`load` prefers."""
        body = msgspec.json.encode(state)
        content = b"%08x\n%b" % (crc32(body), body)
        for path in self._copies:
            temporary = path.with_suffix(".new")
            temporary.write_bytes(content)
            replace_file(temporary, path)


def new_application_id() -> str:
    """An id for a journal's Delta transactions, which no other journal has."""
    return f"spectra-logging-{os.urandom(16).hex()}"


def _place(folder: Path) -> str:
    """What tells a folder from its copies, whichever machine or container they are on."""
    found = os.stat(folder)
    return f"{_machine()} {found.st_dev}:{found.st_ino}"


@functools.cache
def _machine() -> str:
    try:
        # Unlike a host's name, the same in all containers that may share a folder, and another in
        # each copy of a machine that has been started.
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return socket.gethostname()
