"""What validation costs: all checks of a table in one statement, beside one count a check.

Two workloads. ``stage``: the four tables that a run of the Source stage leaves, and the checks of
the suite ``source``. ``large``: one table of many rows, and twenty checks. Each is validated by us,
embedded and on Spark; by the usual way on the same Spark, which counts the rows that break each
check with a query of its own; and by pandera on polars, which takes the rows into this process.
Of ``large``, one bare aggregate over the same columns says what reading them costs.

Statements are counted as they are sent, jobs by Spark's own store, scans in the engines' plans.

Run: ``python benchmarks/validate.py [--only stage large] [--rows 1000000 10000000]``
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
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import write_deltalake
from sparks import spark_session

from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Lakehouse, QueryResult
from spectra_logging.session import NotebookSession
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.catalog import load_catalog
from spectra_stage.source import execute_source_stage
from spectra_stage.tables import SOURCE_TABLES, table_path
from spectra_stage.validation import checks as kinds
from spectra_stage.validation.run import run
from spectra_stage.validation.suite import Suite, TableSuite
from spectra_stage.validation.suites import source_suite

ROWS_A_FILE = 1_000_000
STATES = ("open", "paid", "shipped", "closed", "cancelled")
COLUMNS = ("id", "customer", "state", "code", "price", "weight", "quantity", "ordered", "shipped")

CHECKS: tuple[kinds.Check, ...] = (
    kinds.TableExists(),
    *(kinds.NotNull(column=name) for name in COLUMNS[:8]),
    kinds.RowCount(minimum=1),
    kinds.AllowedValues(column="state", values=STATES),
    kinds.Pattern(column="code", pattern="[A-Z]{3}-[0-9]{6}"),
    kinds.Range(column="price", minimum=0, maximum=100_000),
    kinds.Range(column="weight", minimum=0, maximum=1_000),
    kinds.Range(column="quantity", minimum=1, maximum=1_000),
    kinds.Range(column="ordered", minimum=dt.date(2020, 1, 1)),
    kinds.Compare(left="ordered", operator="<=", right="shipped"),
    kinds.Condition(condition="state <> 'cancelled' OR shipped IS NOT NULL"),
    kinds.Condition(condition="price * quantity < 100000000"),
    kinds.Freshness(column="ordered", maximum_age_hours=24 * 365 * 100),
)
UNIQUE = kinds.Unique(column="id")

WARM_UP_ROUNDS = 2


class Counted(Lakehouse):
    """An engine whose statements are noted."""

    def __init__(self, engine: Lakehouse) -> None:
        self.engine = engine.engine
        self.asked: list[tuple[str, Mapping[str, str], Mapping[str, int] | None]] = []
        self._engine = engine

    def query(
        self, sql: str, tables: Mapping[str, str], *, versions: Mapping[str, int] | None = None
    ) -> QueryResult:
        self.asked.append((sql, tables, versions))
        return self._engine.query(sql, tables, versions=versions)

    def exists(self, table: str) -> bool:
        return self._engine.exists(table)

    def schema(self, table: str) -> Any:
        return self._engine.schema(table)

    def version(self, table: str) -> int:
        return self._engine.version(table)

    def _no_writes(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    ensure = append = transaction_version = write = register = upkeep = _no_writes

    def scans(self) -> int:
        """How often the statements read a table, by the engine's own plans."""
        count = 0
        for sql, tables, versions in self.asked:
            plan = self._engine.query(f"EXPLAIN {sql}", tables, versions=versions)
            text = "\n".join(str(value) for row in plan.rows for value in row)
            text = text.partition("physical_plan")[2] or text.rpartition("Physical Plan")[2] or text
            count += text.count("DataSourceExec") + text.count("FileScan")
        return count


def make_large(place: Path, rows: int) -> None:
    """A table in files of a million rows, sound in every row."""
    for first in range(0, rows, ROWS_A_FILE):
        n = pl.int_range(first, min(first + ROWS_A_FILE, rows), dtype=pl.Int64, eager=True)
        ordered = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
        frame = pl.DataFrame({"id": n}).select(
            "id",
            customer=pl.col("id") * 7919 % 100_003,
            state=(pl.col("id") % 5).replace_strict(dict(enumerate(STATES))),
            code=pl.lit("ABC-") + (pl.col("id") % 1_000_000).cast(pl.String).str.zfill(6),
            price=(pl.col("id") * 31 % 9_999_973 / 100).cast(pl.Decimal(12, 2)),
            weight=pl.col("id") * 17 % 100_003 / 1_000,
            quantity=(pl.col("id") % 1_000 + 1).cast(pl.Int32),
            ordered=pl.lit(ordered) + pl.duration(seconds=pl.col("id")),
            shipped=pl.lit(ordered) + pl.duration(seconds=pl.col("id") + 86_400),
        )
        write_deltalake(place, frame, mode="append")


