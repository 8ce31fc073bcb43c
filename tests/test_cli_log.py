"""`spectra log`: show, tail, stats and drain, on real tables and real journals."""

from __future__ import annotations

import datetime as dt
import importlib.abc
import io
import json
import logging
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import typer.main
from rich.console import Console
from typer.testing import CliRunner, Result

from spectra_logging import DeltaHandler
from spectra_logging.errors import ConfigurationError, SpectraError, TableNotFoundError
from spectra_logging.journal.folder import find_journals
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.tables import Column, TableSpec
from spectra_stage import __main__ as entry
from spectra_stage.cli.app import app
from spectra_stage.cli.follow import Follower
from spectra_stage.cli.rows import newest_rows, print_rows
from tests.programs import run_in, run_program
from tests.tables import column, row_count

TABLE = "Tables/log/events"

Log = Callable[..., None]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """Logs a line at a level, and returns when it is in the table."""
    handler = DeltaHandler(str(tmp_path / TABLE))
    logger = logging.Logger("shop", logging.DEBUG)
    logger.addHandler(handler)

    def call(level: str | int, message: str, exc_info: bool = False, **extra: Any) -> None:
        number = getattr(logging, level) if isinstance(level, str) else level
        logger.log(number, message, exc_info=exc_info, extra=extra)
        assert handler.flush(30)

    yield call
    handler.close()


def spectra(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def rows_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


# -- show ------------------------------------------------------------------------------------


def test_show_prints_the_newest_rows_oldest_first(log: Log, tmp_path: Path) -> None:
    """--limit keeps the newest rows, in the order they were logged."""
    for message in ("first", "second", "third"):
        log("INFO", message)
    rows = rows_of(spectra("log", "show", TABLE, "--root", tmp_path, "--limit", "2", "--json"))
    assert [row["event"] for row in rows] == ["second", "third"]


def test_show_as_json_has_every_column(log: Log, tmp_path: Path) -> None:
    """A row of JSON holds all columns; timestamps are ISO 8601 in UTC."""
    log("WARNING", "order placed", customer=42)
    (row,) = rows_of(spectra("log", "show", tmp_path / TABLE, "--json"))
    assert row["logger"] == "shop"
    assert row["recorded_at"].endswith("+00:00")
    assert json.loads(row["context"]) == {"customer": 42}
    assert "trace_id" in row


@pytest.mark.parametrize("end", ["", "/"])
def test_the_root_of_a_table_may_be_a_uri(log: Log, tmp_path: Path, end: str) -> None:
    """A relative table is below the URI; an absolute path is where it is."""
    log("INFO", "first")
    for table in (TABLE, tmp_path / TABLE):
        (row,) = rows_of(spectra("log", "show", table, "--root", tmp_path.as_uri() + end, "--json"))
        assert row["event"] == "first"


def test_show_filters_by_level_and_those_above(log: Log, tmp_path: Path) -> None:
    """--level WARNING shows warnings, errors and own levels; its case does not matter."""
    for level in ("DEBUG", "INFO", "WARNING", "ERROR"):
        log(level, level.lower())
    log(35, "own")
    rows = rows_of(spectra("log", "show", tmp_path / TABLE, "--level", "warning", "--json"))
    assert [row["event"] for row in rows] == ["warning", "error", "own"]


def test_show_prints_a_table_for_people(log: Log, tmp_path: Path) -> None:
    """Without --json the columns worth a look are shown, markup in messages as it is."""
    log("ERROR", "payment [bold]refused[/bold]")
    output = spectra("log", "show", tmp_path / TABLE).stdout
    assert "payment [bold]refused[/bold]" in output
    assert "recorded_at" in output
    assert "trace_id" not in output


def on_screen(rows: list[dict[str, Any]], width: int) -> list[str]:
    screen = io.StringIO()
    print_rows(Console(file=screen, width=width), rows)
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_rows_that_a_screen_is_too_narrow_for_are_a_line_each() -> None:
    """80 columns hold no table of an activity; its values stand with their names then."""
    row = {
        "activity_id": "1",
        "recorded_at": dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone.utc),
        "level": "INFO",
        "event": "activity",
        "notebook_name": "zephyrSource",
        "status": "Success",
        "entity_name": "project",
        "row_count": 2,
        "duration_seconds": 0.5,
        "error_message": None,
    }
    head = "2026-01-01 12:00:00.000Z  INFO  activity  "
    (line,) = on_screen([row], width=80)
    assert line.startswith(f"{head}notebook_name=zephyrSource  status=Success  ")
    assert line.endswith("  entity_name=project  row_count=2  duration_seconds=0.500")
    header, line = on_screen([row], width=110)
    assert header.split() == [name for name in row if name not in {"activity_id", "error_message"}]
    assert line.split()[:4] == head.split()


