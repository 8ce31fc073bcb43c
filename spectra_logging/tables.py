"""Table specs: a table is declared once, and everything else reads that declaration.

Creation, additive evolution, the rows that :mod:`spectra_logging.record` builds, validation and the
data dictionary in the docs all come from the :class:`TableSpec` objects here and in
``spectra_stage.tables``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from spectra_logging._version import __version__
from spectra_logging.errors import ConfigurationError
from spectra_logging.identifiers import new_activity_id

__all__ = [
    "ACTIVITY_LOG",
    "EVENT_LOG",
    "SCALAR_TYPES",
    "Column",
    "TableSpec",
    "is_type_of_spec",
    "load_spec",
]

SCALAR_TYPES = ("string", "long", "integer", "double", "boolean", "timestamp", "date")
"""Delta's own names. ``timestamp`` is UTC with a zone, in microseconds."""

_ARRAY_TYPES = tuple(f"array<{name}>" for name in SCALAR_TYPES if name not in ("timestamp", "date"))


Default: TypeAlias = str | int | float | bool | Callable[[], str] | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Args:
        name: The column's name as it stands in the Delta table.
        type: Delta's name of the type. A spec's columns are of those in :data:`SCALAR_TYPES`, or
            ``array<…>`` of one but times; a table that others made may hold more.
        nullable: Whether the column may hold null.
        comment: One line for the data dictionary and the table's metadata.
        default: What a log record without this field gets in a column that is never null, or a
            function that gives it.
        minimum: The least value that is valid.
        maximum: The greatest.
        allowed_values: The only values that are valid.
        pattern: A regular expression that a valid text matches whole.
        json: ``object`` or ``array`` when a valid text is one as JSON, ``any`` for any JSON.

    The last five say what validation expects; nothing keeps other values from being written.
    """

    name: str
    type: str
    nullable: bool = True
    comment: str = ""
    default: Default = None
    minimum: float | None = None
    maximum: float | None = None
    allowed_values: tuple[str, ...] = ()
    pattern: str | None = None
    json: Literal["object", "array", "any"] | None = None


@dataclass(frozen=True, kw_only=True)
class TableSpec:
    """A table declared once.

    Args:
        name: The table's dotted name, ``log.events``.
        columns: The columns, in order.
        comment: One line for the data dictionary and the table's metadata.
        json_column: The string column that takes, as one JSON object, the fields of a log record
            that have no column of their own; ``None`` for tables that no handler writes to.
        keys: Names of the columns that are unique together.
        properties: Delta table properties to set at creation.

    Raises:
        ConfigurationError: A column's type is unknown, two columns share a name in any case, or
            ``json_column`` or a key is no column.
    """

    name: str
    columns: tuple[Column, ...]
    comment: str = ""
    json_column: str | None = None
    keys: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for column in self.columns:
            if not column.name or not is_type_of_spec(column.type):
                raise ConfigurationError(
                    f"spec {self.name!r}: column {column.name!r} of type {column.type!r} needs a "
                    f"name, and a type that is one of {', '.join(SCALAR_TYPES + _ARRAY_TYPES)}"
                )
        names = [column.name for column in self.columns]
        folded = [name.lower() for name in names]
        doubled = sorted({name for name in names if folded.count(name.lower()) > 1})
        if doubled:
            raise ConfigurationError(
                f"spec {self.name!r} declares twice: {', '.join(doubled)}; the names of a Delta "
                "table's columns differ by more than case"
            )
        for name in (*self.keys, *([self.json_column] if self.json_column else [])):
            if name not in names:
                raise ConfigurationError(f"spec {self.name!r} has no column {name!r}")
        if self.json_column and self[self.json_column].type != "string":
            raise ConfigurationError(
                f"spec {self.name!r}: json_column {self.json_column!r} must be a string column"
            )

    def __getitem__(self, name: str) -> Column:
        """The column of that name; ``KeyError`` when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


def is_type_of_spec(column_type: str) -> bool:
    """Whether a spec's columns may be of that type; a table that others made may hold more."""
    return column_type in SCALAR_TYPES or column_type in _ARRAY_TYPES


LOG_RETENTION = MappingProxyType(
    {
        "delta.logRetentionDuration": "interval 3 days",
        "delta.deletedFileRetentionDuration": "interval 3 days",
    }
)
"""How long upkeep keeps what it has replaced, of tables that are committed to all day long.

A reader that comes for what is new, such as a stream, misses nothing while it is no more than
three days behind: a daily one may skip a weekend. Delta's own 30 days would keep half a million log
entries of a table that is committed to every five seconds, and whoever opens the table lists them.
"""


def _required(name: str, type: str, comment: str, default: Default = None, **valid: Any) -> Column:
    return Column(name=name, type=type, nullable=False, comment=comment, default=default, **valid)


def _optional(name: str, type: str, comment: str, **valid: Any) -> Column:
    return Column(name=name, type=type, comment=comment, **valid)


