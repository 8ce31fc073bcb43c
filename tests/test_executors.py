"""A logger for a process that others start and end: made once, and waited for by the block."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from spectra_logging.drain import drain_journals
from spectra_logging.errors import ConfigurationError
from spectra_logging.executors import worker_logger, worker_logging
from tests.tables import read_rows


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(tmp_path / "events")


class TestLogger:
    def test_is_made_once_a_process(self, table: str) -> None:
        """So that a function may ask for it for each row."""
        loggers = {id(worker_logger(table, "tests.once")) for _ in range(5)}
        assert len(loggers) == 1
        assert len(worker_logger(table, "tests.once").handlers) == 1

    @pytest.mark.parametrize("table", ["Tables/log/events", "main.log.events", ""])
    def test_takes_no_table_that_a_worker_can_not_find(self, table: str) -> None:
        """The message says what to do on the driver."""
        with pytest.raises(ConfigurationError, match=r"resolve_table\(\) on the driver"):
            worker_logger(table)

    def test_waits_for_the_table_at_the_blocks_end(self, table: str) -> None:
        """Rows carry what they are about, and nothing of it stays bound."""
        with worker_logging(table, "tests.block", execution_id="run-1") as log:
            log.info("cleaned", extra={"rows": 3})
        logging.getLogger("tests.block").info("after")
        (row,) = [row for row in read_rows(table) if row["event"] == "cleaned"]
        assert (row["execution_id"], row["logger"]) == ("run-1", "tests.block")
        assert drain_journals(table).rows == 1
        assert [row["execution_id"] for row in read_rows(table)] == ["run-1", None]

    def test_fails_no_task_when_the_table_can_not_be_reached(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The records stay on the host, and stderr says where."""
        (tmp_path / "file").touch()
        with worker_logging(f"{tmp_path}/file/t", "tests.no", flush_timeout_seconds=0.5) as log:
            log.info("kept")
        assert "1 records are not yet in" in capsys.readouterr().err
