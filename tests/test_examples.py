"""The programs in examples/ run as they are, from a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from spectra_stage.tables import SOURCE_TABLES, table_path
from tests.stages import CAPABILITIES
from tests.tables import read_rows, row_count

EXAMPLES = Path(__file__).parent.parent / "examples"


def run_example(
    name: str, root: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run an example with its lakehouse in a folder of the test's own."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(EXAMPLES.parent),
            "SPECTRA_ROOT": str(root),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_source_notebook_reads_its_source_and_records_it(tmp_path: Path) -> None:
    """Each entity of each project is an activity, and the run is recorded as a success."""
    done = run_example("source_notebook.py", tmp_path)
    assert done.returncode == 0, done.stderr
    landed = read_rows(tmp_path / "Tables/log/sourcelog", order_by="activity_id")
    assert [(row["event"], row["entity_name"], row["row_count"]) for row in landed] == [
        ("activity", "project", 2),
        ("activity", "release", 2),
        ("activity", "testcase", 120),
        ("activity", "release", 2),
        ("activity", "testcase", 120),
        ("record", None, None),
    ]
    assert landed[-1]["status"] == "Success"
    assert landed[-1]["capabilities"] == "authVerified,projectAccessVerified"


def test_the_source_notebook_fails_with_a_wrong_token(tmp_path: Path) -> None:
    """It ends with an error, leaves a Failed row, and shows the token nowhere."""
    token = "an-expired-token-55"
    done = run_example("source_notebook.py", tmp_path, API_TOKEN=token)
    assert done.returncode == 1
    assert "authentication failed: 401" in done.stderr
    (row,) = read_rows(tmp_path / "Tables/log/sourcelog")
    assert row["status"] == "Failed"
    assert row["error_type"] == "HTTPError"
    assert token not in done.stderr + done.stdout + str(row)


HTTPBIN = {
    "API_TOKEN": "example-token-1234",
    "TEST_ENDPOINT": "/bearer",
    "RESOURCE_ENDPOINT_TEMPLATE": "/anything/project/{projectId}",
    "TEST_PROJECT_ID": "1",
    "DESCRIPTION": "/spec.json",
}


def test_the_source_stage_runs_on_its_own(tmp_path: Path) -> None:
    """Without any setting it has a source system of its own, and shows what it does with it."""
    done = run_example("source_stage.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "session started" in done.stderr
    assert [row_count(tmp_path / table_path(spec)) for spec in SOURCE_TABLES] == [6, 1, 4, 1]


def test_the_source_stage_runs_against_an_api_that_others_wrote(
    tmp_path: Path, httpbin: str, engine: str
) -> None:
    """The notebook, its first line changed, against httpbin, with a real Spark session or none."""
    arguments = ["--spark"] if engine == "spark" else []
    done = run_example("source_stage.py", tmp_path, *arguments, BASE_URL=httpbin, **HTTPBIN)
    assert done.returncode == 0, done.stderr
    (portfolio,) = read_rows(tmp_path / "Tables/source/portfolio", order_by="ALL")
    assert portfolio["total_endpoints"] == row_count(tmp_path / "Tables/source/endpoints") > 50
    assert portfolio["auth_status"] == "Success"
    (record,) = read_rows(tmp_path / "Tables/log/sourcelog")
    assert record["status"] == "Success"
    assert record["capabilities"].split(",") == CAPABILITIES


def test_the_source_stage_fails_with_an_exit_code(tmp_path: Path, httpbin: str) -> None:
    """A token that is refused: one Failed row, exit code 1, and the token nowhere."""
    refused = {**HTTPBIN, "TEST_ENDPOINT": "/status/401"}
    done = run_example("source_stage.py", tmp_path, BASE_URL=httpbin, **refused)
    assert done.returncode == 1
    assert "AuthenticationError" in done.stderr
    (record,) = read_rows(tmp_path / "Tables/log/sourcelog")
    assert (record["status"], record["error_type"]) == ("Failed", "AuthenticationError")
    assert refused["API_TOKEN"] not in done.stdout + done.stderr + str(record)
