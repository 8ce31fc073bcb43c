"""Where a table is, and where its journal is."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from spectra_logging.errors import ConfigurationError
from spectra_logging.fabric import MOUNTED_LAKEHOUSE, default_lakehouse_uri

__all__ = [
    "absolute_root",
    "catalog_words",
    "is_catalog_name",
    "is_uri",
    "journal_folder_name",
    "journals_root",
    "lakehouse_root",
    "resolve_table",
    "table_below",
]

_LONGEST_NAME = 255
"""Of a folder, on nearly every file system; a table's name in a catalog may be three of them."""

_WORD = r"(?:[^\W\d]\w*|`(?:[^`/\\\0]|``)+`)"
_CATALOG_NAME = re.compile(rf"{_WORD}(?:\.{_WORD}){{1,3}}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+[^/].*")
_WITHOUT_AUTHORITY = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+:)/(?=[^/])")


def is_uri(table: str) -> bool:
    """Whether the table is named by a URI (``abfss://…``, ``dbfs:/…``) and not by a path."""
    return _URI.match(table) is not None


def _in_full(uri: str) -> str:
    """``dbfs:///…`` for ``dbfs:/…``, which is the same and how Spark writes it."""
    return _WITHOUT_AUTHORITY.sub(r"\1///", uri.rstrip("/"))


def is_catalog_name(table: str) -> bool:
    """Whether the table is named in a catalog: ``schema.table`` or ``catalog.schema.table``.

    Two to four words (Fabric's are ``workspace.lakehouse.schema.table``) with dots between and no
    slash; in backticks, as in SQL, a word that has other signs in it than letters, digits and
    underscores. A folder of such a name in the working directory is told apart by how it is
    written: ``./schema.table``.
    """
    return _CATALOG_NAME.fullmatch(table) is not None


def catalog_words(name: str) -> list[str]:
    """The words of a name in a catalog, without the backticks that some may have."""
    return [
        word[1:-1].replace("``", "`") if word.startswith("`") else word
        for word in re.findall(_WORD, name)
    ]


def resolve_table(table: str | os.PathLike[str], spark: Any | None = None) -> str:
    """The absolute path or URI of a table, or its name in a catalog.

    Args:
        table: A URI or a name in a catalog (see :func:`is_catalog_name`), kept as it is, but for
            ``dbfs:/…``, which becomes ``dbfs:///…``; an absolute path; a path below the lakehouse,
            ``Tables/log/sourcelog``, resolved against :func:`lakehouse_root`; or any other relative
            path, resolved against the working directory. In Fabric, a path into the mounted default
            lakehouse is taken for the lakehouse's own address: the mount can't keep two writers
            apart.
        spark: A Spark session that may know the default lakehouse.

    Raises:
        ConfigurationError: The table is empty, neither text nor a path, an unfinished URI, a
            ``Path`` made of a URI, below the home of a user who has none, or of bytes that are no
            UTF-8.
    """
    accepted = (
        "table may be a path, Tables/<schema>/<table>, a URI such as s3://bucket/table, or "
        "<schema>.<table> in a catalog"
    )
    if not isinstance(table, (str, os.PathLike)) or not str(table).strip():
        raise ConfigurationError(f"table={table!r} names no table; {accepted}")
    if isinstance(table, str) and is_catalog_name(table):
        return table
    table = _written_out("table", table)
    if is_uri(table):
        return _in_utf8(_in_full(table))
    if "://" in table or "\0" in table:
        raise ConfigurationError(f"table={table!r} is no usable path or URI; {accepted}")
    path = _at_home("table", table)
    if not path.is_absolute() and path.parts[:1] == ("Tables",):
        root = lakehouse_root(spark)
        if is_uri(root):
            return f"{root.rstrip('/')}/{path.as_posix()}"
        path = root / path
    path = _absolute(path)
    if path.is_relative_to(MOUNTED_LAKEHOUSE) and (uri := default_lakehouse_uri(spark)):
        return f"{uri}/{path.relative_to(MOUNTED_LAKEHOUSE).as_posix()}"
    return _in_utf8(str(path))


def _in_utf8(table: str) -> str:
    """The path as it is, if the journal and the engines, which know UTF-8 alone, can name it."""
    try:
        table.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"table={table!r} is no UTF-8 in its folder's name: name a table elsewhere, or set "
            "PYTHONUTF8=1 where the locale is none of UTF-8"
        ) from error
    return table


