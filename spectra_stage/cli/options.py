"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from spectra_logging.errors import ConfigurationError
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Lakehouse

__all__ = [
    "Engine",
    "JournalDirectory",
    "JsonLines",
    "LakehouseRoot",
    "Level",
    "MinimumLevel",
    "Root",
    "SourceSystem",
    "StorageOptions",
    "TableArgument",
    "lakehouse_for",
    "storage_options",
]


class Level(str, Enum):
    """The standard levels, lowest first."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"

    def names_below(self) -> list[str]:
        """The names of the levels below this one."""
        names = [level.value for level in Level]
        return names[: names.index(self.value)]


TableArgument = Annotated[
    str,
    typer.Argument(
        metavar="TABLE",
        help="Path, Tables/<schema>/<table>, or URI such as s3://bucket/table.",
        show_default=False,
    ),
]
Root = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Folder or URI that a relative TABLE is below.", show_default=False
    ),
]
LakehouseRoot = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder or URI that holds Tables; by default SPECTRA_ROOT, else the working one.",
        show_default=False,
    ),
]
SourceSystem = Annotated[str, typer.Option(help="Key of the source system.", show_default=False)]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
MinimumLevel = Annotated[
    Level | None,
    typer.Option(
        help="Show this level, those above it, and a program's own.", case_sensitive=False
    ),
]
Engine = Annotated[
    str, typer.Option(metavar="NAME", help="The lakehouse engine: auto, deltalake or spark.")
]
StorageOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="KEY=VALUE",
        help="Option of the object store; may be given several times.",
        show_default=False,
    ),
]
JournalDirectory = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder of all journals, where the handler was given one.",
        show_default=False,
    ),
]


def storage_options(pairs: list[str] | None) -> dict[str, str] | None:
    """``KEY=VALUE`` pairs as a dictionary.

    Raises:
        ConfigurationError: A pair has no key or no equals sign. The message leaves the value out,
            as it may be a secret.
    """
    options = {}
    for number, pair in enumerate(pairs or [], start=1):
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise ConfigurationError(f"--storage-option number {number} must be KEY=VALUE")
        options[key] = value
    return options or None


def lakehouse_for(engine: str, pairs: list[str] | None) -> Lakehouse:
    """The lakehouse that a command reads through."""
    return open_lakehouse(engine, storage_options=storage_options(pairs))