def make_stage(root: Path, endpoints: int) -> None:
    """What a run of the Source stage leaves."""
    paths = {
        f"/entity{n}/{{id}}": {"get": {"summary": f"Entity {n}", "tags": [f"category{n % 12}"]}}
        for n in range(endpoints)
    }
    with FakeSourceSystem() as system:
        os.environ.update(
            SOURCE_SYSTEM="zephyr",
            SOURCE_NAME="Example",
            STAGE="Source",
            NOTEBOOK_NAME="benchmark",
            BASE_URL=system.base_url,
            API_TOKEN=system.token,
            SPECTRA_ROOT=str(root),
            SPECTRA_ENGINE="deltalake",
            SPECTRA_JOURNAL_DIRECTORY=str(root / "journals"),
        )
        session = NotebookSession("benchmark").load_context(bootstrap=True)
        session.initialize()
        catalog = load_catalog({"openapi": "3.0.3", "paths": paths})
        execute_source_stage(session=session, catalog=catalog)
        session.record()
        session.finalise()


class Usual:
    """One query a check on Spark, as notebooks mostly have it."""

    def __init__(self, spark: Any) -> None:
        self._spark = spark
        self.statements = 0

    def validate(self, root: Path, suite: Suite) -> None:
        for table in suite.tables:
            frame = self._spark.read.format("delta").load(str(root / table_path_of(table.table)))
            rows = self._count(frame)
            for check in table.checks:
                broken = self._broken(root, frame, rows, check)
                if broken:
                    raise SystemExit(f"{table.table}: {check.words}: {broken}")

    def _count(self, frame: Any) -> int:
        self.statements += 1
        return int(frame.count())

    def _first(self, frame: Any) -> Any:
        self.statements += 1
        return frame.first()

    def _broken(self, root: Path, frame: Any, rows: int, check: kinds.Check) -> int:
        from pyspark.sql import functions as f

        if isinstance(check, (kinds.TableExists, kinds.TableSchema)):
            return 0
        if isinstance(check, kinds.RowCount):
            return int(rows < (check.minimum or 0))
        if isinstance(check, kinds.Unique):
            return rows - self._count(frame.select(*check.columns).distinct())
        if isinstance(check, kinds.Freshness):
            return int(self._first(frame.agg(f.max(check.column)))[0] is None)
        if isinstance(check, (kinds.CountsRows, kinds.CountsBy)):
            newest = self._first(frame.orderBy(f.col(check.newest_by).desc()))[check.column]
            other = self._spark.read.format("delta").load(str(root / table_path_of(check.table)))
            if isinstance(check, kinds.CountsRows):
                return int(newest != self._count(other.filter(check.where or "true")))
            self.statements += 1
            counts = {row[0]: row[1] for row in other.groupBy(check.by).count().collect()}
            return int(json.loads(newest) != counts)
        return self._count(frame.filter(condition_of(check)))


def condition_of(check: kinds.Check) -> str:
    """The condition that a hand-written filter has for a check."""
    written: dict[type[kinds.Check], Callable[[Any], str]] = {
        kinds.NotNull: lambda c: f"{c.column} IS NULL",
        kinds.Range: range_of,
        kinds.AllowedValues: lambda c: f"{c.column} NOT IN ({', '.join(map(sql_of, c.values))})",
        kinds.Pattern: lambda c: f"NOT {c.column} RLIKE '^{c.pattern}$'",
        kinds.Masked: lambda c: f"NOT {c.column} RLIKE '^[*]{{3}}.{{0,3}}$'",
        kinds.Compare: lambda c: f"NOT ({c.left} {c.operator} {c.right})",
        kinds.ValidJson: lambda c: f"from_json({c.column}, 'map<string,string>') IS NULL",
        kinds.Condition: lambda c: f"NOT ({c.condition})",
    }
    return written[type(check)](check)


def range_of(check: kinds.Range) -> str:
    bounds = (("<", check.minimum), (">", check.maximum))
    parts = (
        f"{check.column} {sign} {sql_of(bound)}" for sign, bound in bounds if bound is not None
    )
    return " OR ".join(parts)


def sql_of(value: Any) -> str:
    if isinstance(value, dt.date):
        return f"DATE '{value}'"
    return repr(value)


