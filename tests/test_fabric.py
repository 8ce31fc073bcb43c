"""Where a notebook runs is told by Fabric's utilities, else by Spark, else it is local."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from spectra_logging.fabric import PipelineRun, RuntimeContext
from spectra_logging.testing import FakeNotebookUtils


def spark_with(**settings: str) -> Any:
    """What ``RuntimeContext`` asks of a Spark session: ``conf.get(key, default)``."""
    named = {f"trident.{key.replace('_', '.')}": value for key, value in settings.items()}
    return SimpleNamespace(conf=SimpleNamespace(get=named.get))


def test_outside_fabric_everything_is_local() -> None:
    """Without notebookutils and Spark each fact reads local, and there is no pipeline."""
    context = RuntimeContext.detect()
    assert context == RuntimeContext(
        workspace_id="local",
        lakehouse_id="local",
        lakehouse_name="local",
        execution_mode="local",
        pipeline=PipelineRun(is_active=False, operation_type="local", activity_id=None),
    )


def test_an_interactive_notebook_is_known_by_notebookutils() -> None:
    """The facts of notebookutils.runtime.context land in the fields they are meant for."""
    with FakeNotebookUtils(context={"currentWorkspaceId": "w", "activityId": "a"}):
        context = RuntimeContext.detect()
    assert context.workspace_id == "w"
    assert context.lakehouse_name == "example_lakehouse"
    assert context.execution_mode == "interactive"
    assert context.pipeline.activity_id == "a"
    assert not context.pipeline.is_active


@pytest.mark.parametrize(
    ("flags", "mode"),
    [
        ({"isForPipeline": True, "isForInteractive": False}, "pipeline"),
        ({"isForPipeline": False, "isForInteractive": True}, "interactive"),
        ({"isForPipeline": False, "isForInteractive": False}, "pipeline"),
        (
            {"isForPipeline": False, "isForInteractive": False, "isReferenceRun": True},
            "interactive",
        ),
        ({"isForPipeline": None, "isForInteractive": None, "isReferenceRun": None}, "interactive"),
    ],
)
def test_the_execution_mode_follows_fabrics_flags(flags: dict[str, Any], mode: str) -> None:
    """A run with nobody at the keyboard is a pipeline's; a child of a person's notebook is not."""
    with FakeNotebookUtils(context=flags):
        context = RuntimeContext.detect()
    assert context.execution_mode == mode
    assert context.pipeline.is_active is (mode == "pipeline")


def test_what_notebookutils_does_not_know_comes_from_spark() -> None:
    """A null in notebookutils falls back to the trident setting, fact by fact."""
    spark = spark_with(lakehouse_id="from-spark", workspace_id="also", operation_type="Batch")
    with FakeNotebookUtils(context={"defaultLakehouseId": None, "currentWorkspaceId": "w"}):
        context = RuntimeContext.detect(spark)
    assert context.lakehouse_id == "from-spark"
    assert context.workspace_id == "w"
    assert context.pipeline.operation_type == "Batch"


@pytest.mark.parametrize(
    ("operation_type", "mode"), [("SessionCreation", "interactive"), ("Batch", "pipeline")]
)
def test_older_runtimes_are_known_by_spark_alone(operation_type: str, mode: str) -> None:
    """Without notebookutils the trident settings serve, the operation's type among them."""
    context = RuntimeContext.detect(spark_with(workspace_id="w", operation_type=operation_type))
    assert context.workspace_id == "w"
    assert context.execution_mode == mode
    assert context.pipeline.operation_type == operation_type


def test_a_spark_session_without_fabric_is_local() -> None:
    """Spark on an ordinary machine has no trident settings, which is no Fabric."""
    assert RuntimeContext.detect(spark_with()) == RuntimeContext()


def test_a_spark_session_that_raises_is_passed_over() -> None:
    """A stopped session raises on conf.get; detection goes on without it."""

    def refuse(key: str, default: object) -> object:
        raise RuntimeError("the session is stopped")

    spark = SimpleNamespace(conf=SimpleNamespace(get=refuse))
    assert RuntimeContext.detect(spark).execution_mode == "local"


def test_a_stand_in_for_notebookutils_without_content_is_no_fabric(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Packages named notebookutils exist for type checkers; they must not look like Fabric."""
    monkeypatch.setitem(sys.modules, "notebookutils", ModuleType("notebookutils"))
    assert RuntimeContext.detect() == RuntimeContext()


def test_the_started_spark_session_is_asked_when_none_is_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where pyspark is loaded, its active session is asked; nothing is imported or started."""
    loaded: Any = ModuleType("pyspark.sql")
    session = spark_with(workspace_id="w")
    loaded.SparkSession = SimpleNamespace(active=lambda: session)
    monkeypatch.setitem(sys.modules, "pyspark.sql", loaded)
    assert RuntimeContext.detect().workspace_id == "w"


def test_detection_never_imports_spark() -> None:
    """Finding out where we run must not load Spark into a process that does without."""
    code = (
        "import sys; from spectra_logging.fabric import RuntimeContext; RuntimeContext.detect();"
        "sys.exit('pyspark' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
