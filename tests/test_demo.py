"""`spectra demo`: the rows it leaves, and that its queries work as pasted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spectra_stage.cli.app import app
from spectra_stage.cli.queries import queries
from spectra_stage.tables import PREPARE_TABLES, SOURCE_TABLES, table_path
from tests.tables import read_rows, row_count

pytestmark = pytest.mark.usefixtures("fresh_logging")

TABLE = Path("Tables/log/sourcelog")


def run_demo(root: Path) -> str:
    result = CliRunner().invoke(app, ["demo", "--root", str(root)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_demo_leaves_a_successful_run_and_a_failed_one(tmp_path: Path) -> None:
    """Each table written is an activity; one run is recorded as Success and one as Failed."""
    run_demo(tmp_path)
    rows = read_rows(tmp_path / TABLE, order_by="activity_id")
    assert [(row["event"], row["target_table"], row["row_count"]) for row in rows[:4]] == [
        ("activity", "source.config", 6),
        ("activity", "source.credentials", 1),
        ("activity", "source.endpoints", 4),
        ("activity", "source.portfolio", 1),
    ]
    records = [row for row in rows if row["event"] == "record"]
    assert [(row["status"], row["error_type"]) for row in records] == [
        ("Success", None),
        ("Failed", "AuthenticationError"),
    ]
    assert records[0]["capabilities"].endswith("bootstrapped,tablesRegistered")
    assert {row["execution_id"] for row in rows} == {row["execution_id"] for row in records}


def test_the_demo_leaves_the_whole_stage(tmp_path: Path) -> None:
    """Four source tables with their rows, and three of Prepare's without any."""
    run_demo(tmp_path)
    counts = {
        spec.name: row_count(tmp_path / table_path(spec))
        for spec in (*SOURCE_TABLES, *PREPARE_TABLES)
    }
    assert list(counts.values()) == [6, 1, 4, 1, 0, 0, 0]


def test_the_demo_shows_its_rows_and_where_they_are(tmp_path: Path) -> None:
    """The output has each table, the verdict, the readiness after either run, the log, queries."""
    output = run_demo(tmp_path)
    for spec in (*SOURCE_TABLES, *PREPARE_TABLES):
        assert table_path(spec) in output
    for expected in ("It ended as Success", "ready; cite zephyrSource_", "not ready", "401"):
        assert expected in output
    assert re.search(r"Do they hold what was promised\?\n  passed, all \d+ checks passed;", output)
    assert "an-expired-token" not in output
    for query in queries(tmp_path / TABLE):
        assert query.text in output


def test_a_second_demo_adds_to_the_first(tmp_path: Path) -> None:
    """The table and its journal go on where an earlier demo left them."""
    run_demo(tmp_path)
    first = len(read_rows(tmp_path / TABLE))
    run_demo(tmp_path)
    assert len(read_rows(tmp_path / TABLE)) == 2 * first


def test_the_demo_writes_nothing_outside_of_its_folder(tmp_path: Path, journals: Path) -> None:
    """The journal lies below --root too."""
    run_demo(tmp_path)
    assert list(journals.iterdir()) == []
    assert list((tmp_path / "journals").glob("*/journal.json"))


@pytest.mark.parametrize("title", ["deltalake", "DuckDB"])
def test_the_demos_queries_work_as_pasted(tmp_path: Path, title: str) -> None:
    """A fresh interpreter that is given the query's text prints the failed run's error."""
    run_demo(tmp_path)
    (query,) = [query for query in queries(tmp_path / TABLE) if title in query.title]
    done = subprocess.run(
        [sys.executable, "-c", query.text], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Failed" in done.stdout


def test_the_module_runs_the_demo_like_the_command(tmp_path: Path) -> None:
    """`python -m spectra_stage demo` works from a folder of its own, by its default --root."""
    done = subprocess.run(
        [sys.executable, "-m", "spectra_stage", "demo"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(read_rows(tmp_path / "spectra-demo" / TABLE)) == 6
