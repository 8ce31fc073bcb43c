"""Sessions in real processes that end in every way they can: the Failed row is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spectra_logging.drain import drain_journals
from tests.programs import run_program
from tests.tables import read_rows, row_count

PREAMBLE = """
from spectra_logging.session import NotebookSession
os.environ.update(
    SOURCE_SYSTEM="example", SOURCE_NAME="Example", STAGE="source", NOTEBOOK_NAME="sourceExample",
    SPECTRA_ROOT=table,
)
session = NotebookSession("example").load_context()
session.initialize()
"""

ENDINGS = {
    "plain end": ("", 0, "StageFailedError", "the session ended without record(): the interpreter"),
    "sys.exit": ("sys.exit(3)", 3, "StageFailedError", "the session ended without record()"),
    "exception": ("raise KeyError('boom')", 1, "KeyError", "'boom'"),
    "marked": ("session.mark_failed('no token')", 0, "StageFailedError", "no token"),
    "before initialize": (
        "session = session.load_context(); session.result['capabilities'].append('x')",
        0,
        "StageFailedError",
        "the session ended without record(): ",
    ),
    "with exception": ("\nwith session:\n    raise KeyError('boom')", 1, "KeyError", "'boom'"),
    "logging off": (
        "logging.config.dictConfig({'version': 1})",
        0,
        "StageFailedError",
        "the session ended without record(): ",
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_session_without_record_leaves_a_failed_row(tmp_path: Path, ending: str) -> None:
    """However the program ends, the newest record says Failed and why; the exit code stays."""
    source, code, error_type, message = ENDINGS[ending]
    done = run_program(PREAMBLE + "import logging.config\n" + source, tmp_path)
    assert done.returncode == code, done.stderr
    table = tmp_path / "Tables/log/sourcelog"
    if ending == "logging off":
        # It closed the handler, and from Python 3.12 on no thread starts at exit to commit the row.
        drain_journals(str(table))
    row = read_rows(table, order_by="activity_id")[-1]
    assert row["event"] == "record"
    assert row["status"] == "Failed"
    assert row["error_type"] == error_type
    assert row["error_message"].startswith(message)
    assert "ended without record()" in json.loads(row["metadata"])["ended"]


def test_a_recorded_session_leaves_no_second_row_at_exit(tmp_path: Path) -> None:
    """After record(), neither a missing finalise() nor an exit code changes what was recorded."""
    done = run_program(PREAMBLE + "session.record()\nsys.exit(3)", tmp_path)
    assert done.returncode == 3
    (row,) = read_rows(tmp_path / "Tables/log/sourcelog")
    assert row["status"] == "Success"


COARSE_CLOCK = """
import datetime
from spectra_logging.session import run
class CoarseClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz).replace(year=2026, month=1, day=1, hour=0, minute=0, second=0,
                                       microsecond=15625)
run.datetime = CoarseClock
"""


def test_sessions_begun_in_one_tick_of_the_clock_end_each_by_itself(tmp_path: Path) -> None:
    """The clock of some systems ticks 64 times a second; they are told apart by their ids."""
    second = """
with NotebookSession("example").load_context() as other:
    other.initialize()
    other.record()
"""
    run_program(COARSE_CLOCK + PREAMBLE + second, tmp_path)
    records = read_rows(tmp_path / "Tables/log/sourcelog", order_by="activity_id")
    assert [row["status"] for row in records] == ["Success", "Failed"]
    assert len({row["execution_id"] for row in records}) == 2


def test_an_exit_without_python_code_leaves_the_activities_in_the_journal(tmp_path: Path) -> None:
    """After os._exit no Failed row can be written; what was logged before is not lost."""
    run_program(PREAMBLE + "session.log_activity(entity_name='e')\nos._exit(0)", tmp_path)
    table = tmp_path / "Tables/log/sourcelog"
    drain_journals(str(table))
    assert [row["entity_name"] for row in read_rows(table)] == ["e"]


@pytest.mark.parametrize("when", ["before the first commit", "after it"])
@pytest.mark.parametrize("child_ends", ["sys.exit(0)", "raise KeyError('child')", "os._exit(0)"])
def test_a_forked_child_writes_no_failed_row_for_its_parent(
    tmp_path: Path, child_ends: str, when: str
) -> None:
    """The child's end is not the session's; what the child logs through it lands once."""
    done = run_program(
        PREAMBLE
        + f"""
first = session.log_activity(entity_name="parent")
if {when == "after it"}:
    logging.getLogger("spectra_logging.activity").handlers[0].flush(30)
with session:
    child = os.fork()
    if child == 0:
        session.log_activity(entity_name="child")
        {child_ends}
    os.waitpid(child, 0)
    session.record()
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    table = tmp_path / "Tables/log/sourcelog"
    drain_journals(str(table))
    landed = read_rows(table, order_by="activity_id")
    assert [(row["entity_name"], row["status"]) for row in landed] == [
        ("parent", "Success"),
        ("child", "Success"),
        (None, "Success"),
    ]


def test_a_forked_child_can_hold_a_session_of_its_own(tmp_path: Path) -> None:
    """A child that begins a session is responsible for it: its Failed row is there."""
    done = run_program(
        PREAMBLE
        + """
session.log_activity(entity_name="parent")
child = os.fork()
if child == 0:
    own = NotebookSession("example").load_context()
    sys.exit(0)
os.waitpid(child, 0)
session.record()
session.finalise()
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    table = tmp_path / "Tables/log/sourcelog"
    drain_journals(str(table))
    landed = {row["execution_id"]: row["status"] for row in read_rows(table, "activity_id")}
    assert sorted(landed.values()) == ["Failed", "Success"]


def test_a_thread_that_dies_does_not_end_the_session(tmp_path: Path) -> None:
    """Only what ends the session counts: a thread's exception is not its failure."""
    done = run_program(
        PREAMBLE
        + """
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
session.record()
session.finalise()
""",
        tmp_path,
    )
    assert done.returncode == 0
    assert [row["status"] for row in read_rows(tmp_path / "Tables/log/sourcelog")] == ["Success"]


def test_an_old_exception_is_not_blamed_for_the_end(tmp_path: Path) -> None:
    """A notebook's kernel keeps the last uncaught exception; one from before is not the cause."""
    done = run_program(
        "sys.last_value = sys.last_exc = KeyError('long ago')\n" + PREAMBLE, tmp_path
    )
    assert done.returncode == 0
    (row,) = read_rows(tmp_path / "Tables/log/sourcelog")
    assert row["error_type"] == "StageFailedError"


def test_the_end_is_bounded_when_the_table_can_not_be_written(tmp_path: Path) -> None:
    """With a table out of reach the Failed row stays journalled, and stderr says so."""
    blocked = tmp_path / "Tables" / "log"
    blocked.mkdir(parents=True)
    (blocked / "sourcelog").write_text("not a table")
    handler = 'DeltaHandler(f"{table}/Tables/log/sourcelog", spec="activity", '
    done = run_program(
        f"logging.root.addHandler({handler} shutdown_timeout_seconds=0.2))" + PREAMBLE, tmp_path
    )
    assert done.returncode == 0
    assert "1 records are not yet in" in done.stderr
    (blocked / "sourcelog").unlink()
    drain_journals(str(blocked / "sourcelog"))
    assert row_count(blocked / "sourcelog") == 1
