"""What the Source stage costs, by step: embedded, with a Spark session at hand, and on Spark.

Beside them the usual way: a notebook that writes the same rows to the same tables with
``createDataFrame(…).write.format("delta")``, registers each with ``CREATE TABLE … LOCATION``, and
appends its row to the activity log. All ask the same source system on loopback, in one process and
one Spark session, and take turns, round by round; the first round warms up and does not count.

``embedded`` has no Spark session. ``auto`` is given one and leaves the engine to choose, which
writes embedded and registers in the metastore. ``spark`` is told to use it.

Run: ``python benchmarks/stage.py [--rounds 5] [--endpoints 120] [--only WAY …]``. All but
``embedded`` need pyspark and delta-spark, and are left out where they are not installed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import importlib.util
import json
import logging
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests
from sparks import spark_session

from spectra_logging import lakehouse
from spectra_logging.session import NotebookSession
from spectra_logging.tables import ACTIVITY_LOG, TableSpec
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.catalog import EndpointCatalog, load_catalog
from spectra_stage.source import execute_source_stage
from spectra_stage.tables import PREPARE_TABLES, SOURCE_TABLES, table_path

WAYS = ("usual", "embedded", "auto", "spark")
ENGINES = {"embedded": "deltalake", "auto": "auto", "spark": "spark"}
LOG_PATH = "Tables/log/sourcelog"
SPARK_TYPES = {"long": "bigint", "integer": "int"}


class Steps:
    """Seconds by step: each lasts until the next begins."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._name: str | None = None
        self._began_at = 0.0

    def begin(self, name: str | None) -> None:
        now = time.perf_counter()
        if self._name is not None:
            self.seconds[self._name] = now - self._began_at
        self._name, self._began_at = name, now


def run_ours(catalog: EndpointCatalog, spark: Any | None) -> Steps:
    """The notebook, as it is."""
    steps = Steps()
    steps.begin("context")
    session = NotebookSession("benchmark").load_context(bootstrap=True, spark=spark)
    session.initialize()
    execute_source_stage(session=session, spark=spark, catalog=catalog, on_step=steps.begin)
    steps.begin("record")
    recorded = session.record(spark=spark)
    steps.begin(None)
    session.finalise()
    if not recorded:
        raise SystemExit("the record did not reach its table")
    return steps


def run_usual(catalog: EndpointCatalog, spark: Any, root: Path) -> Steps:
    """The same by hand, as notebooks mostly have it."""
    now = dt.datetime.now(dt.timezone.utc)
    rows = rows_of_a_run(catalog, now)
    steps = Steps()

    def write(spec: TableSpec, mode: str = "overwrite", path: str | None = None) -> None:
        columns = [column.name for column in spec.columns]
        data = [tuple(row.get(name) for name in columns) for row in rows.get(spec.name, [])]
        frame = spark.createDataFrame(data, ddl(spec))
        frame.write.format("delta").mode(mode).save(str(root / (path or table_path(spec))))

    def register(spec: TableSpec, path: str | None = None, name: str | None = None) -> None:
        name = name or spec.name
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {name.split('.', maxsplit=1)[0]}")
        place = root / (path or table_path(spec))
        spark.sql(f"CREATE TABLE IF NOT EXISTS {name} USING DELTA LOCATION '{place}'")

    config, credentials, endpoints, portfolio = SOURCE_TABLES
    steps.begin("source.config")
    write(config)
    steps.begin("prepare tables")
    for spec in PREPARE_TABLES:
        write(spec)
        register(spec)
    headers = {"Authorization": f"Bearer {os.environ['API_TOKEN']}"}
    steps.begin("authentication")
    projects = get(f"{os.environ['BASE_URL']}/project/details", headers)
    steps.begin("resource access")
    get(f"{os.environ['BASE_URL']}/release/project/{projects[0]['id']}", headers)
    steps.begin("source.credentials")
    write(credentials)
    steps.begin("source.endpoints")
    write(endpoints)
    steps.begin("source.portfolio")
    write(portfolio)
    steps.begin("registration")
    for spec in SOURCE_TABLES:
        register(spec)
    steps.begin("record")
    write(ACTIVITY_LOG, mode="append", path=LOG_PATH)
    spark.read.format("delta").load(str(root / LOG_PATH)).count()
    register(ACTIVITY_LOG, path=LOG_PATH, name="log.sourcelog")
    steps.begin(None)
    return steps