EVENT_LOG = TableSpec(
    name="log.events",
    comment="Ordinary log lines, one row a log call.",
    json_column="context",
    properties=LOG_RETENTION,
    columns=(
        _required("recorded_at", "timestamp", "When the log call was made."),
        _required(
            "level", "string", "DEBUG, INFO, WARNING, ERROR, CRITICAL or a level of your own."
        ),
        _required("logger", "string", "The logger's dotted name."),
        _required("event", "string", "The message with its arguments filled in."),
        _optional("execution_id", "string", "The session's id, when the call was made within one."),
        _optional("exception", "string", "The traceback as text."),
        _optional("module", "string", "The module that made the call."),
        _optional("function", "string", "The function that made the call."),
        _optional("line", "integer", "The line that made the call."),
        _optional("thread", "string", "The calling thread's name."),
        _optional("process_id", "integer", "The calling process."),
        _optional("host", "string", "The machine's name."),
        _optional("trace_id", "string", "OpenTelemetry's trace id, 32 hex digits."),
        _optional("span_id", "string", "OpenTelemetry's span id, 16 hex digits."),
        _optional(
            "context", "string", "Every other field of the record, one JSON object.", json="object"
        ),
    ),
)
"""``log.events``: ordinary log lines."""


ACTIVITY_LOG = TableSpec(
    name="log.activity",
    comment="What each notebook run did: one row a record() or log_activity().",
    json_column="metadata",
    properties=LOG_RETENTION,
    keys=("activity_id",),
    columns=(
        _required(
            "execution_id",
            "string",
            "One a session: <notebook>_<YYYYMMDD>_<HHMMSS>_<microseconds>.",
            "unknown",
        ),
        _required("activity_id", "string", "Unique a row; sorts by time.", new_activity_id),
        _required("event", "string", "record, or the activity's name."),
        _required("level", "string", "The log level."),
        _required("notebook_name", "string", "The notebook that ran.", "unknown"),
        _required("stage", "string", "The SPECTRA stage it belongs to.", "unknown"),
        _required("source_system", "string", "Key of the source system.", "unknown"),
        _required("source_name", "string", "The source system's name for people.", "unknown"),
        _required("workspace_id", "string", "Fabric workspace, or local.", "local"),
        _required("lakehouse_id", "string", "Fabric lakehouse, or local.", "local"),
        _required("lakehouse_name", "string", "The lakehouse's name, or local.", "local"),
        _required(
            "execution_mode",
            "string",
            "interactive, pipeline or local.",
            "local",
            allowed_values=("interactive", "pipeline", "local"),
        ),
        _required(
            "status",
            "string",
            "Success or Failed.",
            "Success",
            allowed_values=("Success", "Failed"),
        ),
        _optional("error_type", "string", "Class of the error."),
        _optional("error_message", "string", "The error in words."),
        _optional("capabilities", "string", "What the run established, comma-separated, in order."),
        _required(
            "duration_seconds", "double", "Seconds from start_time to end_time.", 0.0, minimum=0
        ),
        _optional(
            "error_summary",
            "string",
            "Errors by category, code and type: a JSON object.",
            json="object",
        ),
        _optional("parameters", "string", "The run's parameters: a JSON object.", json="object"),
        _optional("entity_name", "string", "The entity an activity was about."),
        _optional("target_table", "string", "The table it wrote."),
        _optional("key_column", "string", "That table's key."),
        _optional("project_key", "string", "The source's project."),
        _optional("row_count", "long", "Rows written.", minimum=0),
        _optional("field_count", "long", "Fields a row.", minimum=0),
        _optional("metadata", "string", "Every other field, one JSON object.", json="object"),
        _required("start_time", "timestamp", "When the run or activity began."),
        _required("end_time", "timestamp", "When it ended."),
        _required("recorded_at", "timestamp", "When the log call was made."),
        _required("sdk_version", "string", "Version of spectra-logging.", __version__),
        _required("host", "string", "The machine's name."),
        _required("process_id", "integer", "The process."),
        _optional("trace_id", "string", "OpenTelemetry's trace id, 32 hex digits."),
        _optional("span_id", "string", "OpenTelemetry's span id, 16 hex digits."),
    ),
)
"""``log.<stage>log``: what each notebook run did."""

_NAMED = {"activity": ACTIVITY_LOG, "events": EVENT_LOG}


def load_spec(spec: str) -> TableSpec:
    """The spec of that name.

    Args:
        spec: ``activity``, ``events`` or ``package.module:NAME``. A name, since whichever process
            drains a journal has to find its spec.

    Raises:
        ConfigurationError: The name is none of these, can't be imported, or names something else.
    """
    known = f"spec may be {', '.join(sorted(_NAMED))} or package.module:NAME of a TableSpec"
    if not isinstance(spec, str):
        given = f"the TableSpec {spec.name!r} itself" if isinstance(spec, TableSpec) else repr(spec)
        raise ConfigurationError(f"spec={given} is no name; {known}, as text")
    if spec in _NAMED:
        return _NAMED[spec]
    module_name, colon, name = spec.partition(":")
    if not (colon and module_name and name):
        raise ConfigurationError(f"spec={spec!r} is not known; {known}")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except Exception as error:  # the module is the user's, and may raise whatever it likes
        reason = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"spec={spec!r} can't be loaded: {reason}; {known}") from error
    if not isinstance(found, TableSpec):
        raise ConfigurationError(f"spec={spec!r} is a {type(found).__name__}; {known}")
    return found
