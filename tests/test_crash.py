"""Processes that are killed: every record that was acknowledged is in the table exactly once."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from spectra_logging.drain import drain_journals
from tests.programs import KILLED, run_program, start_program, wait_until
from tests.tables import column, row_count

KILLS = 200

LOGS_IN_A_LOOP = """
handler = DeltaHandler(table, flush_interval_seconds=0.005)
logger.addHandler(handler)
acknowledged = os.open(arguments[0], os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0))
run = os.path.basename(arguments[0])
print("ready", flush=True)
n = 0
while True:
    event = f"{run}/{n}"
    logger.info(event)
    os.write(acknowledged, (event + "\\n").encode())
    n += 1
    if n % 50 == 0:
        time.sleep(0.002)
"""


def test_records_survive_a_kill_at_any_moment(tmp_path: Path) -> None:
    """200 processes, each killed at a random moment of logging and committing; then a restart.

    A record is acknowledged when the log call has returned, which the program notes in a file of
    its own. One that was under way when the process died may have landed or not.
    """
    table, acknowledged = tmp_path / "events", tmp_path / "acknowledged"
    acknowledged.mkdir()
    moments = random.Random(20261123)
    for run in range(KILLS):
        process = start_program(LOGS_IN_A_LOOP, table, acknowledged / str(run))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        # The moment is random, so that it falls on every step of the way.
        try:
            process.wait(moments.uniform(0.0, 0.15))
        except Exception:  # noqa: BLE001 - it is not to end by itself
            pass
        process.kill()
        process.communicate()
    drain_journals(str(table))
    landed = Counter(column(table))
    # A kill may also come in the midst of a note, where that goes over a page's end.
    notes = (line for file in acknowledged.iterdir() for line in file.read_text().splitlines(True))
    logged = [note.rstrip("\n") for note in notes if note.endswith("\n")]
    doubled = {event: times for event, times in landed.items() if times > 1}
    assert doubled == {}
    assert set(logged) - set(landed) == set()
    assert len(landed) <= len(logged) + KILLS, "at most one record a process was under way"
    assert len(logged) > KILLS


STOPS_AT_A_STEP = """
import spectra_logging.drain as drain
from spectra_logging.journal.batches import Batches
from spectra_logging.journal.state import StateFile
from spectra_logging import lakehouse

step = arguments[0]

def die_around(owner, name, before):
    function = getattr(owner, name)
    def dies(*args, **kwargs):
        if before:
            os.kill(os.getpid(), KILL)
        result = function(*args, **kwargs)
        os.kill(os.getpid(), KILL)
    setattr(owner, name, dies)

handler = DeltaHandler(table, flush_interval_seconds=3600)
logger.addHandler(handler)
logger.info("first")
assert handler.flush(30)
for n in range(10):
    logger.info("record %d", n)
print("logged", flush=True)
engine = type(handler._writer._drainer._lakehouse)
owner, name = {
    "seal": (Batches, "next_batch"),
    "commit": (engine, "append"),
    "note": (Batches, "note_committed"),
    "state": (StateFile, "save"),
    "remove": (Batches, "remove_leavings"),
}[step.partition("-")[2]]
die_around(owner, name, step.startswith("before"))
handler.flush(30)
print("not reached", flush=True)
"""


@pytest.mark.parametrize("step", ["seal", "commit", "note", "state", "remove"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_kill_around_each_step_of_a_commit_neither_loses_nor_doubles(
    tmp_path: Path, side: str, step: str
) -> None:
    """The process dies by its own SIGKILL right before or after a step; the next one drains."""
    table = tmp_path / "events"
    done = run_program(STOPS_AT_A_STEP, table, f"{side}-{step}")
    assert done.returncode == KILLED
    assert done.stdout == "logged\n"
    drain_journals(str(table))
    assert column(table) == ["first", *(f"record {n}" for n in range(10))]


DIES_BETWEEN_PARQUET_AND_LOG = """
handler = DeltaHandler(table, flush_interval_seconds=3600)
logger.addHandler(handler)
logger.info("first")
assert handler.flush(30)
# The commit writes the data file, then the log entry: with the log folder gone the first succeeds
# and the second can't.
log = os.path.join(table, "_delta_log")
os.rename(log, log + ".away")
open(log, "w").close()
logger.info("second")
handler.flush(0.5)
os.remove(log)
os.rename(log + ".away", log)
os.kill(os.getpid(), KILL)
"""


def test_a_data_file_without_its_log_entry_is_no_row(tmp_path: Path) -> None:
    """A commit that wrote Parquet and died before the log entry is repeated whole."""
    table = tmp_path / "events"
    assert run_program(DIES_BETWEEN_PARQUET_AND_LOG, table).returncode == KILLED
    drain_journals(str(table))
    assert column(table) == ["first", "second"]


SHARES_A_JOURNAL = """
handler = DeltaHandler(table, flush_interval_seconds=0.02)
logger.addHandler(handler)
print("ready", flush=True)
for n in range(int(arguments[1])):
    logger.info(f"{arguments[0]}/{n}")
    if n % 100 == 99:
        time.sleep(0.01)
print("logged", flush=True)
sys.stdin.readline()
"""


def test_four_processes_share_a_journal_and_one_is_killed(tmp_path: Path) -> None:
    """All land once; the killed one's records too, and its turn at draining is taken over."""
    table = tmp_path / "events"
    processes = [start_program(SHARES_A_JOURNAL, table, str(i), "1000") for i in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "logged\n"]
    processes[0].kill()
    processes[0].communicate()
    wait_until(lambda: row_count(table) == 4000)
    for process in processes[1:]:
        process.communicate("\n")
        assert process.returncode == 0
    assert sorted(column(table)) == sorted(f"{i}/{n}" for i in range(4) for n in range(1000))


def test_ten_processes_make_one_commit_an_interval_together(tmp_path: Path) -> None:
    """Not one a process: the commits are far fewer than the processes' intervals."""
    table = tmp_path / "events"
    source = SHARES_A_JOURNAL.replace("0.02", "1.0").replace("sys.stdin.readline()", "")
    processes = [start_program(source, table, str(i), "200") for i in range(10)]
    for process in processes:
        process.communicate("\n")
    assert sorted(column(table)) == sorted(f"{i}/{n}" for i in range(10) for n in range(200))
