"""What a log call to Discord costs: µs a call while Discord is up, slow, hung and down.

Each peer runs in a process of its own against a fake Discord in the parent, once a state of the
server and kind of call; every call is timed. ``emit_us`` is the median beyond a NullHandler's in
the same process, right before. DiscordHandler has several rounds: since whatever else the machine
does only ever slows one down, its figures are those of the fastest round, ``null_us`` is the least
of the rounds', and ``emit_us`` the difference. A peer that makes the call wait gets as many calls
as fit into a few seconds.

Run: ``pip install . -r benchmarks/requirements.txt && python benchmarks/discord.py``.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import platform
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from spectra_logging.testing import DiscordAnswer, FakeDiscord

LONGEST_SECONDS = 4.0
"""How long a peer's calls of one kind may take together."""

KILLED_AFTER_SECONDS = 30.0
SERVERS = ("up", "slow", "hung", "down")
SLOW_SECONDS = 0.2
GOAL_US = 15.0

Log = Callable[[logging.Logger, int], None]


# -- in a peer's process ---------------------------------------------------------------------


def equal(logger: logging.Logger, number: int) -> None:
    logger.error("the order was refused", extra={"order": 17, "customer": "c-0042"})


def distinct(logger: logging.Logger, number: int) -> None:
    logger.error("order %d was refused", number, extra={"order": number, "customer": "c-0042"})


def with_traceback(logger: logging.Logger, number: int) -> None:
    logger.error("order %d was refused", number, exc_info=EXC_INFO)


def in_session(logger: logging.Logger, number: int) -> None:
    logger.error("order %d was refused", number, extra={"order": number})


def below(levels: int) -> None:
    if levels:
        below(levels - 1)
    raise ValueError("no such order")


def caught() -> Any:
    try:
        below(10)
    except ValueError as error:
        return type(error), error, error.__traceback__


EXC_INFO = caught()
KINDS: dict[str, Log] = {
    "equal": equal,
    "distinct": distinct,
    "traceback": with_traceback,
    "in a session": in_session,
}


def open_ours(url: str, base: str) -> logging.Handler:
    from spectra_logging import DiscordHandler

    # Room for all: a record that finds none costs less than one that is kept.
    return DiscordHandler(
        url,
        api_base_url=base,
        queue_max_records=100_000,
        queue_max_bytes=1 << 30,
        shutdown_timeout_seconds=0.2,
    )


def open_logging_discord_handler(url: str, base: str) -> logging.Handler:
    from discord_logging.handler import DiscordHandler

    handler: logging.Handler = DiscordHandler("benchmark", local(url, base))
    return handler


