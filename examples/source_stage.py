"""The Source stage's notebook as a program, against any HTTP API that describes itself.

``python examples/source_stage.py`` runs it against a source system of its own on loopback. To run
it against yours, set BASE_URL, API_TOKEN, TEST_ENDPOINT and RESOURCE_ENDPOINT_TEMPLATE, and
DESCRIPTION to the path of its OpenAPI document. ``--spark`` starts a Spark session and hands it to
the notebook as Fabric would; else there is none. The tables land below SPECTRA_ROOT or the working
directory; look at them with ``spectra validate --all`` and ``spectra log show
Tables/log/sourcelog``.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

import requests

from spectra_logging import configure
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.sdk import *


def settle_in(cleanup: contextlib.ExitStack) -> None:
    """What Fabric and its Variable Library would have ready: the variables."""
    os.environ.setdefault("SOURCE_SYSTEM", "example")
    os.environ.setdefault("SOURCE_NAME", "Example API")
    os.environ.setdefault("STAGE", "Source")
    os.environ.setdefault("NOTEBOOK_NAME", "exampleSource")
    if "BASE_URL" not in os.environ:
        source_system = cleanup.enter_context(FakeSourceSystem())
        os.environ["BASE_URL"] = source_system.base_url
        os.environ.setdefault("API_TOKEN", source_system.token)
        os.environ["TEST_ENDPOINT"] = "/project/details"
        os.environ["RESOURCE_ENDPOINT_TEMPLATE"] = "/release/project/{projectId}"


def describe() -> Any:
    """The API's description of itself."""
    path = os.environ.get("DESCRIPTION", "/openapi.json")
    answer = requests.get(os.environ["BASE_URL"] + path, timeout=30)
    answer.raise_for_status()
    return answer.json()


def start_spark(cleanup: contextlib.ExitStack) -> Any:
    """A Spark session that can write Delta tables."""
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    builder = (
        SparkSession.builder.master("local[1]")
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config(
            "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        )
        .config("spark.ui.enabled", "false")
    )
    session = configure_spark_with_delta_pip(builder).getOrCreate()
    cleanup.callback(session.stop)
    return session


configure()  # shows on stderr what the notebook logs
with contextlib.ExitStack() as cleanup:
    settle_in(cleanup)
    EXAMPLE_ENDPOINTS_CATALOG = describe()
    spark = start_spark(cleanup) if "--spark" in sys.argv else None

    # From here on it is the notebook.
    session = NotebookSession("exampleVariables").load_context(
        bootstrap=True,
        backfill=False,
        project=0,
        rebuild=False,
        debug=False,
        mode="run",
        spark=spark,
        preview=False,
        test=False,
    )
    log = session.initialize()
    SourceStageHelpers.execute_source_stage(spark=spark, session=session)
    session.validate()  # raises when the stage failed
    session.record(spark=spark)  # never raises
    session.finalise()
