"""How the latency of an append grows with a table's commits, with and without upkeep.

Every append is one commit of 500 rows through ``Lakehouse.append``. With upkeep, the table is
compacted and checkpointed every 50 commits, as the handler's writer does it. Reported is the median
of the 100 appends around commits 100, 1,000 and 10,000. The last line is JSON.

What still grows with upkeep is the number of entries in the table's log, which delta-rs lists twice
a commit: they stay for as long as the table's ``delta.logRetentionDuration`` says, longer than the
benchmark takes. The third run tells that part from the rest: it dates the entries as if there were
a commit every five seconds, with a retention of an hour, so that they do expire.

Usage: python benchmarks/growth.py [--commits 10000] [--commits-without-upkeep 1000]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Transaction
from spectra_logging.tables import EVENT_LOG, TableSpec

MARKS = (100, 1_000, 10_000)
AROUND = 50
ROWS = 500
UPKEEP_EVERY_COMMITS = 50
SECONDS_A_COMMIT = 5
COMMITS_AN_HOUR = 3600 // SECONDS_A_COMMIT
EXPIRING_LOG = dataclasses.replace(
    EVENT_LOG, properties={"delta.logRetentionDuration": "interval 1 hours"}
)


def batch(number: int) -> bytes:
    """500 rows that look like log lines, no two alike."""
    first_microseconds = 1_700_000_000_000_000 + number * 5_000_000
    rows = [
        {
            "recorded_at": first_microseconds + row * 9_973,
            "level": "INFO" if row % 10 else "WARNING",
            "logger": f"example.pipeline.step{row % 7}",
            "event": f"entity {number * ROWS + row} written to its table",
            "module": "pipeline",
            "function": "write",
            "line": 40 + row % 60,
            "thread": "MainThread",
            "process_id": 4242,
            "host": "worker-1",
            "context": json.dumps({"entity": row, "hash": hash((number, row)) & 0xFFFFFFFF}),
        }
        for row in range(ROWS)
    ]
    return b"\n".join(map(msgspec.json.encode, rows))


def run(table: Path, commits: int, spec: TableSpec, *, upkeep: bool) -> dict[str, Any]:
    """Append so often; returns the figures."""
    lakehouse = open_lakehouse("deltalake")
    lakehouse.ensure(str(table), spec)
    append_ms: list[float] = []
    upkeep_ms: list[float] = []
    for number in range(1, commits + AROUND + 1):
        rows = batch(number)
        transaction = Transaction(application_id="growth", version=number)
        started = time.perf_counter()
        lakehouse.append(str(table), rows, spec, transaction=transaction)
        append_ms.append((time.perf_counter() - started) * 1e3)
        if spec is EXPIRING_LOG and number % COMMITS_AN_HOUR == 0:
            date_log_entries(table)
            # A new instance cleans up at once, and then once an hour.
            lakehouse = open_lakehouse("deltalake")
        if upkeep and number % UPKEEP_EVERY_COMMITS == 0:
            started = time.perf_counter()
            lakehouse.upkeep(str(table))
            upkeep_ms.append((time.perf_counter() - started) * 1e3)
        if number - AROUND in MARKS:
            print(f"{number - AROUND:>6} commits: {_around(append_ms, number - AROUND):6.2f} ms")
    counted = lakehouse.query("SELECT count(*) FROM t", {"t": str(table)}).rows[0][0]
    if counted != ROWS * (commits + AROUND):
        raise SystemExit(f"{counted} rows in the table after {commits + AROUND} commits")
    return {
        "append_ms": {str(mark): _around(append_ms, mark) for mark in MARKS if mark <= commits},
        "upkeep_ms_per_commit": round(sum(upkeep_ms) / (commits + AROUND), 2),
        "upkeep_ms_last": round(upkeep_ms[-1], 1) if upkeep_ms else None,
        "log_files": sum(1 for _ in (table / "_delta_log").iterdir()),
    }


def date_log_entries(table: Path) -> None:
    """Make the log look as if there had been a commit every five seconds."""
    entries = [path for path in (table / "_delta_log").iterdir() if path.name[:20].isdigit()]
    newest = max(int(path.name[:20]) for path in entries)
    now = time.time()
    for path in entries:
        seconds = now - (newest - int(path.name[:20])) * SECONDS_A_COMMIT
        os.utime(path, (seconds, seconds))


def _around(milliseconds: list[float], mark: int) -> float:
    return round(statistics.median(milliseconds[mark - AROUND : mark + AROUND]), 2)


def main() -> None:
    """Run both and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--commits", type=int, default=10_000)
    parser.add_argument("--commits-without-upkeep", type=int, default=1_000)
    options = parser.parse_args()
    runs = {
        "with_upkeep": (options.commits, EVENT_LOG, True),
        "with_upkeep_and_an_expiring_log": (options.commits, EXPIRING_LOG, True),
        "without_upkeep": (options.commits_without_upkeep, EVENT_LOG, False),
    }
    figures: dict[str, Any] = {"benchmark": "growth", "rows_per_commit": ROWS}
    for name, (commits, spec, upkeep) in runs.items():
        print(name.replace("_", " "))
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = run(Path(folder, "log"), commits, spec, upkeep=upkeep)
        append_ms = figures[name]["append_ms"]
        last = max(append_ms, key=int)
        figures[name][f"ratio_{last}_to_100"] = round(append_ms[last] / append_ms["100"], 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