def table_path_of(table: str) -> str:
    return f"Tables/{table.replace('.', '/')}"


def pandera_large(place: Path, *, unique: bool) -> None:
    """The same checks by pandera, lazily, on the rows as polars reads them."""
    import pandera.polars as pa

    frame = pl.read_delta(str(place))
    columns = {
        "id": pa.Column(pl.Int64, nullable=False, unique=unique),
        "customer": pa.Column(pl.Int64, nullable=False),
        "state": pa.Column(pl.String, pa.Check.isin(list(STATES)), nullable=False),
        "code": pa.Column(pl.String, pa.Check.str_matches(r"^[A-Z]{3}-[0-9]{6}$"), nullable=False),
        "price": pa.Column(pl.Decimal(12, 2), pa.Check.in_range(0, 100_000), nullable=False),
        "weight": pa.Column(pl.Float64, pa.Check.in_range(0, 1_000), nullable=False),
        "quantity": pa.Column(pl.Int32, pa.Check.in_range(1, 1_000), nullable=False),
        "ordered": pa.Column(
            pl.Datetime("us", "UTC"),
            pa.Check.ge(dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)),
            nullable=False,
        ),
        "shipped": pa.Column(pl.Datetime("us", "UTC"), nullable=True),
    }
    rules = (
        pl.col("ordered") <= pl.col("shipped"),
        (pl.col("state") != "cancelled") | pl.col("shipped").is_not_null(),
        pl.col("price").cast(pl.Float64) * pl.col("quantity") < 100_000_000,
    )
    whole = [pa.Check(lambda data, rule=rule: data.lazyframe.select(rule)) for rule in rules]
    pa.DataFrameSchema(columns, checks=whole).validate(frame, lazy=True)


def pandera_stage(root: Path) -> None:
    """The declared checks of the four tables by pandera; it knows nothing of their agreement."""
    import pandera.polars as pa

    for spec in SOURCE_TABLES:
        columns = {}
        for column in spec.columns:
            rules = []
            if column.allowed_values:
                rules.append(pa.Check.isin(list(column.allowed_values)))
            if column.pattern:
                rules.append(pa.Check.str_matches(f"^{column.pattern}$"))
            if column.minimum is not None:
                rules.append(pa.Check.ge(column.minimum))
            if column.maximum is not None:
                rules.append(pa.Check.le(column.maximum))
            columns[column.name] = pa.Column(None, rules, nullable=column.nullable)
        frame = pl.read_delta(str(root / table_path(spec)))
        schema = pa.DataFrameSchema(columns, unique=list(spec.keys) or None)
        schema.validate(frame, lazy=True)


def bare_aggregate(lakehouse: Lakehouse, place: Path, *, unique: bool) -> None:
    """Read the same columns once: a sum where there is one, a greatest where there is none."""
    sums = {"id", "customer", "price", "weight", "quantity"}
    parts = []
    for name in COLUMNS:
        of = f"length({name})" if name in {"state", "code"} else name
        parts.append(f"sum({of})" if name in sums or of != name else f"max({of}), min({of})")
    if unique:
        parts.append("count(DISTINCT id)")
    lakehouse.query(f"SELECT count(*), {', '.join(parts)} FROM t", {"t": str(place)})


def jobs_of(spark: Any | None) -> int:
    """How many jobs Spark has run so far."""
    if spark is None:
        return 0
    # The scheduler's own count: what the UI lists ends at a thousand jobs.
    return int(spark.sparkContext._jsc.sc().dagScheduler().numTotalJobs())


