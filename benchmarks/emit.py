"""What a log call costs: µs a call of DeltaHandler and its peers, in one run.

Each peer runs in a process of its own, since a loaded peer can slow another. The processes take
turns, round by round, so that what else the machine does meets all alike; in each round slices of
a peer's calls alternate with equal slices of calls to a NullHandler in the same process, which
begin when the peer's background work is done. The table and the JSON give medians over the rounds;
``ratio`` is the median of each round's ratio to its NullHandler.

Run: ``pip install '.[cli]' -r benchmarks/requirements.txt && python benchmarks/emit.py``.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import PEERS, Surroundings
from sinks import Sinks, running_sinks

MESSAGE = "order placed by a customer of the shop"
CUSTOMERS = [f"c-{number:04d}" for number in range(1000)]

SLICES = 2
"""In how many slices a round's calls alternate with those to a NullHandler. They are long, so that
a peer's background work happens within them, and not only in the pause that follows each."""

Calls = Callable[[int], None]
"""Makes that many log calls."""


# -- in a peer's process ---------------------------------------------------------------------


def constant_message(logger: Any) -> Calls:
    def calls(count: int) -> None:
        info = logger.info
        for number in range(count):
            info(MESSAGE, extra={"order": number, "customer": CUSTOMERS[number % 1000]})

    return calls


def percent_arguments(logger: Any) -> Calls:
    def calls(count: int) -> None:
        info = logger.info
        for number in range(count):
            customer = CUSTOMERS[number % 1000]
            info(
                "order %d placed by customer %s",
                number,
                customer,
                extra={"order": number, "customer": customer},
            )

    return calls


def formatted_message(logger: Any) -> Calls:
    def calls(count: int) -> None:
        info = logger.info
        for number in range(count):
            info(
                f"order {number} placed by a customer",
                extra={"order": number, "customer": CUSTOMERS[number % 1000]},
            )

    return calls


def structlog_call(logger: Any) -> Calls:
    import structlog

    bound = structlog.wrap_logger(
        logger,
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.render_to_log_kwargs,
        ],
    ).bind()

    def calls(count: int) -> None:
        info = bound.info
        for number in range(count):
            info(MESSAGE, order=number, customer=CUSTOMERS[number % 1000])

    return calls


def loguru_call(_: Any) -> Calls:
    from loguru import logger

    def calls(count: int) -> None:
        bind = logger.bind
        for number in range(count):
            bind(order=number, customer=CUSTOMERS[number % 1000]).info(MESSAGE)

    return calls


KINDS = {
    "constant": constant_message,
    "percent": percent_arguments,
    "formatted": formatted_message,
    "structlog": structlog_call,
}
"""Kind of call → what makes such calls of a logger."""


