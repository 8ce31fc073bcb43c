"""Rows of ended processes: who commits them knows whose they were."""

from __future__ import annotations

import logging
from pathlib import Path

from spectra_logging import DeltaHandler, drain_journals
from tests.programs import run_program

LEAVES_THREE = """
logger.addHandler(DeltaHandler(table, spec="activity", flush_interval_seconds=3600))
for run, event in (("run-1", "activity"), ("run-2", "activity"), ("run-2", "record")):
    logger.info(event, extra={"execution_id": run})
os._exit(1)
"""


def test_the_next_process_knows_what_was_left_and_which_run_had_not_ended(
    tmp_path: Path, logger: logging.Logger
) -> None:
    """Its own rows are not among them, and a run that had recorded its end is not named."""
    table = tmp_path / "activity"
    run_program(LEAVES_THREE, table)
    handler = DeltaHandler(str(table), spec="activity")
    logger.addHandler(handler)
    logger.info("activity", extra={"execution_id": "run-3"})
    assert handler.flush(30)
    assert handler.stats().written == 1
    assert handler.stats().left_behind == 3
    assert handler.stats().unrecorded_runs == ("run-1",)
    logger.info("activity", extra={"execution_id": "run-3"})
    assert handler.flush(30)
    assert handler.stats().left_behind == 3


def test_draining_by_hand_tells_it_too(tmp_path: Path) -> None:
    """The report has the figures of a handler."""
    table = tmp_path / "activity"
    run_program(LEAVES_THREE, table)
    report = drain_journals(str(table))
    assert (report.rows, report.left_behind, report.unrecorded_runs) == (3, 3, ("run-1",))
    assert drain_journals(str(table)).left_behind == 0