def table_below(root: str | os.PathLike[str] | None, table: str) -> str:
    """The absolute path or URI of a table, with relative paths below a root where there is one.

    Args:
        root: The folder or URI; by default as :func:`resolve_table` has it.
        table: The table's path or URI.

    Raises:
        ConfigurationError: As from :func:`resolve_table`.
    """
    if root is None or is_uri(table) or _at_home("table", table).is_absolute():
        return resolve_table(table)
    return resolve_table(f"{absolute_root(root).rstrip('/')}/{table}")


def absolute_root(root: str | os.PathLike[str], option: str = "root") -> str:
    """The absolute path or URI of the folder that holds ``Tables``.

    Args:
        root: The folder or URI.
        option: Where it was given, for the error's message.

    Raises:
        ConfigurationError: It is below the home of a user who has none, or a ``Path`` made of a
            URI.
    """
    root = _written_out(option, root)
    if is_uri(root):
        return _in_full(root)
    return str(_absolute(_at_home(option, root)))


def _written_out(option: str, path: str | os.PathLike[str]) -> str:
    """As text; a ``Path`` of a URI is refused, which has lost a slash and with it the host."""
    text = str(path)
    if not isinstance(path, str) and is_uri(Path(path).as_posix()) and "://" not in text:
        raise ConfigurationError(
            f"{option}={path!r} was a URI before pathlib took one of its slashes; give it as text"
        )
    return text


def _at_home(option: str, path: str | os.PathLike[str]) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigurationError(
            f"{option}={str(path)!r} begins with ~, and that user's home is not known"
        ) from error


def _absolute(path: Path) -> Path:
    """Absolute and without ``..``: one table has one name, from whatever folder it is named."""
    path = path.absolute()
    kept = Path(path.anchor)
    for part in path.parts[1:]:
        if part != "..":
            kept /= part
        else:
            # What is above a link is above the folder that it leads to.
            kept = Path(os.path.realpath(kept) if os.path.islink(kept) else kept).parent
    return kept


def lakehouse_root(spark: Any | None = None) -> str:
    """The folder or URI that holds ``Tables``.

    ``SPECTRA_ROOT`` where that is set; else in Fabric the default lakehouse, by its address where
    the runtime tells it, else by where it is mounted; else the working directory.

    Args:
        spark: A Spark session that may know the default lakehouse.

    Raises:
        ConfigurationError: ``SPECTRA_ROOT`` is below the home of a user who has none.
    """
    root = os.environ.get("SPECTRA_ROOT")
    if root:
        return absolute_root(root, "SPECTRA_ROOT")
    if uri := default_lakehouse_uri(spark):
        return uri
    mounted = MOUNTED_LAKEHOUSE.is_dir()
    return str(MOUNTED_LAKEHOUSE if mounted else Path.cwd())


def journals_root(journal_directory: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds the journals of all tables.

    Args:
        journal_directory: That folder; by default ``SPECTRA_JOURNAL_DIRECTORY``, else the user's
            state folder.

    Raises:
        ConfigurationError: It is not text, or below the home of a user who has none; or there is no
            absolute path to the user's state folder.
    """
    if journal_directory is not None and not isinstance(journal_directory, (str, os.PathLike)):
        raise ConfigurationError(f"journal_directory={journal_directory!r} must be a folder's path")
    base = journal_directory or os.environ.get("SPECTRA_JOURNAL_DIRECTORY")
    if base:
        return _at_home("journal_directory", base).absolute()
    import platformdirs

    homeless = ConfigurationError(
        "the user has no home to keep journals in, or HOME or XDG_STATE_HOME is no absolute path; "
        "name a folder by journal_directory or SPECTRA_JOURNAL_DIRECTORY"
    )
    try:
        root = platformdirs.user_state_path("spectra-logging") / "journals"
    except RuntimeError as error:
        raise homeless from error
    # Older releases raise nothing: then it would be a folder called ~, wherever the process is.
    if not root.is_absolute():
        raise homeless
    return root


def journal_folder_name(table: str, spec: str) -> str:
    """Name of the folder that holds one table's journal, below :func:`journals_root`.

    Every process that logs to the table on this machine meets there, so it follows from the
    table's place and the rows' spec alone.

    Args:
        table: The table as :func:`resolve_table` gives it.
        spec: The spec's name: rows of two specs can't be drained as one batch.
    """
    import hashlib  # loads OpenSSL, which importing the package need not

    # A store's address may hold a password.
    shown = re.sub(r"//[^/@]*:[^/@]*@", "//", table)
    readable = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(Path(shown).parts[-2:])).strip("-")
    identity = f"{table}\0{spec}".encode("utf-8", "surrogateescape")
    digest = f"-{hashlib.sha256(identity).hexdigest()[:12]}"
    return readable[: _LONGEST_NAME - len(digest)] + digest