def medians(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way. They take turns, since a JVM gets faster the more it has run."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-WARM_UP_ROUNDS, rounds):
        for name, work in ways.items():
            began = time.perf_counter()
            work()
            if number >= 0:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def of_ours(engine: Lakehouse, suite: Suite, root: Path, spark: Any | None) -> dict[str, Any]:
    """What our own way asks of an engine; every check has to pass."""
    counted = Counted(engine)
    before = jobs_of(spark)
    report = run(suite, counted, root=root)
    jobs = jobs_of(spark) - before
    if not report.valid:
        raise SystemExit(f"the tables are not sound: {report.counts}")
    found = {"statements": len(counted.asked), "scans": counted.scans()}
    if spark is not None:
        found["jobs"] = jobs
    return {"checks": sum(report.counts.values()), **found}


def of_usual(spark: Any, suite: Suite, root: Path) -> dict[str, Any]:
    usual = Usual(spark)
    before = jobs_of(spark)
    usual.validate(root, suite)
    return {"statements": usual.statements, "jobs": jobs_of(spark) - before}


def measure(
    root: Path,
    suite: Suite,
    rounds: int,
    spark: Any | None,
    others: Mapping[str, Callable[[], object]],
) -> dict[str, dict[str, Any]]:
    """The figures of each way for one suite."""
    embedded = open_lakehouse("deltalake")
    found = {"embedded": of_ours(embedded, suite, root, None)}
    ways: dict[str, Callable[[], object]] = {"embedded": lambda: run(suite, embedded, root=root)}
    if spark is not None:
        on_spark = open_lakehouse("spark")
        found["spark"] = of_ours(on_spark, suite, root, spark)
        found["usual"] = of_usual(spark, suite, root)
        ways["spark"] = lambda: run(suite, on_spark, root=root)
        ways["usual"] = lambda: Usual(spark).validate(root, suite)
    seconds = medians({**ways, **others}, rounds)
    return {name: {"seconds": seconds[name], **found.get(name, {})} for name in seconds}


def show(title: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"\n{title}")
    print(f"{'':<18}{'seconds':>10}{'statements':>12}{'scans':>8}{'jobs':>6}")
    for way, figures in found.items():
        cells = (figures.get(name, "") for name in ("statements", "scans", "jobs"))
        print(
            f"{way:<18}{figures['seconds']:>10.4f}"
            + "".join(f"{cell:>{width}}" for cell, width in zip(cells, (12, 8, 6), strict=True))
        )
    usual = found.get("usual")
    for way in ("embedded", "spark") if usual else ():
        if way in found and usual:
            print(f"the usual way takes {usual['seconds'] / found[way]['seconds']:.1f} times {way}")
    for way in ("embedded", "spark"):
        if f"bare {way}" in found:
            ratio = found[way]["seconds"] / found[f"bare {way}"]["seconds"]
            print(f"{way} takes {ratio:.2f} times a bare aggregate")


def large(
    folder: Path, rows: int, rounds: int, spark: Any | None, *, unique: bool, with_pandera: bool
) -> dict[str, dict[str, Any]]:
    root = folder / f"large-{rows}"
    place = root / "Tables/shop/orders"
    if not place.exists():
        make_large(place, rows)
    checks = (*CHECKS[:-1], UNIQUE) if unique else CHECKS
    suite = Suite(name="large", tables=[TableSuite(table="shop.orders", checks=checks)])
    others: dict[str, Callable[[], object]] = {
        "bare embedded": lambda: bare_aggregate(open_lakehouse("deltalake"), place, unique=unique)
    }
    if spark is not None:
        others["bare spark"] = lambda: bare_aggregate(open_lakehouse("spark"), place, unique=unique)
    if with_pandera:
        others["pandera"] = lambda: pandera_large(place, unique=unique)
    return measure(root, suite, rounds, spark, others)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What validation costs.")
    parser.add_argument("--only", nargs="+", choices=("stage", "large"), default=["stage", "large"])
    parser.add_argument("--rows", nargs="+", type=int, default=[1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--endpoints", type=int, default=120)
    parser.add_argument("--without-spark", action="store_true")
    options = parser.parse_args(arguments)
    logging.getLogger("spectra").addHandler(logging.NullHandler())
    with_pandera = importlib.util.find_spec("pandera") is not None
    with_spark = not options.without_spark and importlib.util.find_spec("delta") is not None
    for left_out, there in (("pandera", with_pandera), ("Spark", with_spark)):
        if not there:
            print(f"left out: {left_out}")
    figures: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="validate-")))
        spark = stack.enter_context(spark_session(folder / "warehouse")) if with_spark else None
        if "stage" in options.only:
            root = folder / "stage"
            make_stage(root, options.endpoints)
            others = {"pandera": lambda: pandera_stage(root)} if with_pandera else {}
            figures["stage"] = measure(root, source_suite(), options.rounds, spark, others)
            show(f"the stage's four tables, {options.endpoints} endpoints", figures["stage"])
        for rows in options.rows if "large" in options.only else ():
            for unique in (False, True):
                name = f"{rows} rows{', one column unique' if unique else ''}"
                figures[name] = large(
                    folder, rows, options.rounds, spark, unique=unique, with_pandera=with_pandera
                )
                show(f"twenty checks, {name}", figures[name])
    rounded = {
        name: {
            way: {key: round(value, 4) for key, value in found.items()}
            for way, found in ways.items()
        }
        for name, ways in figures.items()
    }
    print(
        json.dumps(
            {"benchmark": "validate", "python": platform.python_version(), "figures": rounded}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