def get(url: str, headers: dict[str, str]) -> Any:
    answer = requests.get(url, headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json()


def ddl(spec: TableSpec) -> str:
    """A spec's columns as Spark writes a schema."""
    return ", ".join(
        f"`{column.name}` {SPARK_TYPES.get(column.type, column.type)}"
        + ("" if column.nullable else " NOT NULL")
        for column in spec.columns
    ).replace("<integer>", "<int>")


def rows_of_a_run(catalog: EndpointCatalog, now: dt.datetime) -> dict[str, list[dict[str, Any]]]:
    """The rows that a run leaves, by table."""
    keys = "execution_mode operation_type notebook_name stage sdk_version bootstrap_enabled"
    record: dict[str, Any] = dict.fromkeys((c.name for c in ACTIVITY_LOG.columns), "benchmark")
    for column in ACTIVITY_LOG.columns:
        if column.type != "string":
            record[column.name] = {"timestamp": now, "double": 1.0}.get(column.type, 1)
    return {
        "source.config": [
            {"config_key": key, "config_value": "benchmark", "last_updated": now}
            for key in keys.split()
        ],
        "source.credentials": [
            {
                "credential_type": "api_token",
                "credential_value": "***234",
                "last_validated": now,
                "validation_status": "Success",
            }
        ],
        "source.endpoints": [
            {name: list(v) if isinstance(v, tuple) else v for name, v in row.items()}
            for row in catalog.rows()
        ],
        "source.portfolio": [
            {
                "source_system": "zephyr",
                "contract_version": "3.0.0",
                "discovery_date": now.date(),
                "total_endpoints": len(catalog),
                "endpoint_categories": json.dumps(catalog.categories),
                "hierarchical_endpoints": sum(
                    endpoint.hierarchical for endpoint in catalog.endpoints
                ),
                "auth_method": "apiToken",
                "auth_status": "Success",
                "last_auth_check": now,
                "hierarchical_access_validated": True,
                "endpoint_success_rate": 1.0,
                "supports_incremental": True,
                "status": "active",
                "is_enabled": True,
                "last_updated": now,
            }
        ],
        "log.activity": [record],
    }


def catalog_of(count: int) -> EndpointCatalog:
    """A catalogue of that many endpoints."""
    paths = {
        f"/entity{n}/{{id}}": {
            "get": {
                "summary": f"One of entity {n}",
                "tags": [f"category{n % 12}"],
                "parameters": [{"name": "limit", "in": "query"}, {"name": "offset", "in": "query"}],
            }
        }
        for n in range(count)
    }
    return load_catalog({"openapi": "3.0.3", "paths": paths})


def forget_tables(spark: Any | None) -> None:
    """Take the tables out of the metastore, so that each run registers them anew."""
    if spark is None:
        return
    for spec in (*SOURCE_TABLES, *PREPARE_TABLES):
        spark.sql(f"DROP TABLE IF EXISTS {spec.name}")
    spark.sql("DROP TABLE IF EXISTS log.sourcelog")


def measure(ways: list[str], rounds: int, endpoints: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each round, by way and step."""
    catalog = catalog_of(endpoints)
    taken: dict[str, dict[str, list[float]]] = {way: {} for way in ways}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stage-")))
        system = stack.enter_context(FakeSourceSystem())
        spark = None
        if set(ways) - {"embedded"}:
            spark = stack.enter_context(spark_session(folder / "warehouse"))
        os.environ.update(
            SOURCE_SYSTEM="zephyr",
            SOURCE_NAME="Example",
            STAGE="Source",
            NOTEBOOK_NAME="benchmark",
            BASE_URL=system.base_url,
            API_TOKEN=system.token,
            SPECTRA_JOURNAL_DIRECTORY=str(folder / "journals"),
        )
        for number in range(rounds + 1):
            for way in ways:
                root = folder / f"{way}-{number}"
                os.environ["SPECTRA_ROOT"] = str(root)
                os.environ["SPECTRA_ENGINE"] = ENGINES.get(way, "auto")
                if way == "usual":
                    steps = run_usual(catalog, spark, root)
                else:
                    steps = run_ours(catalog, None if way == "embedded" else spark)
                for name, seconds in steps.seconds.items() if number else ():
                    taken[way].setdefault(name, []).append(seconds)
                forget_tables(spark)
                shutil.rmtree(root)
    return taken


def report(taken: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Print a table of medians; returns the figures."""
    medians = {
        way: {name: statistics.median(seconds) for name, seconds in steps.items()}
        for way, steps in taken.items()
    }
    totals = {
        way: statistics.median(map(sum, zip(*steps.values(), strict=True)))
        for way, steps in taken.items()
    }
    names = list(dict.fromkeys(name for steps in medians.values() for name in steps))
    print(f"{'ms, median':<20}" + "".join(f"{way:>12}" for way in medians))
    for name in names:
        cells = (medians[way].get(name) for way in medians)
        print(
            f"{name:<20}"
            + "".join(f"{'' if cell is None else f'{cell * 1000:.1f}':>12}" for cell in cells)
        )
    print(f"{'whole stage':<20}" + "".join(f"{total * 1000:>12.1f}" for total in totals.values()))
    ratios = {}
    if "usual" in totals:
        ratios = {way: totals["usual"] / total for way, total in totals.items() if way != "usual"}
        for way, ratio in ratios.items():
            print(f"the usual way takes {ratio:.1f} times as long as {way}")
    return {
        "benchmark": "stage",
        "python": platform.python_version(),
        "milliseconds": {way: round(total * 1000, 1) for way, total in totals.items()},
        "steps": {
            way: {name: round(value * 1000, 1) for name, value in steps.items()}
            for way, steps in medians.items()
        },
        "usual_over": {way: round(ratio, 1) for way, ratio in ratios.items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="What the Source stage costs, by step.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--endpoints", type=int, default=120)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=WAYS, metavar="WAY")
    options = parser.parse_args()
    logging.getLogger("spectra").addHandler(logging.NullHandler())
    ways = [way for way in WAYS if way in options.only]
    if importlib.util.find_spec("delta") is None:
        print(f"left out, for want of pyspark and delta-spark: {set(ways) - {'embedded'}}")
        ways = ["embedded"]
    for way in [way for way in ways if ENGINES.get(way, "auto") not in lakehouse.ENGINES]:
        print(f"left out: {way}; this version has no such engine")
        ways.remove(way)
    print(json.dumps(report(measure(ways, options.rounds, options.endpoints))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
