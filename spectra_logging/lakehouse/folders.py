"""Which folder a table is, where it is on a file system, and what keeps it from being one."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from spectra_logging.errors import LakehouseError
from spectra_logging.paths import is_uri

__all__ = ["file_in_the_way", "local_folder"]

_UNUSABLE = re.compile(r"%[0-9A-Fa-f]{2}|[\[\]^|\\\x00-\x1f\x7f]")
"""What in a path delta-rs reads as something else, or ends with a panic or an error at."""


def local_folder(table: str) -> Path | None:
    """A table's folder; ``None`` when the table is not on a file system.

    Raises:
        LakehouseError: delta-rs would look for the table somewhere else, or can't write there.
    """
    path = unquote(urlsplit(table).path) if is_uri(table) else PurePath(table).as_posix()
    folder = _folder(table)
    if folder is not None and (unusable := _UNUSABLE.search(path)) is not None:
        raise LakehouseError(
            f"delta-rs can't write to {table!r} for the {unusable[0]!r} in it. Choose a path "
            r"without % before two hex digits, [ ] ^ | \ and control characters."
        )
    return folder


def file_in_the_way(table: str) -> Path | None:
    """The file, if there is one, where a table's folder, its log's or one above would have to be.

    delta-rs tells of one as of a path that does not exist.
    """
    folder = _folder(table)
    for path in (folder / "_delta_log", folder, *folder.parents) if folder else ():
        if os.path.exists(path):
            return None if os.path.isdir(path) else path
    return None


def _folder(table: str) -> Path | None:
    if not is_uri(table):
        return Path(table)
    parts = urlsplit(table)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None