def test_a_traceback_keeps_its_lines(log: Log, tmp_path: Path) -> None:
    """It stands below its row and is not folded into a column, in a pipe either."""
    try:
        dict[str, str]()["no stock" * 20]
    except KeyError:
        expected = traceback.format_exc().splitlines()
        log("ERROR", "order refused", order=17, exc_info=True)
    head, *below = spectra("log", "show", tmp_path / TABLE).stdout.splitlines()
    assert head.endswith('  ERROR  shop  order refused  {"order":17}')
    assert below == [f"    {line}" for line in expected]
    rows = newest_rows(open_lakehouse(), str(tmp_path / TABLE), limit=1, level=None)
    told = "all that there is to tell of it " * 9
    rows += [{**row, "event": told, "exception": None} for row in rows]
    shown = on_screen(rows, width=max(map(len, expected)) + 120)
    assert [line for line in expected if not any(line in each for each in shown)] == []
    assert shown[0].startswith("recorded_at")


def test_show_says_where_there_is_no_table(tmp_path: Path) -> None:
    """A missing table is an error that names the place."""
    result = spectra("log", "show", tmp_path / "nothing")
    assert isinstance(result.exception, TableNotFoundError)
    assert str(tmp_path / "nothing") in str(result.exception)


@pytest.mark.parametrize("command", ["show", "stats"])
def test_a_table_that_is_no_log_is_refused(tmp_path: Path, command: str) -> None:
    """A Delta table without recorded_at is refused in words, not by the engine's SQL error."""
    from deltalake import write_deltalake
    from polars import DataFrame

    write_deltalake(str(tmp_path / "prices"), DataFrame({"price": [1.5]}))
    result = spectra("log", command, tmp_path / "prices")
    assert isinstance(result.exception, SpectraError)
    assert "no column recorded_at" in str(result.exception)


def test_a_storage_option_without_a_value_is_refused_without_repeating_it(tmp_path: Path) -> None:
    """The message says what is wrong with the option, not the secret that it may hold."""
    result = spectra("log", "show", tmp_path / TABLE, "--storage-option", "hunter2-secret")
    assert isinstance(result.exception, ConfigurationError)
    assert "KEY=VALUE" in str(result.exception)
    assert "hunter2" not in str(result.exception)


# -- tail ------------------------------------------------------------------------------------


def test_following_gives_each_row_once(log: Log, tmp_path: Path) -> None:
    """First the newest rows, then what has landed since, equal messages included."""
    for message in ("a", "b", "c"):
        log("INFO", message)
    follower = Follower(open_lakehouse(), str(tmp_path / TABLE), limit=2, level=None)
    assert [row["event"] for row in follower.new_rows()] == ["b", "c"]
    assert follower.new_rows() == []
    log("INFO", "c")
    assert [row["event"] for row in follower.new_rows()] == ["c"]
    assert follower.new_rows() == []


