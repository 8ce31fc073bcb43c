"""Which engine serves a table, and why."""

from __future__ import annotations

import msgspec

from spectra_logging.errors import ConfigurationError, EngineUnavailableError
from spectra_logging.paths import is_catalog_name

__all__ = ["EngineChoice", "check_choice_of_engine", "choose_engine"]

REACHED = "this process reaches the table's storage itself, and needs no Spark job for a commit"


class EngineChoice(msgspec.Struct, frozen=True, kw_only=True):
    """An engine, and in words why it is that one.

    Args:
        engine: ``deltalake`` or ``spark``.
        reason: A clause that can follow a colon.
    """

    engine: str
    reason: str

    @property
    def is_usual(self) -> bool:
        """Whether it is the one that everybody gets who asks for nothing and needs nothing else."""
        return self.reason == REACHED


def choose_engine(
    *,
    engine: str,
    environment: str | None,
    table: str,
    has_spark: bool,
    unreached: str | None = None,
    lacking: str | None = None,
) -> EngineChoice:
    """Choose the engine for a table.

    What was asked for, by the option or else by ``SPECTRA_ENGINE``, is what serves. Otherwise the
    embedded engine does wherever this process reaches the table's storage, also beside a Spark
    session; and Spark where only it reaches the table or knows its features.

    Args:
        engine: The option's value: ``auto``, ``deltalake`` or ``spark``.
        environment: The value of ``SPECTRA_ENGINE``, if any.
        table: Path, URI or catalog name, as :func:`~spectra_logging.paths.resolve_table` gives it.
        has_spark: Whether there is a Spark session that has not been stopped.
        unreached: In words, what keeps this process from the table's storage; ``None`` when
            nothing is known to.
        lacking: In words, which of the existing table's Delta features the embedded engine lacks;
            ``None`` when it has them all, or there is no table yet.

    Raises:
        ConfigurationError: The embedded engine is asked for, and the table is a catalog's.
        EngineUnavailableError: Only Spark can serve, and there is no session.
    """
    if asked := check_choice_of_engine(engine, environment, table):
        return asked
    if has_spark:
        if lacking is not None:
            return EngineChoice(engine="spark", reason=f"the embedded engine lacks {lacking}")
        if unreached is not None:
            return EngineChoice(engine="spark", reason=f"only Spark reaches the table: {unreached}")
        return EngineChoice(engine="deltalake", reason=REACHED)
    if is_catalog_name(table):
        raise EngineUnavailableError(
            f"{table} is a name in a catalog, which takes a Spark session, and there is none. "
            f"Start one, or name the table's path or URI (./{table} is a folder here)."
        )
    if unreached is not None:
        return EngineChoice(
            engine="deltalake", reason=f"there is no Spark session to turn to, though {unreached}"
        )
    return EngineChoice(engine="deltalake", reason=REACHED)


def check_choice_of_engine(engine: str, environment: str | None, table: str) -> EngineChoice | None:
    """The engine that is asked for; ``None`` when the choice is left open.

    Raises:
        ConfigurationError: The embedded engine is asked for, and the table is a catalog's.
    """
    for option, name in (("engine", engine), ("SPECTRA_ENGINE", environment or "auto")):
        if name == "deltalake" and is_catalog_name(table):
            raise ConfigurationError(
                f"{option}='deltalake' can't reach table={table!r}, which is a name in a catalog. "
                "Name its path or URI (./schema.table is a folder here), or use engine='spark'."
            )
        if name != "auto":
            return EngineChoice(engine=name, reason=f"{option}={name!r} asks for it")
    return None
