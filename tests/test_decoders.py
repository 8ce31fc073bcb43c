"""Decoders of structs are made as their modules are imported, and by no call.

msgspec 0.22 finds out a struct's types when the first decoder of it is made, or with the first
``decode(…, type=…)``; a thread that decodes the same struct meanwhile ends the process with a
segmentation fault.
"""

from __future__ import annotations

from pathlib import Path

from tests.programs import run_program
from tests.tables import column

LEAVES_A_ROW = """
logger.addHandler(DeltaHandler(table, spec="activity", flush_interval_seconds=3600))
logger.info("activity", extra={"execution_id": "run-1", "activity_id": "left behind"})
os._exit(0)
"""

WATCHED = """
def watch(frame, event, argument):
    # msgspec finds types out in Python.
    if event != "call" or "msgspec" not in frame.f_code.co_filename:
        return
    while "msgspec" in frame.f_code.co_filename:
        frame = frame.f_back
    if frame.f_code.co_name != "<module>":
        print(f"{frame.f_code.co_filename}:{frame.f_lineno} has msgspec find out types")

threading.setprofile(watch)
sys.setprofile(watch)
handler = DeltaHandler(table, spec="activity", flush_interval_seconds=3600)
logger.addHandler(handler)
logger.info("activity", extra={"execution_id": "run-2", "activity_id": "first"})
assert handler.flush(30)
from deltalake import DeltaTable
DeltaTable(table).alter.set_table_properties({"delta.logRetentionDuration": "interval 9 days"})
logger.info("activity", extra={"execution_id": "run-2", "activity_id": "second"})
assert handler.flush(30)
assert handler.stats().unrecorded_runs == ("run-1",)
logging.shutdown()
from spectra_logging import drain_journals
drain_journals(table)
"""


def test_no_call_has_msgspec_find_out_the_types_of_a_struct(tmp_path: Path) -> None:
    """From the first record to the last, beside a dead process's rows and another's commit."""
    table = tmp_path / "runs"
    assert run_program(LEAVES_A_ROW, table).returncode == 0
    done = run_program(WATCHED, table)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(column(table, "activity_id")) == ["first", "left behind", "second"]
