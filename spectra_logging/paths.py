"""Where a table is, and where its journal is."""

from __future__ import annotations

import os
import re
from pathlib import Path

from spectra_logging.errors import ConfigurationError

__all__ = [
    "is_catalog_name",
    "is_uri",
    "journal_folder_name",
    "journals_root",
    "lakehouse_root",
    "resolve_table",
]

FABRIC_LAKEHOUSE = Path("/lakehouse/default")
"""Where Fabric mounts a notebook's default lakehouse."""

_CATALOG_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*){1,2}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.+")


def is_uri(table: str) -> bool:
    """Whether the table is named by a URI (``abfss://…``, ``s3://…``) and not by a path."""
    return _URI.match(table) is not None


def is_catalog_name(table: str) -> bool:
    """Whether the table is named in a catalog: ``schema.table`` or ``catalog.schema.table``.

    Two or three words with dots between and no slash. A folder of such a name in the working
    directory is told apart by how it is written: ``./schema.table``.
    """
    return _CATALOG_NAME.fullmatch(table) is not None


def resolve_table(table: str) -> str:
    """The absolute path or URI of a table, or its name in a catalog.

    Args:
        table: A URI or a name in a catalog (see :func:`is_catalog_name`), kept as it is; an
            absolute path; a path below the lakehouse,
            ``Tables/log/sourcelog``, resolved against Fabric's default lakehouse where one is
            mounted, else against ``SPECTRA_ROOT``, else the working directory; or any other
            relative path, resolved against the working directory.

    Raises:
        ConfigurationError: The table is empty, not text, or an unfinished URI.
    """
    accepted = (
        "table may be a path, Tables/<schema>/<table>, a URI such as s3://bucket/table, or "
        "<schema>.<table> in a catalog"
    )
    if not isinstance(table, (str, os.PathLike)) or not str(table).strip():
        raise ConfigurationError(f"table={table!r} names no table; {accepted}")
    if isinstance(table, str) and is_catalog_name(table):
        return table
    table = str(table)
    if is_uri(table):
        return table.rstrip("/")
    if "://" in table or "\0" in table:
        raise ConfigurationError(f"table={table!r} is no usable path or URI; {accepted}")
    path = Path(table).expanduser()
    if not path.is_absolute() and path.parts[:1] == ("Tables",):
        path = lakehouse_root() / path
    return str(path.absolute())


def lakehouse_root() -> Path:
    """The folder that holds ``Tables``: Fabric's, else ``SPECTRA_ROOT``, else the working one."""
    if FABRIC_LAKEHOUSE.is_dir():
        return FABRIC_LAKEHOUSE
    return Path(os.environ.get("SPECTRA_ROOT") or ".").absolute()


def journals_root(journal_directory: str | None = None) -> Path:
    """The folder that holds the journals of all tables.

    Args:
        journal_directory: That folder; by default ``SPECTRA_JOURNAL_DIRECTORY``, else the user's
            state folder.
    """
    base = journal_directory or os.environ.get("SPECTRA_JOURNAL_DIRECTORY")
    if base:
        return Path(base).expanduser().absolute()
    import platformdirs

    return platformdirs.user_state_path("spectra-logging") / "journals"


def journal_folder_name(table: str, spec: str) -> str:
    """Name of the folder that holds one table's journal, below :func:`journals_root`.

    Every process that logs to the table on this machine meets there, so it follows from the
    table's place and the rows' spec alone.

    Args:
        table: The table as :func:`resolve_table` gives it.
        spec: The spec's name: rows of two specs can't be drained as one batch.
    """
    import hashlib  # loads OpenSSL, which importing the package need not

    readable = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(Path(table).parts[-2:])).strip("-")
    identity = f"{table}\0{spec}".encode("utf-8", "surrogateescape")
    return f"{readable}-{hashlib.sha256(identity).hexdigest()[:12]}"