def open_discord_webhook(url: str, base: str) -> logging.Handler:
    from discord_webhook import DiscordWebhook

    class Posts(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                DiscordWebhook(url=local(url, base), content=self.format(record)).execute()
            except Exception:  # noqa: BLE001 - as handlers do
                self.handleError(record)

    return Posts()


def open_loguru_discord(url: str, base: str) -> logging.Handler:
    from loguru import logger
    from loguru_discord import DiscordSink

    logger.remove()
    logger.add(DiscordSink(local(url, base)), enqueue=True, format="{message}")

    class Through(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())

    return Through()


def local(url: str, base: str) -> str:
    return base + "/webhooks/" + url.partition("/webhooks/")[2]


PEERS: dict[str, Callable[[str, str], logging.Handler]] = {
    "DiscordHandler": open_ours,
    "loguru-discord, enqueue=True": open_loguru_discord,
    "discord-webhook in a handler": open_discord_webhook,
    "python-logging-discord-handler": open_logging_discord_handler,
}


def timed(logger: logging.Logger, log: Log, count: int) -> list[float]:
    """Microseconds of each call, as many as fit into the time."""
    clock = time.perf_counter
    taken = []
    ends_at = clock() + LONGEST_SECONDS
    gc.collect()
    for number in range(count):
        began = clock()
        log(logger, number)
        ended = clock()
        taken.append((ended - began) * 1e6)
        if ended > ends_at:
            break
    return taken


def measure_here(asked: dict[str, Any]) -> None:
    """Measure one peer, one server, one kind, and answer with a line of JSON."""
    logging.raiseExceptions = False
    log = KINDS[asked["kind"]]
    if asked["kind"] == "in a session":
        import structlog

        structlog.contextvars.bind_contextvars(execution_id="benchmark_20261124_100000_000000")
    loggers = {}
    for name, handler in (
        ("null", logging.NullHandler()),
        ("peer", PEERS[asked["peer"]](asked["url"], asked["base"])),
    ):
        loggers[name] = logging.getLogger(name)
        loggers[name].propagate = False
        loggers[name].addHandler(handler)
    # What is loaded late is loaded now, and the first request is under way.
    log(loggers["peer"], -1)
    time.sleep(0.5 if asked["peer"] == "DiscordHandler" else 0.1)
    timed(loggers["null"], log, 500)
    null_us = statistics.median(timed(loggers["null"], log, asked["calls"]))
    taken = sorted(timed(loggers["peer"], log, asked["calls"]))
    print(
        json.dumps(
            {
                "calls": len(taken),
                "mean_us": round(statistics.mean(taken), 2),
                "median_us": round(statistics.median(taken), 2),
                "p99_us": round(taken[int(len(taken) * 0.99)], 2),
                "max_us": round(taken[-1], 2),
                "null_us": round(null_us, 2),
                "emit_us": round(statistics.median(taken) - null_us, 2),
            }
        ),
        flush=True,
    )


# -- in the parent ---------------------------------------------------------------------------


def measure(peer: str, server: str, kind: str, calls: int) -> dict[str, Any]:
    with FakeDiscord() as discord:
        if server == "slow":
            discord.latency_seconds = SLOW_SECONDS
        elif server == "hung":
            discord.first_answers = deque([DiscordAnswer.hang()] * 100_000)
        asked = {
            "peer": peer,
            "kind": kind,
            "calls": calls,
            "url": discord.webhook_url,
            "base": discord.api_base_url,
        }
        if server == "down":
            discord.stop()
        started = subprocess.Popen(
            [sys.executable, __file__, "--measure", json.dumps(asked)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            out, err = started.communicate(timeout=KILLED_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            started.kill()
            started.communicate()
            return {"not_measured": f"its calls had not returned after {KILLED_AFTER_SECONDS:g} s"}
        if server == "down":
            discord.start()  # for the with block to stop
    lines = out.strip().splitlines()
    if started.returncode or not lines:
        return {"not_measured": (err.strip().splitlines() or ["it ended without a word"])[-1]}
    return dict(json.loads(lines[-1]))


def fastest(rounds: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The figures of the fastest round, beside the least that a NullHandler took."""
    taken = list(rounds)
    measured = [figures for figures in taken if "not_measured" not in figures]
    if not measured:
        return taken[0]
    figures = min(measured, key=lambda figures: figures["median_us"])
    figures["null_us"] = min(other["null_us"] for other in measured)
    figures["emit_us"] = round(figures["median_us"] - figures["null_us"], 2)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5, help="of DiscordHandler")
    parser.add_argument("--only", type=str.lower, help="peers whose name holds this")
    parser.add_argument("--measure", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure_here(options.measure)
        return
    results = []
    print(f"{'peer':<32}{'server':<8}{'call':<14}{'mean µs':>12}{'p99 µs':>12}{'emit µs':>12}")
    for peer in PEERS:
        if options.only and options.only not in peer.lower():
            continue
        ours = peer == "DiscordHandler"
        for server in SERVERS:
            for kind in KINDS if ours else ("distinct",):
                figures = fastest(
                    measure(peer, server, kind, options.calls)
                    for _ in range(options.rounds if ours else 1)
                )
                results.append({"peer": peer, "server": server, "call": kind, **figures})
                shown = (
                    figures.get("not_measured")
                    or f"{figures['mean_us']:>12.2f}{figures['p99_us']:>12.2f}"
                    f"{figures['emit_us']:>12.2f}"
                )
                print(f"{peer:<32}{server:<8}{kind:<14}{shown}", flush=True)
    print(
        json.dumps(
            {
                "benchmark": "discord",
                "python": platform.python_version(),
                "goal_emit_us": GOAL_US,
                "results": results,
            }
        )
    )


if __name__ == "__main__":
    main()
