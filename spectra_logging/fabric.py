"""Where this process runs: in a Microsoft Fabric notebook or pipeline, or on any other machine.

Nothing here imports Spark. A session that is passed in, or one that the process has already
started, is asked; none is ever started.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from spectra_logging.forks import at_fork

__all__ = [
    "MOUNTED_LAKEHOUSE",
    "PipelineRun",
    "RuntimeContext",
    "default_lakehouse_uri",
    "find_notebookutils",
    "has_schemas",
    "started_spark",
]

LOCAL = "local"

ONELAKE_HOST = "onelake.dfs.fabric.microsoft.com"

MOUNTED_LAKEHOUSE = Path("/lakehouse/default")
"""Where Fabric mounts a notebook's default lakehouse."""

_TRIDENT_SETTINGS = {
    "currentWorkspaceId": "trident.workspace.id",
    "defaultLakehouseId": "trident.lakehouse.id",
    "defaultLakehouseName": "trident.lakehouse.name",
    "activityId": "trident.activity.id",
    "operationType": "trident.operation.type",
}
"""Fabric's names in ``notebookutils.runtime.context`` → the older Spark settings."""

_FLAGS = ("isForPipeline", "isForInteractive", "isReferenceRun")
_FACTS = (*_TRIDENT_SETTINGS, *_FLAGS)

# A default lakehouse may be in another workspace than the notebook.
_LAKEHOUSE_WORKSPACE = ("defaultLakehouseWorkspaceId", "currentWorkspaceId")


class PipelineRun(msgspec.Struct, frozen=True, kw_only=True):
    """How a notebook was started.

    Args:
        is_active: Whether a pipeline or a schedule runs the notebook.
        operation_type: Fabric's ``trident.operation.type`` where Spark tells it, else the
            execution mode.
        activity_id: Fabric's id of this run, for its monitoring pages; ``None`` elsewhere.
    """

    is_active: bool = False
    operation_type: str = LOCAL
    activity_id: str | None = None


class RuntimeContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where a notebook runs.

    Args:
        workspace_id: The Fabric workspace, or ``local``.
        lakehouse_id: The default lakehouse, or ``local``.
        lakehouse_name: The default lakehouse's name, or ``local``.
        execution_mode: ``interactive``, ``pipeline`` or ``local``. A run that Fabric started with
            nobody at the keyboard (a pipeline, a schedule) is ``pipeline``.
        pipeline: How the notebook was started.
    """

    workspace_id: str = LOCAL
    lakehouse_id: str = LOCAL
    lakehouse_name: str = LOCAL
    execution_mode: str = LOCAL
    pipeline: PipelineRun = PipelineRun()

    @classmethod
    def detect(cls, spark: Any | None = None) -> RuntimeContext:
        """Ask ``notebookutils.runtime.context``, then Spark's ``trident.*`` settings.

        Each fact comes from the first of the two that knows it. Never raises: what can't be
        asked is not there.

        Args:
            spark: A Spark session, classic or Connect. Without one, the session that this process
                has already started is asked, if there is any.
        """
        known = {**_trident_facts(spark), **_notebookutils_facts()}
        if not known:
            return cls()
        mode = _execution_mode(known)
        return cls(
            workspace_id=known.get("currentWorkspaceId", LOCAL),
            lakehouse_id=known.get("defaultLakehouseId", LOCAL),
            lakehouse_name=known.get("defaultLakehouseName", LOCAL),
            execution_mode=mode,
            pipeline=PipelineRun(
                is_active=mode == "pipeline",
                operation_type=known.get("operationType", mode),
                activity_id=known.get("activityId"),
            ),
        )


def find_notebookutils() -> Any | None:
    """Fabric's ``notebookutils`` module, or ``None`` outside Fabric."""
    loaded = sys.modules.get("notebookutils")
    if loaded is not None:
        return loaded
    try:
        return importlib.import_module("notebookutils")
    except Exception:  # noqa: BLE001 - a stand-in package that breaks on import is no Fabric
        return None