def microseconds_per_call(calls: Calls, *, count: int, threads: int) -> float:
    """Wall time of all threads together, divided by all calls."""
    start_line = threading.Barrier(threads + 1)

    def work() -> None:
        start_line.wait()
        calls(count // threads)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    gc.collect()
    start_line.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return (time.perf_counter() - began) * 1e6 / (count // threads * threads)


def measured_logger(name: str, handler: logging.Handler | None) -> logging.Logger:
    logger = logging.getLogger(name)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    if handler is not None:
        logger.addHandler(handler)
    return logger


def serve_rounds(name: str, surroundings: Surroundings) -> None:
    """Measure a round for each line of JSON on stdin; answer with a line each on stdout."""
    peer = PEERS[name]()
    logger = measured_logger("peer", peer.open(surroundings))
    baseline = measured_logger("baseline", logging.NullHandler())
    emitted = 0
    answer({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        kind, count, threads = asked["kind"], asked["calls"], asked["threads"]
        make = KINDS[kind] if peer.through_stdlib else loguru_call
        peer_calls, null_calls = make(logger), KINDS[kind](baseline)
        peer_calls(200)
        null_us, peer_us = [], []
        for _ in range(SLICES):
            # What the peer still does in the background would slow the NullHandler beside it.
            peer.settle()
            null_us.append(
                microseconds_per_call(null_calls, count=count // SLICES, threads=threads)
            )
            peer_us.append(
                microseconds_per_call(peer_calls, count=count // SLICES, threads=threads)
            )
        emitted += 200 + count // SLICES // threads * threads * SLICES
        peer.settle()
        answer(
            {
                "us": statistics.mean(peer_us),
                "null_us": statistics.mean(null_us),
                "emitted": emitted,
                "delivered": peer.delivered(),
                "note": peer.note(),
            }
        )


def answer(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


# -- in the parent ---------------------------------------------------------------------------


class PeerProcess:
    """A peer in its own process."""

    def __init__(self, name: str, folder: Path, sinks: Sinks) -> None:
        self.name = name
        self._folder = folder
        self._sinks = sinks
        self.runs = self._start()

    def _start(self) -> bool:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._errors = (self._folder / "stderr").open("w+")
        serve = json.dumps(
            [self.name, str(self._folder), self._sinks.http_url, self._sinks.tcp_port]
        )
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", serve],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        return self._answer() is not None

    def round(self, **asked: Any) -> dict[str, Any] | None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        figures = self._answer()
        if figures is not None and not PEERS[self.name].settles:
            self.end()
            self._start()
        return figures

    def last_words(self) -> str:
        """The last line of its stderr: why it does not run."""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "it ended without a word"

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None


def measure(options: argparse.Namespace, folder: Path, sinks: Sinks) -> dict[str, Any]:
    names = [name for name in PEERS if not options.only or options.only in name.lower()]
    processes = [
        PeerProcess(name, folder / str(number), sinks) for number, name in enumerate(names)
    ]
    missing = {p.name: p.last_words() for p in processes if not p.runs}
    rounds: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    try:
        for _ in range(options.rounds):
            for kind, threads in cases(options):
                for process in processes:
                    if process.name in missing or not applies(process.name, kind):
                        continue
                    figures = process.round(kind=kind, calls=options.calls, threads=threads)
                    if figures is None:
                        missing[process.name] = process.last_words()
                    else:
                        rounds.setdefault((process.name, kind, threads), []).append(figures)
    finally:
        for process in processes:
            process.end()
    results = [
        {
            "peer": name,
            "call": kind,
            "threads": threads,
            "us": round(statistics.median(r["us"] for r in figures), 2),
            "null_us": round(statistics.median(r["null_us"] for r in figures), 2),
            "ratio": round(statistics.median(r["us"] / r["null_us"] for r in figures), 3),
            "best_us": round(min(r["us"] for r in figures), 2),
            "emitted": figures[-1]["emitted"],
            "delivered": figures[-1]["delivered"],
            "note": figures[-1]["note"],
        }
        for (name, kind, threads), figures in rounds.items()
        if name not in missing
    ]
    return {"results": results, "not_measured": missing, "sinks": sinks.taken}


def cases(options: argparse.Namespace) -> list[tuple[str, int]]:
    many = [(kind, threads) for kind in ("constant", "structlog") for threads in options.threads]
    return [*many, ("percent", 1), ("formatted", 1)]


def applies(name: str, kind: str) -> bool:
    """Which peers a kind of call is measured for."""
    if kind in {"percent", "formatted"}:
        return name in {"NullHandler", "QueueHandler", "DeltaHandler"}
    return kind == "constant" or PEERS[name].through_stdlib


def print_table(results: list[dict[str, Any]]) -> None:
    print(f"{'peer':<36}{'call':<11}{'threads':>7}{'µs':>8}{'Null µs':>9}{'ratio':>8}{'lost':>9}")
    for row in sorted(results, key=lambda row: (row["call"], row["threads"], row["us"])):
        lost = "" if row["delivered"] is None else row["emitted"] - row["delivered"]
        print(
            f"{row['peer']:<36}{row['call']:<11}{row['threads']:>7}{row['us']:>8.2f}"
            f"{row['null_us']:>9.2f}{row['ratio']:>8.2f}{lost:>9}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=80_000, help="calls a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4, 10])
    parser.add_argument("--only", type=str.lower, help="peers whose name holds this")
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        name, folder, http_url, tcp_port = options.serve
        serve_rounds(
            name,
            Surroundings(
                folder=Path(folder),
                cloudwatch_url=http_url,
                otlp_url=f"{http_url}/v1/logs",
                logstash_port=tcp_port,
            ),
        )
        return
    with tempfile.TemporaryDirectory() as folder, running_sinks() as sinks:
        figures = measure(options, Path(folder), sinks)
    print_table(figures["results"])
    for name, reason in figures["not_measured"].items():
        print(f"not measured: {name}: {reason}")
    print(
        json.dumps(
            {
                "benchmark": "emit",
                "python": platform.python_version(),
                "calls": options.calls,
                "rounds": options.rounds,
                "goal_ratio": 1.7,
                **figures,
            }
        )
    )


if __name__ == "__main__":
    main()
