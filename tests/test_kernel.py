"""Sessions in a real Jupyter kernel, which executes each cell by itself, as Fabric's does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from tests import stages
from tests.tables import read_rows

BEGIN = (
    "import logging; from spectra_logging import NotebookSession, configure",
    "configure(table='Tables/log/events')",
    "session = NotebookSession('zephyrVariables').load_context(bootstrap=True, project=0)",
    "log = session.initialize()",
)
WORK = "logging.getLogger('shop').warning('sold')"
END = ("session.validate()", "assert session.record()", "session.finalise()")


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the notebook and Jupyter look up."""
    stages.set_up(monkeypatch, tmp_path)
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


def run_notebook(*cells: str) -> str:
    """Execute cells up to the first that fails, whose error is given, and shut the kernel down."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=dict(os.environ), cwd=str(Path(__file__).parent.parent))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        for cell in cells:
            reply = client.execute_interactive(cell, timeout=60, output_hook=lambda _: None)
            if reply["content"]["status"] == "error":
                return str(reply["content"]["evalue"])
        return ""
    finally:
        client.stop_channels()
        # One that takes longer is killed, and its rows wait in the journal.
        manager.shutdown_wait_time = 30.0
        manager.shutdown_kernel()


def test_every_cell_logs_with_the_session_s_execution_id(tmp_path: Path) -> None:
    """Also one with a top-level await, which the kernel runs as a task of its own."""
    waits = f"import asyncio; await asyncio.sleep(0); {WORK}"
    assert run_notebook(*BEGIN, WORK, waits, *END, WORK) == ""
    [run] = read_rows(tmp_path / "Tables/log/sourcelog")
    sold = [r for r in read_rows(tmp_path / "Tables/log/events") if r["event"] == "sold"]
    assert run["status"] == "Success"
    assert [r["execution_id"] for r in sold] == [run["execution_id"], run["execution_id"], None]


def test_a_kernel_shut_down_after_a_cell_that_failed_leaves_a_failed_row(tmp_path: Path) -> None:
    failing = "raise ConnectionError('the source system does not answer')"
    assert run_notebook(*BEGIN, WORK, failing, *END) == "the source system does not answer"
    [run] = read_rows(tmp_path / "Tables/log/sourcelog")
    assert run["status"] == "Failed"
    assert run["error_message"] == "the source system does not answer"
    events = read_rows(tmp_path / "Tables/log/events")
    assert [r["event"] for r in events if r["logger"] == "shop"] == ["sold"]


def test_a_cell_executed_again_ends_the_session_before_it(tmp_path: Path) -> None:
    """Its run was never recorded, and the table says so; the second is one of its own."""
    assert run_notebook(*BEGIN, *BEGIN[1:], WORK, *END) == ""
    rows = read_rows(tmp_path / "Tables/log/sourcelog")
    assert [row["status"] for row in rows] == ["Failed", "Success"]
    assert rows[0]["execution_id"] != rows[1]["execution_id"]