def default_lakehouse_uri(spark: Any | None = None) -> str | None:
    """OneLake's address of the notebook's default lakehouse; ``None`` where there is none.

    By ids, which outlast a change of names. Never raises.

    Args:
        spark: A Spark session; without one, the session that this process has started is asked.
    """
    names = (*_LAKEHOUSE_WORKSPACE, "defaultLakehouseId")
    known = _notebookutils_facts(names)
    if "defaultLakehouseId" not in known:
        known = {**known, **_trident_facts(spark, names)}
    lakehouse = known.get("defaultLakehouseId")
    workspace = next((known[name] for name in _LAKEHOUSE_WORKSPACE if name in known), None)
    return f"abfss://{workspace}@{ONELAKE_HOST}/{lakehouse}" if lakehouse and workspace else None


def has_schemas() -> bool | None:
    """Whether the default lakehouse keeps tables in schemas; ``None`` where nobody can tell.

    One that does has a schema ``dbo`` that can't be removed, and a property that names it.
    """
    tables = MOUNTED_LAKEHOUSE / "Tables"
    if tables.is_dir():
        return (tables / "dbo").is_dir()
    names = ("defaultLakehouseName", *_LAKEHOUSE_WORKSPACE)
    known = _notebookutils_facts(names)
    try:
        found = find_notebookutils().lakehouse.getWithProperties(  # type: ignore[union-attr]
            known["defaultLakehouseName"],
            next(known[name] for name in _LAKEHOUSE_WORKSPACE if name in known),
        )
        properties = found["properties"] if isinstance(found, dict) else found.properties
        if not isinstance(properties, dict):
            properties = vars(properties)
        return bool(properties.get("defaultSchema"))
    except Exception:  # noqa: BLE001 - absent, refused, or of another shape
        return None


def _notebookutils_facts(names: Iterable[str] = _FACTS) -> dict[str, str]:
    """The facts of ``notebookutils.runtime.context`` that are not null, as text."""
    try:
        context = find_notebookutils().runtime.context  # type: ignore[union-attr]
        facts = {name: context.get(name) for name in names}
    except Exception:  # noqa: BLE001 - absent, or a stand-in with another shape
        return {}
    return _without_blanks(facts)


def _trident_facts(
    spark: Any | None, names: Iterable[str] = tuple(_TRIDENT_SETTINGS)
) -> dict[str, str]:
    """The ``trident.*`` settings that Spark knows."""
    session = spark if spark is not None else started_spark()
    if session is None:
        return {}
    return _without_blanks(
        {
            name: _setting(session, _TRIDENT_SETTINGS[name])
            for name in names
            if name in _TRIDENT_SETTINGS
        }
    )


def started_spark() -> Any | None:
    """The Spark session that this process has started, if any; neither imports nor starts one.

    ``None`` in a child that was forked with Spark loaded: the connection is its parent's.
    """
    module = sys.modules.get("pyspark.sql")
    try:
        return None if _spark_is_parents else module.SparkSession.active()  # type: ignore[union-attr]
    except Exception:  # noqa: BLE001 - no pyspark, no session, or one too old to be asked
        return None


_spark_is_parents = False


def _after_fork_in_child() -> None:
    global _spark_is_parents  # noqa: PLW0603 - a fact about the process
    _spark_is_parents = "pyspark.sql" in sys.modules


at_fork(after_in_child=_after_fork_in_child)


def _setting(session: Any, key: str) -> Any | None:
    try:
        return session.conf.get(key, None)
    except Exception:  # noqa: BLE001 - a stopped session, or one that refuses unknown keys
        return None


def _without_blanks(facts: dict[str, Any | None]) -> dict[str, str]:
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def _execution_mode(known: dict[str, str]) -> str:
    """``pipeline`` or ``interactive``: by newer Fabric's flags, else by the operation's type."""
    flags = {name: value.lower() == "true" for name, value in known.items() if name in _FLAGS}
    if flags:
        unattended = flags.get("isForInteractive") is False and not flags.get("isReferenceRun")
        return "pipeline" if flags.get("isForPipeline") or unattended else "interactive"
    operation = known.get("operationType")
    return "interactive" if operation in (None, "SessionCreation") else "pipeline"
