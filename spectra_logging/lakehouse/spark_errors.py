"""Spark's errors → ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from spectra_logging.errors import (
    LakehouseError,
    RowsRejectedError,
    SchemaConflictError,
    SpectraError,
    TableForbiddenError,
    TableNotFoundError,
    TableUnavailableError,
    TableUnreadableError,
)

__all__ = [
    "OccupiedError",
    "OvertakenError",
    "PatchyLogError",
    "SessionExpiredError",
    "translated",
]


class SessionExpiredError(TableUnavailableError):
    """The Spark Connect server has dropped our session, as it does after an hour without a call."""


class OvertakenError(TableUnavailableError):
    """Another commit came first; the change may be planned anew."""


class OccupiedError(OvertakenError):
    """The folder of a table to be made holds something: another process may be making it."""


class PatchyLogError(TableUnreadableError):
    """Entries were missing from a listing of the log.

    They are missing; or others committed while it was listed, which a folder's listing may show in
    part, the later without the earlier. Then the next listing has them.
    """


# Words in an error's condition, class or text that tell its kind, in the order to look for them.
_WORDS: dict[type[LakehouseError], str] = {
    SessionExpiredError: "INVALID_HANDLE\\.SESSION",
    OccupiedError: "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION",
    OvertakenError: """
        DELTA_CONCURRENT DELTA_METADATA_CHANGED DELTA_PROTOCOL_CHANGED Concurrent\\w+Exception
        MetadataChangedException ProtocolChangedException FileAlreadyExistsException
        TABLE_OR_VIEW_ALREADY_EXISTS TABLE_ALREADY_EXISTS FIELD_ALREADY_EXISTS
        FIELDS_ALREADY_EXISTS DELTA_DUPLICATE_COLUMNS_FOUND
    """,
    TableNotFoundError: """
        PATH_NOT_FOUND DELTA_TABLE_NOT_FOUND TABLE_OR_VIEW_NOT_FOUND DELTA_PATH_DOES_NOT_EXIST
        DELTA_MISSING_DELTA_TABLE DELTA_TABLE_ONLY_OPERATION SCHEMA_NOT_FOUND
        is\\snot\\sa\\sDelta\\stable No\\scommit\\sfiles\\sfound Path\\sdoes\\snot\\sexist
    """,
    TableForbiddenError: """
        AccessControlException AccessDenied Access\\sdenied Permission\\sdenied Forbidden
        INSUFFICIENT_PERMISSIONS PERMISSION_DENIED UNAUTHORIZED_ACCESS
        AuthorizationPermissionMismatch status\\scode:\\s40[13]\\b
    """,
    RowsRejectedError: """
        DELTA_NOT_NULL_CONSTRAINT NOT_NULL_ASSERT_VIOLATION DELTA_VIOLATE_CONSTRAINT
        DELTA_EXCEED_CHAR_VARCHAR_LIMIT EXCEED_LIMIT_LENGTH
        DELTA_CAST_OVERFLOW CAST_OVERFLOW CAST_INVALID_INPUT NOT\\sNULL\\sconstraint
    """,
    SchemaConflictError: """
        schema\\smismatch DELTA_FAILED_TO_MERGE_FIELDS Failed\\sto\\smerge\\sfields
        DELTA_MERGE_INCOMPATIBLE INCOMPATIBLE_DATA_FOR_TABLE
    """,
    PatchyLogError: "DELTA_VERSIONS_NOT_CONTIGUOUS DELTA_TRUNCATED_TRANSACTION_LOG",
    TableUnreadableError: """
        DELTA_UNSUPPORTED_FEATURES DELTA_INVALID_PROTOCOL_VERSION InvalidProtocolVersion
        DELTA_STATE_RECOVER DELTA_LOG_FILE_NOT_FOUND
        FAILED_READ_FILE CANNOT_READ_FILE
    """,
}
_PATTERNS = {kind: re.compile("|".join(words.split())) for kind, words in _WORDS.items()}

# Of a statement that no retry can mend.
_FAULTY = (
    "AnalysisException",
    "ParseException",
    "IllegalArgumentException",
    "ArithmeticException",
    "NumberFormatException",
    "DateTimeException",
    "UnsupportedOperationException",
)


@contextmanager
def translated(table: str, *, reading_rows: bool = False) -> Iterator[None]:
    """Raise our errors in place of Spark's, with the table in the message.

    Args:
        table: The table's place, or the places of several.
        reading_rows: Whether a statement of the caller's runs, in which a table that is not found
            is the statement's own fault.
    """
    try:
        yield
    except SpectraError:
        raise
    except Exception as error:
        raise _translate(error, table, reading_rows=reading_rows) from error


def _translate(error: Exception, table: str, *, reading_rows: bool) -> LakehouseError:
    reason = _reason(error)
    told = f"{_condition(error)} {type(error).__name__} {reason}"
    for kind, pattern in _PATTERNS.items():
        if not pattern.search(told):
            continue
        if kind is TableNotFoundError:
            if reading_rows:
                break
            why = f": {reason}" if "SCHEMA_NOT_FOUND" in told else ""
            return TableNotFoundError(f"there is no Delta table at {table}{why}")
        if kind is SchemaConflictError:
            return SchemaConflictError(table, [reason])
        return kind(f"{table}: {reason}")
    if type(error).__name__ in _FAULTY:
        return LakehouseError(f"{table}: {reason}")
    # The JVM, the network, a session that was stopped: what else can be the matter says nothing
    # about the rows, so they are worth another try.
    return TableUnavailableError(f"{table}: {reason}")


def _condition(error: Exception) -> str:
    """The error's condition, ``DELTA_TABLE_NOT_FOUND``, where it has one."""
    for name in ("getCondition", "getErrorClass"):
        method = getattr(error, name, None)
        if callable(method):
            return str(method())
    return ""


def _reason(error: Exception) -> str:
    """An error's text in one line, without the stack of the JVM and the statement's plan."""
    # Of a length: the message begins with the row's value.
    whole = re.sub(r'Value ".*?" exceeds char', "A value exceeds char", str(error), flags=re.DOTALL)
    text = whole.split("JVM stacktrace:")[0]
    # Of a constraint; what follows are the row's values.
    text = text.split(" violated by row with values")[0]
    # py4j tells of the call first and of the error then.
    text = re.sub(r"^An error occurred while calling [\w.]+\n: ", "", text)
    text = re.split(r"\n\s*at [\w.$/]+\(|\n;?\n?'?[A-Z]\w+ .*\n\+- |\n== SQL", text)[0]
    causes = re.findall(r"^Caused by: (.+)$", whole, re.MULTILINE)
    lines = [text, *causes[-1:]]
    return " ".join(" ".join(lines).split()) or type(error).__name__
