"""Programs that tests start, kill and look at from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

__all__ = [
    "KILLED",
    "PROLOGUE",
    "free_port",
    "run_in",
    "run_program",
    "start_program",
    "wait_until",
]

PROLOGUE = """
import atexit, logging, os, signal, sys, threading, time
from spectra_logging import DeltaHandler
table, *arguments = sys.argv[1:]
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # which on Windows ends a process at once, too
logger = logging.getLogger("program")
logger.setLevel(logging.DEBUG)
"""

KILLED = -signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM
"""What a program returns that has killed itself with ``KILL``."""


def start_program(source: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start a Python program; it finds its table in ``table`` and a logger in ``logger``."""
    return subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(source), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "default,ignore:This process:DeprecationWarning"},
        cwd=Path(__file__).parent.parent,
        start_new_session=True,
    )


def run_program(
    source: str, *arguments: str | Path, timeout_seconds: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end; a program that hangs fails the test, a child of it too."""
    process = start_program(source, *arguments)
    killer = threading.Timer(timeout_seconds, _kill_with_children, (process,))
    killer.start()
    try:
        out, err = process.communicate()
    finally:
        killer.cancel()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _kill_with_children(process: subprocess.Popen[str]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_in(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, where Python finds the packages of this checkout."""
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def wait_until(condition: Callable[[], bool], timeout_seconds: float = 30.0) -> None:
    """Wait for something that gives no signal of its own; fails when it does not come."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        threading.Event().wait(0.005)
