"""`spectra demo`: the rows it leaves, and that its queries work as pasted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spectra_logging.testing import FakeDiscord
from spectra_stage.cli.app import app
from spectra_stage.cli.queries import queries
from spectra_stage.tables import PREPARE_TABLES, SOURCE_TABLES, table_path
from tests.programs import run_in
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


@pytest.mark.parametrize(
    "variables",
    [
        {
            "API_USER": "me",
            "AUTH_METHOD": "basic",
            "BASE_PATH": "/flex/services",
            "CONTRACT_VERSION": "4.0.0",
            "RESOURCE_ENDPOINT_TEMPLATE": "/nothing/{projectId}",
            "TEST_ENDPOINT": "/nothing",
            "TEST_PROJECT_ID": "nobody",
        },
        {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "intranet.example"},
        {"http_proxy": "http://127.0.0.1:9", "no_proxy": "intranet.example"},
        {"SPECTRA_ENGINE": "spark"},
    ],
    ids=["variables", "PROXY", "proxy", "engine"],
)
def test_the_demo_heeds_nothing_that_is_set_for_another_source_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    """Nor a proxy, which leads out of the machine."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert "ready; cite zephyrSource_" in run_demo(tmp_path)
    succeeded, _ = [
        row for row in read_rows(tmp_path / TABLE, "activity_id") if row["event"] == "record"
    ]
    assert "projectAccessVerified" in succeeded["capabilities"]
    assert {name: os.environ[name] for name in variables} == variables


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


@pytest.mark.parametrize("variable", ["DISCORD_WEBHOOK_URL", "DISCORD_WEBHOOK_URL_ZEPHYR"])
def test_the_demo_alerts_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Whoever has a webhook set for real runs is not told of the one that fails for show."""
    with FakeDiscord() as discord:
        monkeypatch.setenv(variable, discord.webhook_url)
        monkeypatch.setenv("DISCORD_API_BASE_URL", discord.api_base_url)
        run_demo(tmp_path)
        assert discord.requests == []
        assert os.environ[variable] == discord.webhook_url


@pytest.mark.parametrize("root", ["s3://bucket/demo", "file:/demo", "a_file"])
def test_a_root_that_is_no_folder_of_this_machine_is_refused_at_once(
    tmp_path: Path, root: str
) -> None:
    """Nothing is written, above all no folder that is called like the URI's scheme."""
    (tmp_path / "a_file").touch()
    done = run_in(tmp_path, sys.executable, "-m", "spectra_stage", "demo", "--root", root)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--root" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a_file"]


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


@pytest.mark.parametrize("is_found", [True, False])
def test_the_demos_commands_work_as_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_found: bool
) -> None:
    """Also where the shell does not find `spectra`, and the folder's name needs quotes."""
    if is_found:
        command = tmp_path / "bin" / "spectra"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m spectra_stage "$@"\n')
        command.chmod(0o700)
        monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    else:
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
    output = run_demo(tmp_path / "o'hara's lake")
    name = "spectra" if is_found else f"{sys.executable} -m spectra_stage"
    pasted = re.findall(rf"^ *({re.escape(name)} (?:validate|log show) .+)$", output, re.MULTILINE)
    assert len(pasted) == 2
    for line in pasted:
        done = run_in(tmp_path, "sh", "-c", line)
        assert done.returncode == 0, done.stderr
        assert "source.portfolio" in done.stdout


def test_the_module_runs_the_demo_like_the_command(tmp_path: Path) -> None:
    """`python -m spectra_stage demo` works from a folder of its own, by its default --root."""
    done = run_in(tmp_path, sys.executable, "-m", "spectra_stage", "demo")
    assert done.returncode == 0, done.stderr
    assert len(read_rows(tmp_path / "spectra-demo" / TABLE)) == 6