def test_following_begins_before_the_table(log: Log, tmp_path: Path) -> None:
    """A table that is not there yet has no rows, and then its first ones."""
    follower = Follower(open_lakehouse(), str(tmp_path / TABLE), limit=5, level=None)
    assert follower.new_rows() == []
    log("INFO", "first")
    assert [row["event"] for row in follower.new_rows()] == ["first"]


def test_following_shows_rows_that_land_out_of_order(tmp_path: Path) -> None:
    """A row recorded before the newest one, but committed after it, is shown."""
    early = DeltaHandler(str(tmp_path / TABLE), journal_directory=str(tmp_path / "early"))
    late = DeltaHandler(str(tmp_path / TABLE), journal_directory=str(tmp_path / "late"))
    logger = logging.Logger("shop")
    first = logger.makeRecord("shop", logging.INFO, __file__, 1, "recorded first", (), None)
    second = logger.makeRecord("shop", logging.INFO, __file__, 2, "recorded second", (), None)
    follower = Follower(open_lakehouse(), str(tmp_path / TABLE), limit=5, level=None)
    late.handle(second)
    assert late.flush(30)
    assert [row["event"] for row in follower.new_rows()] == ["recorded second"]
    early.handle(first)
    assert early.flush(30)
    assert [row["event"] for row in follower.new_rows()] == ["recorded first"]
    early.close()
    late.close()


