"""The programs in examples/ run as they are, from a fresh interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.tables import read_rows

EXAMPLES = Path(__file__).parent.parent / "examples"


def run_example(name: str, root: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example with its lakehouse in a folder of the test's own."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
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
