"""delta-rs's errors → ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError
from deltalake.exceptions import TableNotFoundError as DeltaTableNotFoundError

from spectra_logging.errors import (
    ConfigurationError,
    LakehouseError,
    RowsRejectedError,
    SchemaConflictError,
    TableForbiddenError,
    TableNotFoundError,
    TableUnavailableError,
    TableUnreadableError,
    UnsupportedFeaturesError,
)
from spectra_logging.lakehouse.folders import file_in_the_way

__all__ = ["in_one_line", "translated"]

# delta-rs has no classes for these.
_LACKING = re.compile(
    "Unsupported table features|Kernel error: Unsupported|not yet supported"
    "|Column mapping is not supported"
)
"""What delta-rs says of a table whose Delta features it lacks, and of column mapping."""

_FORBIDDEN = re.compile(
    r"status code: 40[13] |lacked (?:the necessary privileges|valid authentication)"
    r"|<Code>(?:InvalidAuthenticationInfo|ExpiredToken)<|Permission denied"
)
"""What file systems say, and stores of 401, of 403, and of the 400 that Azure has for some, and S3
for tokens that are over."""

_UNREACHED = re.compile(r"Generic (?:S3|MicrosoftAzure|GCS|HTTP) error")
"""What delta-rs says of a store that does not answer as it should, whatever it wanted of it."""

_UNREADABLE = re.compile(
    r"Kernel error: Json error|No table metadata or protocol found|Parquet error: Parquet error"
)
"""What delta-rs says of a damaged log or data file."""


@contextmanager
def translated(table: str) -> Iterator[None]:
    """Raise our errors in place of delta-rs's, with the table in the message.

    ``KeyboardInterrupt`` and ``SystemExit`` pass; a panic in Rust, which is a ``BaseException``
    of pyo3's, does not.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, LakehouseError, ConfigurationError):
        raise
    except BaseException as error:
        raise _translate(error, table) from error


def _translate(error: BaseException, table: str) -> LakehouseError:
    reason = in_one_line(error)
    if (file := file_in_the_way(table)) is not None:
        return LakehouseError(
            f"{table} can't be a table, since {file} is a file. Move the file away, or name "
            "another table."
        )
    if (of_the_table := _about_the_table(reason, table)) is not None:
        return of_the_table
    if isinstance(error, DeltaTableNotFoundError):
        if "Could not create local directory" in reason:
            return TableUnavailableError(f"{table} can't be created: {reason}")
        if "Unknown scheme" in reason:
            # Not delta-rs's words: it lists forty schemes, and lacks most of what is behind them.
            return LakehouseError(
                f"{table} is on no store that the embedded engine knows. Addresses begin with "
                "s3://, abfss://, az:// or gs://; what Azure and OneLake show as https:// is "
                "abfss://<container or workspace>@<host>/<path>."
            )
        return TableNotFoundError(f"there is no Delta table at {table}")
    if isinstance(error, SchemaMismatchError):
        return SchemaConflictError(table, [reason])
    if isinstance(error, DeltaError) and "failed validation check" in reason:
        return RowsRejectedError(f"{table} refuses rows: {reason}")
    # Told as a failed commit, before which no other came.
    only_grows = "Delta table is append-only" in reason
    if only_grows or (isinstance(error, DeltaError) and not isinstance(error, CommitFailedError)):
        return LakehouseError(f"{table}: {reason}")
    # OSError: the store. CommitFailedError: somebody else was faster. A panic says nothing about
    # the rows, so they are worth another try too.
    if isinstance(error, (OSError, CommitFailedError)) or not isinstance(error, Exception):
        return TableUnavailableError(f"{table}: {reason}")
    return LakehouseError(f"{table}: {type(error).__name__}: {reason}")


def _about_the_table(reason: str, table: str) -> LakehouseError | None:
    """What keeps the table from being read at all, told by words alone."""
    if _LACKING.search(reason):
        return UnsupportedFeaturesError(table, reason)
    if _FORBIDDEN.search(reason):
        return TableForbiddenError(f"{table}: the store denies access: {reason}")
    if _UNREACHED.search(reason):
        return TableUnavailableError(f"{table}: {reason}")
    if _UNREADABLE.search(reason):
        return TableUnreadableError(f"{table} can't be read: {reason}")
    return None


def in_one_line(error: BaseException) -> str:
    """An error's text: delta-rs draws its chain of causes over several lines, with colours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    # A backtrace of the engine's own, which says nothing without its symbols.
    plain = re.sub(r"(?m)^ *[0-9]+: (?:<unknown>|[\w:]+(?: at |\n|$)).*$", "", plain)
    # A picture of the rows that a constraint keeps out.
    plain = plain.partition("Preview of invalid data")[0]
    return re.sub(r"\s*↳\s*", ": ", " ".join(plain.split()))