def test_tail_prints_rows_as_they_land_and_ends_quietly(log: Log, tmp_path: Path) -> None:
    """The real command shows an old row, then a new one, and Ctrl-C ends it with code 0."""
    log("INFO", "before")
    command = ["log", "tail", str(tmp_path / TABLE), "--interval-seconds", "0.1", "--json"]
    tail = subprocess.Popen(
        [sys.executable, "-m", "spectra_stage", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert tail.stdout is not None
    assert json.loads(tail.stdout.readline())["event"] == "before"
    log("INFO", "after")
    assert json.loads(tail.stdout.readline())["event"] == "after"
    tail.send_signal(signal.SIGINT)
    assert tail.communicate(timeout=30) == ("", "")
    assert tail.returncode == 0


@pytest.mark.parametrize("command", ["show", "tail"])
def test_a_terminal_obeys_nothing_that_was_logged(log: Log, tmp_path: Path, command: str) -> None:
    """What came in from outside may hold escapes that recolour, erase or retitle a terminal."""
    log("ERROR", "user \x1b]0;mine\x07\x1b[2J \x9b31m \u202e[red]\n2026-01-01  CRITICAL  forged")
    process = subprocess.Popen(
        [sys.executable, "-m", "spectra_stage", "log", command, str(tmp_path / TABLE)],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=Path(__file__).parent.parent,
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    shown = next(line for line in lines if "user" in line)
    assert r"user \x1b]0;mine\x07\x1b[2J \x9b31m \u202e[red]" in shown
    assert next(lines).startswith("    ")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


@pytest.mark.parametrize("command", ["show", "tail"])
def test_json_has_nothing_that_a_terminal_would_obey(
    log: Log, tmp_path: Path, command: str
) -> None:
    """People look at it too; a program reads what was logged."""
    text = "user \x1b[2J \x9b31m \u202e"
    log("ERROR", text)
    process = subprocess.Popen(
        [sys.executable, "-m", "spectra_stage", "log", command, str(tmp_path / TABLE), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=Path(__file__).parent.parent,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert r"user \u001b[2J \u009b31m \u202e" in line
    assert json.loads(line)["event"] == text
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


# -- stats and drain -------------------------------------------------------------------------

LEAVE_RECORDS = """
    logger.addHandler(DeltaHandler(table, flush_interval_seconds=3600))
    for number in range(5):
        logger.info("left %d", number)
    os._exit(0)
"""


def test_stats_counts_rows_and_what_waits_in_the_journal(log: Log, tmp_path: Path) -> None:
    """Rows by level come from the table, pending rows from a dead process's journal."""
    log("INFO", "one")
    log("ERROR", "two")
    run_program(LEAVE_RECORDS, tmp_path / "other")
    figures = json.loads(spectra("log", "stats", tmp_path / TABLE, "--json").stdout)
    assert (figures["rows"], figures["rows_by_level"]) == (2, {"ERROR": 1, "INFO": 1})
    waiting = json.loads(spectra("log", "stats", tmp_path / "other", "--json").stdout)
    assert waiting["rows"] is None
    assert [journal["pending_rows"] for journal in waiting["journals"]] == [5]
    assert "pending_rows     5" in spectra("log", "stats", tmp_path / "other").stdout


def test_a_log_without_levels_is_one_too(tmp_path: Path) -> None:
    """A spec of one's own may leave the level to the JSON column."""
    spec = TableSpec(name="log.own", columns=(Column(name="recorded_at", type="timestamp"),))
    now = dt.datetime.now(dt.timezone.utc)
    open_lakehouse().write(str(tmp_path / TABLE), [{"recorded_at": now}] * 2, spec=spec)
    figures = json.loads(spectra("log", "stats", tmp_path / TABLE, "--json").stdout)
    assert (figures["rows"], figures["rows_by_level"]) == (2, {})
    assert figures["first_row_at"] == figures["last_row_at"] == now.isoformat()
    assert len(rows_of(spectra("log", "show", tmp_path / TABLE, "--json"))) == 2
    result = spectra("log", "show", tmp_path / TABLE, "--level", "ERROR")
    assert isinstance(result.exception, SpectraError)
    assert "has no column level: leave --level out" in str(result.exception)


def test_drain_commits_what_a_dead_process_left(tmp_path: Path) -> None:
    """Five records of a process that is gone land; draining again finds nothing."""
    table = tmp_path / TABLE
    run_program(LEAVE_RECORDS, table)
    assert row_count(table) == 0
    report = json.loads(spectra("log", "drain", table, "--json").stdout)
    assert (report["rows"], report["batches"]) == (5, 1)
    assert column(table) == [f"left {number}" for number in range(5)]
    assert "0 rows in 0 commits" in spectra("log", "drain", table).stdout


COMMAND = "import sys; from spectra_stage.__main__ import main; sys.exit(main())"


@pytest.mark.parametrize("command", ["stats", "drain"])
def test_a_journal_that_can_not_be_opened_is_told_in_a_line(tmp_path: Path, command: str) -> None:
    """As that of another user; a folder in its state's place stands in for one."""
    table = tmp_path / TABLE
    run_program(LEAVE_RECORDS, table)
    (folder,) = find_journals(str(table))
    (folder / "state.json").mkdir()
    done = run_in(tmp_path, sys.executable, "-m", "spectra_stage", "log", command, table)
    assert done.returncode == 1
    assert done.stderr.startswith("spectra: ")
    assert str(folder / "state.json") in done.stderr
    assert "Traceback" not in done.stderr


def test_drain_finds_a_spec_in_the_working_directory(tmp_path: Path) -> None:
    """As the program did that left the journal; the folder of a command's script is another."""
    (tmp_path / "shop.py").write_text(
        "import dataclasses\n"
        "from spectra_logging import EVENT_LOG\n"
        "ORDERS = dataclasses.replace(EVENT_LOG, name='log.orders')\n"
    )
    (tmp_path / "program.py").write_text(
        "import logging, os\n"
        "from spectra_logging import DeltaHandler\n"
        "logging.getLogger().addHandler(DeltaHandler('orders', spec='shop:ORDERS'))\n"
        "logging.warning('left')\n"
        "os._exit(0)\n"
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "spectra").write_text(COMMAND)
    for arguments in (["program.py"], ["bin/spectra", "log", "drain", "orders"]):
        done = run_in(tmp_path, sys.executable, *arguments)
        assert done.returncode == 0, done.stderr
    assert column(tmp_path / "orders") == ["left"]


def test_drain_works_where_the_working_directory_is_gone(tmp_path: Path) -> None:
    """A job's may have been removed with the job, and what it left is to be committed."""
    (tmp_path / "here").mkdir()
    (tmp_path / "spectra").write_text(f"import os; os.rmdir(os.getcwd()); {COMMAND}")
    command = (sys.executable, tmp_path / "spectra", "log", "drain", tmp_path / TABLE)
    done = run_in(tmp_path / "here", *command)
    assert (done.returncode, done.stdout) == (0, "0 rows in 0 commits; 0 set aside\n"), done.stderr


@pytest.mark.parametrize("command", ["stats", "drain"])
def test_a_table_without_a_journal_is_told_with_where_it_was_looked_for(
    log: Log, tmp_path: Path, command: str
) -> None:
    """As where the handler had a `journal_directory` and the command was not told."""
    log("INFO", "one")
    elsewhere = tmp_path / "elsewhere"
    found = spectra("log", command, tmp_path / TABLE)
    lost = spectra("log", command, tmp_path / TABLE, "--journal-directory", elsewhere)
    assert (found.exit_code, found.stderr) == (0, "")
    assert lost.exit_code == 0
    assert f"no journal of {tmp_path / TABLE} below {elsewhere}" in lost.stderr


def test_drain_says_when_another_process_is_draining(log: Log, tmp_path: Path) -> None:
    """Exit code 4 and a word on stderr, while the drain lock is held elsewhere."""
    from spectra_logging.journal.batches import Batches

    log("INFO", "one")
    (folder,) = find_journals(str(tmp_path / TABLE))
    with Batches(folder).draining(30) as acquired:
        assert acquired
        result = spectra("log", "drain", tmp_path / TABLE)
    assert result.exit_code == 4
    assert "draining this journal" in result.stderr


# -- the command as a whole ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["log", "show", "nowhere"], 1, "there is no Delta table"),
        (["log", "show", ""], 2, "names no table"),
        (["log", "show", "nowhere", "--engine", "abacus"], 2, "abacus"),
        (["log", "show", "--limit", "0", "nowhere"], 2, "--limit"),
        (["--version"], 0, "spectra-logging 0."),
    ],
)
def test_exit_codes_and_messages(
    arguments: list[str], code: int, told: str, tmp_path: Path
) -> None:
    """Errors are a line on stderr and a code, never a traceback."""
    done = run_in(tmp_path, sys.executable, "-m", "spectra_stage", *arguments)
    assert done.returncode == code
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_without_its_extra_the_command_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where typer is missing, the exit code is 3 and stderr names the extra."""
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "spectra_stage.cli.app")
    assert entry.main() == 3
    assert "spectra-logging[cli]" in capsys.readouterr().err


def test_an_interrupt_while_the_command_is_imported_ends_it_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That takes a second, in which one may find that another option was meant."""

    class Interrupted(importlib.abc.MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            if name == "spectra_stage.cli.app":
                raise KeyboardInterrupt  # as a signal, it would be ignored in the background

    monkeypatch.delitem(sys.modules, "spectra_stage.cli.app")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    assert entry.main() == 130
    assert capsys.readouterr() == ("", "")


def test_an_interrupt_while_the_commands_are_made_ends_it_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which typer does after the import, and before it sees to interrupts itself."""

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is typer.main.get_command.__code__:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["spectra", "log", "show", "nowhere"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # typer sets its own
    before = sys.getprofile()
    sys.setprofile(interrupt)
    try:
        assert entry.main() == 130
    finally:
        sys.setprofile(before)
    assert capsys.readouterr() == ("", "")


def test_characters_that_an_encoding_lacks_are_escaped(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was logged may be in any language; the terminal may know one."""
    log("INFO", "Grüße: 你好")
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    monkeypatch.setenv("PYTHONUTF8", "0")
    done = subprocess.run(
        [sys.executable, "-m", "spectra_stage", "log", "show", tmp_path / TABLE],
        capture_output=True,
        encoding="latin-1",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Grüße: \\u4f60\\u597d" in done.stdout
