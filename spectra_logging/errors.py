"""Every error of ``spectra_logging``, in one tree; :mod:`spectra_stage.errors` has more branches.

::

    SpectraError
    ├── ConfigurationError (ValueError)     an option holds nonsense
    ├── EngineUnavailableError              the engine asked for can't run here
    ├── VariableNotFoundError (KeyError)    a required variable is set nowhere
    ├── StageFailedError                    a pipeline stage ended as failed
    └── LakehouseError                      an engine could not do what it was asked
        ├── TableNotFoundError              there is no Delta table at that place
        ├── TableForbiddenError             the store denies access to it
        ├── TableUnreadableError            its log or data are damaged, or of a newer kind
        │   └── UnsupportedFeaturesError    it uses Delta features that the engine lacks
        ├── SchemaConflictError             the table's columns contradict its spec
        ├── RowsRejectedError               some rows can't be read as the table's columns
        └── TableUnavailableError           the store or its log can't be reached; worth a retry

Foreign exceptions (delta-rs, Spark, the operating system) are translated where they enter,
with the original as ``__cause__``. Nothing here is ever raised out of a log call.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ConfigurationError",
    "EngineUnavailableError",
    "LakehouseError",
    "RowsRejectedError",
    "SchemaConflictError",
    "SpectraError",
    "SpectraWarning",
    "StageFailedError",
    "TableForbiddenError",
    "TableNotFoundError",
    "TableUnavailableError",
    "TableUnreadableError",
    "UnsupportedFeaturesError",
    "VariableNotFoundError",
]


class SpectraWarning(UserWarning):
    """Something was kept or worked around, and a person should know."""


class SpectraError(Exception):
    """Root of every error raised by ``spectra_logging`` and ``spectra_stage``."""


class ConfigurationError(SpectraError, ValueError):
    """An option holds a value that can't work.

    The message names the option, the value and what it may be. Raised at construction, so that
    ``logging.config.dictConfig`` reports it at once.
    """


class EngineUnavailableError(SpectraError):
    """The lakehouse engine asked for is not installed or has no session to work with."""


class VariableNotFoundError(SpectraError, KeyError):
    """A required variable is neither in the Variable Library nor in the environment."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; a sentence should read as one.
        return str(self.args[0]) if self.args else ""


class StageFailedError(SpectraError):
    """A pipeline stage ended as failed; the message says which and why."""


class LakehouseError(SpectraError):
    """An engine could not do what it was asked."""


class TableNotFoundError(LakehouseError):
    """There is no Delta table at the place named."""


class TableForbiddenError(LakehouseError):
    """The table's store denies access; it may hold a table or not."""


class TableUnreadableError(LakehouseError):
    """There is a table whose log or data can't be read: damaged, or of features unknown here."""


class UnsupportedFeaturesError(TableUnreadableError):
    """An existing table uses Delta features that the engine lacks; another engine may have them.

    Attributes:
        table: Path or URI of the table.
        features: What it lacks, in words.
    """

    def __init__(self, table: str, features: str) -> None:
        self.table = table
        self.features = features
        super().__init__(
            f"{table} needs Delta features that the embedded engine lacks: {features}. "
            "Use Spark for it, or another table."
        )


class SchemaConflictError(LakehouseError):
    """An existing table's columns contradict its spec.

    Attributes:
        table: Path or URI of the table.
        differences: One sentence per difference.
    """

    def __init__(self, table: str, differences: Sequence[str]) -> None:
        self.table = table
        self.differences = tuple(differences)
        listed = "; ".join(self.differences)
        super().__init__(
            f"table {table} does not fit its spec: {listed}. "
            "Write to another table, or change these columns there."
        )


class RowsRejectedError(LakehouseError):
    """Some rows can't be read as the table's columns; retrying the same rows is no use."""


class TableUnavailableError(LakehouseError):
    """The table's store can't be reached or refused; the same call may succeed later."""
