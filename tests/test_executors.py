"""A logger for a process that others start and end: made once, and waited for by the block."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spectra_logging import executors, lakehouse
from spectra_logging.drain import drain_journals
from spectra_logging.errors import ConfigurationError
from spectra_logging.executors import worker_logger, worker_logging
from spectra_logging.lakehouse.base import Lakehouse
from tests.handlers import attach
from tests.tables import read_rows


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(tmp_path / "events")


@pytest.fixture(autouse=True)
def no_handler_outlasts_its_test() -> Iterator[None]:
    """A worker's lasts for its process; here others follow, and would hear what it has left."""
    before = set(executors._handlers)
    yield
    for key in set(executors._handlers) - before:
        handler = executors._handlers.pop(key)
        logging.getLogger(key[1]).removeHandler(handler)
        handler.close()


@pytest.fixture
def out_of_reach(tmp_path: Path) -> Iterator[str]:
    """A table that can't be made while the test runs."""
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    yield f"{in_the_way}/t"
    in_the_way.unlink()


@pytest.fixture
def tokens_used(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The tokens that engines are opened with, in order."""
    used: list[str | None] = []
    original = lakehouse.open_lakehouse

    def watched(engine: str, *, storage_options: dict[str, str]) -> Lakehouse:
        used.append(storage_options.get("bearer_token"))
        return original(engine, storage_options=storage_options)

    monkeypatch.setattr(lakehouse, "open_lakehouse", watched)
    return used


class TestLogger:
    def test_is_made_once_a_process(self, table: str) -> None:
        """So that a function may ask for it for each row."""
        loggers = {id(worker_logger(table, "tests.once")) for _ in range(5)}
        assert len(loggers) == 1
        assert len(worker_logger(table, "tests.once").handlers) == 1

    @pytest.mark.parametrize("names", [("tests.up", "tests.up.udf"), ("tests.a.udf", "tests.a")])
    def test_doubles_no_row_below_another_of_the_same_table(
        self, table: str, names: tuple[str, str]
    ) -> None:
        """Whichever of the two comes first; what came before the other is waited for too."""
        with worker_logging(table, names[0]) as outer:
            outer.info("before")
            with worker_logging(table, names[1]) as inner:
                inner.info("within")
            outer.info("after")
        events = [(row["event"], row["logger"]) for row in read_rows(table)]
        assert sorted(events) == [
            ("after", names[0]),
            ("before", names[0]),
            ("within", names[1]),
        ]

    @pytest.mark.parametrize("level", ["INFO", "ERROR"])
    def test_doubles_no_row_where_the_driver_logs_to_the_same_table(
        self, table: str, level: str, logger: logging.Logger
    ) -> None:
        """As in ``foreachBatch``; a handler that takes only some of the records won't do."""
        attach(logger, table, level=level)
        with worker_logging(table, f"{logger.name}.batch") as log:
            log.info("cleaned")
        assert [row["event"] for row in read_rows(table)] == ["cleaned"]

    def test_takes_a_token_that_is_newer_than_the_first(
        self, table: str, tokens_used: list[str | None]
    ) -> None:
        """A process lives longer than a token is good, and each function brings its own."""
        for token in ("first", "second", "first", "second", "third"):
            options = {"bearer_token": token}
            with worker_logging(table, "tests.token", storage_options=options) as log:
                log.info(token)
            worker_logger(table, "tests.token", storage_options=options)
        assert tokens_used == ["first", "second", "third"]
        assert len(read_rows(table)) == 5

    def test_takes_a_token_that_is_put_in_place_of_the_first(
        self, table: str, tokens_used: list[str | None]
    ) -> None:
        """In the very mapping that it was given before; and what brings no options renews none."""
        options = {"bearer_token": "first"}
        for brought in (options, options, None, {}):
            with worker_logging(table, "tests.in_place", storage_options=brought) as log:
                log.info("cleaned")
            options["bearer_token"] = "second"
        assert tokens_used == ["first", "second"]
        assert len(read_rows(table)) == 4

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
        self, out_of_reach: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The records stay on the host, and stderr says where."""
        with worker_logging(out_of_reach, "tests.no", flush_timeout_seconds=0.5) as log:
            log.info("kept")
        assert "1 records are not yet in" in capsys.readouterr().err

    def test_fails_no_task_where_stderr_is_closed(
        self, out_of_reach: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Or where there is none; then nobody is told, and the block ends as ever."""
        monkeypatch.setattr(sys, "stderr", None)
        with worker_logging(out_of_reach, "tests.mute", flush_timeout_seconds=0.2) as log:
            log.info("kept")
