"""`spectra demo`: the rows it leaves, and that its queries work as pasted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spectra_stage.cli.app import app
from spectra_stage.cli.queries import queries
from tests.tables import read_rows

pytestmark = pytest.mark.usefixtures("fresh_logging")

TABLE = Path("Tables/log/sourcelog")


def run_demo(root: Path) -> str:
    result = CliRunner().invoke(app, ["demo", "--root", str(root)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_demo_leaves_a_successful_run_and_a_failed_one(tmp_path: Path) -> None:
    """Each entity read is an activity; one run is recorded as Success and one as Failed."""
    run_demo(tmp_path)
    rows = read_rows(tmp_path / TABLE, order_by="activity_id")
    assert [(row["event"], row["entity_name"], row["row_count"]) for row in rows[:3]] == [
        ("activity", "projects", 2),
        ("activity", "releases", 2),
        ("activity", "cycles", 3),
    ]
    records = [row for row in rows if row["event"] == "record"]
    assert [(row["status"], row["capabilities"], row["error_type"]) for row in records] == [
        ("Success", "authVerified,projectAccessVerified", None),
        ("Failed", None, "HTTPError"),
    ]
    assert {row["execution_id"] for row in rows} == {row["execution_id"] for row in records}


def test_the_demo_shows_its_rows_and_where_they_are(tmp_path: Path) -> None:
    """The output has the table's place, a row of each kind and every query."""
    output = run_demo(tmp_path)
    assert str(tmp_path / TABLE) in output
    for expected in ("testcases", "Success", "Failed", "401 Client Error"):
        assert expected in output
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
    assert len(read_rows(tmp_path / "spectra-demo" / TABLE)) == 11
