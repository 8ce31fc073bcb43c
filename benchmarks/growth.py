"""How the latency of an append grows with a table's commits, with and without upkeep.

Every append is one commit of 500 rows through ``Lakehouse.append``. With upkeep, the table is
compacted and checkpointed every 50 commits, as the handler's writer does it. Reported is the median
of the 100 appends around commits 100, 1,000 and 10,000.

A machine that does other things too is now faster, now slower. So these 100 appends take turns with
as many to a young table, around its commit 100; the ratio is that of the two medians. What upkeep
costs is reported too, a commit: around each mark, the mean of the last thousand commits.

The last line is JSON.

Usage: python benchmarks/growth.py [--commits 10000]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from spectra_logging.drain import UPKEEP_EVERY_VERSIONS
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Transaction
from spectra_logging.tables import EVENT_LOG

MARKS = (100, 1_000, 10_000)
AROUND = 50
YOUNG = 100
ROWS = 500
GOAL = 1.3


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


class GrowingTable:
    """A table that is appended to; the times are kept."""

    def __init__(self, table: Path, *, upkeep: bool) -> None:
        self.table = table
        self.append_ms: list[float] = []
        self.upkeep_ms: list[float] = []
        self._upkeep = upkeep
        self._lakehouse = open_lakehouse("deltalake")
        self._lakehouse.ensure(str(table), EVENT_LOG)

    def append(self) -> None:
        """Append a batch, and do the upkeep if it is due."""
        number = len(self.append_ms) + 1
        rows = batch(number)
        transaction = Transaction(application_id="growth", version=number)
        started = time.perf_counter()
        self._lakehouse.append(str(self.table), rows, EVENT_LOG, transaction=transaction)
        self.append_ms.append((time.perf_counter() - started) * 1e3)
        started = time.perf_counter()
        if self._upkeep and number % UPKEEP_EVERY_VERSIONS == 0:
            self._lakehouse.upkeep(str(self.table))
        self.upkeep_ms.append((time.perf_counter() - started) * 1e3)

    def check(self) -> None:
        """Count the rows."""
        sql = "SELECT count(*) FROM t"
        counted = self._lakehouse.query(sql, {"t": str(self.table)}).rows[0][0]
        if counted != ROWS * len(self.append_ms):
            raise SystemExit(f"{counted} rows in the table after {len(self.append_ms)} commits")


def run(folder: Path, commits: int, *, upkeep: bool) -> list[dict[str, Any]]:
    """Append so often; returns the figures at each mark."""
    old = GrowingTable(folder / "old", upkeep=upkeep)
    figures = []
    for mark in (mark for mark in MARKS if mark <= commits):
        while len(old.append_ms) < mark - AROUND:
            old.append()
        young = GrowingTable(folder / f"young-{mark}", upkeep=upkeep)
        while len(young.append_ms) < YOUNG - AROUND:
            young.append()
        for _ in range(2 * AROUND):
            old.append()
            young.append()
        append_ms = statistics.median(old.append_ms[-2 * AROUND :])
        young_ms = statistics.median(young.append_ms[-2 * AROUND :])
        upkeep_ms = statistics.mean(old.upkeep_ms[-1000:])
        figures.append(
            {
                "commits": mark,
                "append_ms": round(append_ms, 2),
                "young_append_ms": round(young_ms, 2),
                "ratio": round(append_ms / young_ms, 2),
                "upkeep_ms_per_commit": round(upkeep_ms, 2),
                "log_files": sum(1 for _ in (old.table / "_delta_log").iterdir()),
            }
        )
        print(
            f"{mark:>6} commits: {append_ms:6.2f} ms, a young table {young_ms:6.2f} ms: "
            f"{append_ms / young_ms:.2f}; upkeep {upkeep_ms:.2f} ms a commit",
            flush=True,
        )
    old.check()
    return figures


def main() -> None:
    """Run both and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--commits", type=int, default=max(MARKS))
    options = parser.parse_args()
    figures: dict[str, Any] = {"benchmark": "growth", "rows_per_commit": ROWS, "goal_ratio": GOAL}
    for name, upkeep in (("with_upkeep", True), ("without_upkeep", False)):
        print(name.replace("_", " "))
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = run(Path(folder), options.commits, upkeep=upkeep)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
