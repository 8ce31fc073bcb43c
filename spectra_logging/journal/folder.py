"""Journal folders: making one, finding those of a table, and what one holds."""

from __future__ import annotations

import errno
import logging
import os
import warnings
from pathlib import Path

import msgspec

from spectra_logging.errors import ConfigurationError, SpectraWarning
from spectra_logging.journal.files import remove_file, replace_file
from spectra_logging.journal.framing import count_lines
from spectra_logging.journal.locks import FileLock
from spectra_logging.journal.segment import (
    create_segment,
    list_segments,
    read_range,
    segment_bytes_on_disk,
)
from spectra_logging.journal.state import StateFile
from spectra_logging.paths import journal_folder_name, journals_root
from spectra_logging.shell import shell_word

__all__ = [
    "IDENTITY_FILE",
    "JournalFigures",
    "JournalIdentity",
    "drain_command",
    "find_journals",
    "journal_figures",
    "make_folder",
    "open_folder",
    "read_identity",
]

_logger = logging.getLogger("spectra_logging")

IDENTITY_FILE = "journal.json"


class JournalIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal is for; it never changes.

    Args:
        table: Path or URI of the table it drains to.
        spec: Name of the rows' spec, as ``DeltaHandler(spec=…)`` takes it.
    """

    table: str
    spec: str


_identity = msgspec.json.Decoder(JournalIdentity)


class JournalFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal holds.

    Args:
        directory: Its folder.
        table: Path or URI of the table it drains to.
        spec: Name of the rows' spec.
        pending_rows: Records not yet known to be in the table.
        bytes_on_disk: What its segments take up.
        segments: How many segments there are.
        quarantine_files: Files of what could not be delivered, below ``quarantine``.
        application_id: Application id of its Delta transactions; ``None`` before the first.
        committed_batch: Number of the newest committed batch; 0 before the first.
    """

    directory: Path
    table: str
    spec: str
    pending_rows: int
    bytes_on_disk: int
    segments: int
    quarantine_files: int
    application_id: str | None
    committed_batch: int


def open_folder(table: str, spec: str, journal_directory: str | os.PathLike[str] | None) -> Path:
    """The folder of a table's journal, made when it is missing.

    A place that can't be written to is told in a warning, and a folder for temporary files serves
    in its stead: the records are worth more than where they wait. So is one on a network share that
    knows no locks or mappings, where each record would be dropped.

    Args:
        table: Path or URI of the table.
        spec: Name of the rows' spec.
        journal_directory: The folder for all journals, where the user chose one.

    Raises:
        ConfigurationError: Neither place can be written to.
    """
    folder = journals_root(journal_directory) / journal_folder_name(table, spec)
    try:
        make_folder(folder, table, spec)
        _try_out(folder)
    except OSError as error:
        import tempfile  # not needed by those for whom all goes well

        user = getattr(os, "getuid", os.getpid)()
        try:
            fallback = Path(tempfile.gettempdir()) / f"spectra-logging-{user}" / folder.name
            _make_private(fallback.parent)
            _make_private(fallback)
            make_folder(fallback, table, spec)
            _try_out(fallback)
        except OSError as second:
            raise ConfigurationError(
                f"journal_directory={str(folder.parent)!r} can't be written to ({error}), and "
                f"neither can a folder for temporary files ({second}); name a folder that can"
            ) from second
        warnings.warn(
            f"journal_directory={str(folder.parent)!r} can't be written to ({error}); records are "
            f"journalled in {str(fallback)!r} instead",
            SpectraWarning,
            stacklevel=3,
        )
        return fallback
    return folder


def make_folder(folder: Path, table: str, spec: str) -> None:
    """Make a journal's folder, or what it lacks.

    Args:
        folder: The folder.
        table: Path or URI of the table.
        spec: Name of the rows' spec.

    Raises:
        OSError: It can't be written to.
    """
    identity = msgspec.json.encode(JournalIdentity(table=table, spec=spec))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Not by the process's number alone: two threads may make handlers for one table at once.
    temporary = folder / f"{IDENTITY_FILE}.{os.urandom(6).hex()}"
    temporary.write_bytes(identity)
    replace_file(temporary, folder / IDENTITY_FILE)


def _make_private(folder: Path) -> None:
    """Make a folder that this user alone can enter, where others can make folders, too.

    Raises:
        OSError: It can't be made, or another user was there first, who could read what is in it.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "geteuid") and os.lstat(folder).st_uid != os.geteuid():
        raise PermissionError(errno.EACCES, "it is another user's", str(folder))
    folder.chmod(0o700)


def _try_out(folder: Path) -> None:
    """Do what a journal takes besides: map a file, and lock one.

    Raises:
        OSError: The file system can't.
    """
    trial = folder / f"trial.{os.urandom(6).hex()}"
    create_segment(trial, 1).close()
    lock = FileLock(trial)
    try:
        lock.acquire()
        lock.release()
    finally:
        remove_file(trial)


def find_journals(
    table: str, journal_directory: str | os.PathLike[str] | None = None
) -> list[Path]:
    """The folders on this machine that hold journals of a table, whatever their spec.

    One that doesn't tell what it is for is passed over, with a warning in the log.
    """
    found = []
    for path in sorted(journals_root(journal_directory).glob(f"*/{IDENTITY_FILE}")):
        try:
            identity = read_identity(path.parent)
        except ConfigurationError as error:
            # Most likely another table's, so it must not keep this one's from being drained.
            _logger.warning("passed over: %s", error)
            continue
        if identity.table == table:
            found.append(path.parent)
    return found


def drain_command(table: str, directory: Path) -> str:
    """What to type to have a table's journal drained.

    Args:
        table: Path or URI of the table.
        directory: The journal's folder.
    """
    command = f"spectra log drain {shell_word(table)}"
    root = directory.parent
    if root == journals_root():
        return command
    return f"{command} --journal-directory {shell_word(str(root))}"


def read_identity(directory: Path) -> JournalIdentity:
    """What the journal in a folder is for.

    Raises:
        ConfigurationError: The folder holds no journal.
    """
    try:
        return _identity.decode((directory / IDENTITY_FILE).read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        # A text that is no UTF-8 is no error of msgspec's own.
        raise ConfigurationError(f"{str(directory)!r} holds no journal: {error}") from error


def journal_figures(directory: Path) -> JournalFigures:
    """What a journal holds at this moment.

    Raises:
        ConfigurationError: The folder holds no journal.
    """
    identity = read_identity(directory)
    state = StateFile(directory).load()
    segments = list_segments(directory)
    pending = 0
    for name in segments:
        offset = state.progress(str(name)).offset if state else 0
        try:
            pending += count_lines(read_range(directory / str(name), offset))
        except FileNotFoundError:
            continue
    return JournalFigures(
        directory=directory,
        table=identity.table,
        spec=identity.spec,
        pending_rows=pending,
        bytes_on_disk=segment_bytes_on_disk(directory),
        segments=len(segments),
        quarantine_files=len(list(directory.glob("quarantine/*.ndjson"))),
        application_id=state.application_id if state else None,
        committed_batch=state.committed_batch if state else 0,
    )
