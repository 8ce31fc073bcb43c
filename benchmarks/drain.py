"""How fast a journal drains into its table, and in how much memory.

For each backlog, one process fills a journal with the rows of real log calls. Then, in rounds, one
process drains a copy of it, and another takes the same rows as ready Arrow and writes them with
delta-rs's ``write_deltalake``, in as many commits, timing nothing but the writes. Reported are the
fastest round of each, since whatever else the machine does only ever slows one down, and the median
of the rounds' ratios. Peak memory is what the draining process's resident set grew by over what it
was with the engine loaded; the highest of the rounds.

Run: ``python benchmarks/drain.py [--rows 100000 1000000 5000000] [--rounds 3]``
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from spectra_logging.journal.appender import Appender
from spectra_logging.journal.batches import Batches
from spectra_logging.journal.folder import open_folder
from spectra_logging.parallel import usable_cores
from spectra_logging.record import RowEncoder
from spectra_logging.tables import EVENT_LOG


def fill(journals: str, table: str, rows: int) -> dict[str, float]:
    """Journal that many log records, with two extras each."""
    appender = Appender(
        open_folder(table, "events", journals),
        max_bytes=1 << 40,
        when_full="drop_newest",
        block_timeout_seconds=0.0,
        on_segment=lambda: None,
    )
    encoder = RowEncoder(EVENT_LOG)
    logger = logging.getLogger("benchmark.drain")
    for n in range(rows):
        record = logger.makeRecord(
            logger.name,
            logging.INFO,
            "/srv/pipeline/load.py",
            n % 500,
            "loaded entity %s",
            (f"entity-{n % 1000}",),
            None,
            "load",
            {"row_count": n, "project": f"project-{n % 50}"},
        )
        appender.append(encoder.encode(record))
    appender.close()
    return {}


def resident_bytes() -> int:
    """The resident set's size now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def drain(journals: str, table: str, rows: int) -> dict[str, float]:
    """Drain the journal; seconds, and bytes of memory over the start."""
    from spectra_logging.drain import drain_journals
    from spectra_logging.lakehouse import open_lakehouse

    # What "auto" comes to here; it would be loaded with the first batch.
    open_lakehouse("deltalake")
    before = resident_bytes()
    start, start_cpu = time.perf_counter(), time.process_time()
    report = drain_journals(table, journal_directory=journals)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    assert report.rows == rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "batches": report.batches,
        "peak_bytes": peak - before,
    }


def write_ready_arrow(journals: str, table: str, rows: int) -> dict[str, float]:
    """Write the same rows with ``write_deltalake``, as Arrow made beforehand."""
    from deltalake import write_deltalake

    from spectra_logging.lakehouse.arrow import arrow_schema, read_rows

    schema = arrow_schema(EVENT_LOG.columns)
    batches = Batches(open_folder(table, "events", journals))
    seconds, cpu_seconds, written = 0.0, 0.0, 0
    with batches.draining():
        while batch := batches.next_batch():
            data = read_rows(batch.rows, schema)
            start, start_cpu = time.perf_counter(), time.process_time()
            write_deltalake(f"{table}-arrow", data, mode="append")
            seconds += time.perf_counter() - start
            cpu_seconds += time.process_time() - start_cpu
            written += data.num_rows
            batches.note_committed(batch, [])
    assert written == rows
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}


STEPS = {step.__name__: step for step in (fill, drain, write_ready_arrow)}


def in_a_process_of_its_own(step: str, folder: Path, rows: int) -> dict[str, float]:
    """Run a step in a fresh interpreter."""
    command = [sys.executable, __file__, "--step", step, str(folder), "--rows", str(rows)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(rows: int, rounds: int) -> dict[str, float]:
    """The figures of one backlog."""
    drained: list[dict[str, float]] = []
    ready: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder, filled = Path(name), Path(name, "filled")
        in_a_process_of_its_own("fill", folder, rows)
        (folder / "journals").rename(filled)
        for _ in range(rounds):
            for step, figures_of in (("drain", drained), ("write_ready_arrow", ready)):
                shutil.copytree(filled, folder / "journals")
                figures_of.append(in_a_process_of_its_own(step, folder, rows))
                for left in set(folder.iterdir()) - {filled}:
                    shutil.rmtree(left)
    drain_seconds = [figures["seconds"] for figures in drained]
    ready_seconds = [figures["seconds"] for figures in ready]
    ratios = [its / ours for ours, its in zip(drain_seconds, ready_seconds, strict=True)]
    figures = {
        "rows": rows,
        "batches": drained[0]["batches"],
        "drain_rows_per_second": round(rows / min(drain_seconds)),
        "ready_arrow_rows_per_second": round(rows / min(ready_seconds)),
        "ratio": round(min(ready_seconds) / min(drain_seconds), 3),
        "ratio_median_of_rounds": round(statistics.median(ratios), 3),
        "drain_cpu_microseconds_per_row": _least_cpu(drained, rows),
        "ready_arrow_cpu_microseconds_per_row": _least_cpu(ready, rows),
        "peak_mib": round(max(figures["peak_bytes"] for figures in drained) / 2**20, 1),
    }
    print(
        f"{rows:>9,} rows: {figures['drain_rows_per_second']:>9,} rows/s from the journal, "
        f"{figures['ready_arrow_rows_per_second']:>9,} from ready Arrow: {figures['ratio']:.0%}; "
        f"peak {figures['peak_mib']} MiB, {figures['batches']} commits",
        flush=True,
    )
    return figures


def _least_cpu(rounds: list[dict[str, float]], rows: int) -> float:
    return round(min(figures["cpu_seconds"] for figures in rounds) / rows * 1e6, 2)


def main() -> None:
    """Measure every backlog, or run one step of a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 5_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step, folder = options.step
        figures = STEPS[step](f"{folder}/journals", f"{folder}/events", options.rows[0])
        print(json.dumps(figures))
        return
    backlogs = [measure(rows, options.rounds) for rows in options.rows]
    print(
        json.dumps(
            {
                "benchmark": "drain",
                "python": platform.python_version(),
                "cores": usable_cores(),
                "goal_ratio": 0.6,
                "backlogs": backlogs,
            }
        )
    )


if __name__ == "__main__":
    main()
