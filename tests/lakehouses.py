"""A spec with every type of column, rows for it, and programs that race, for the engines' tests."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec

from spectra_logging.lakehouse.base import Transaction
from spectra_logging.tables import Column, TableSpec

__all__ = ["EVERY_TYPE", "FULL_ROW", "JSON_ROW", "NULLS", "lines", "race", "spec_of", "transaction"]

UTC = dt.timezone.utc

EVERY_TYPE = TableSpec(
    name="test.every_type",
    comment="A column of every type.",
    properties={"delta.logRetentionDuration": "interval 7 days"},
    columns=(
        Column(name="moment", type="timestamp", nullable=False, comment="When it was."),
        Column(name="text", type="string", nullable=False),
        Column(name="big", type="long"),
        Column(name="small", type="integer"),
        Column(name="ratio", type="double"),
        Column(name="flag", type="boolean"),
        Column(name="day", type="date"),
        Column(name="later", type="timestamp"),
        Column(name="texts", type="array<string>"),
        Column(name="bigs", type="array<long>"),
        Column(name="smalls", type="array<integer>"),
        Column(name="ratios", type="array<double>"),
        Column(name="flags", type="array<boolean>"),
    ),
)

JSON_ROW = {
    "moment": 1_700_000_000_123_457,
    "text": 'line\nbreak "quoted" \\ ünïcödé 😀 \u0000 \u0001',
    "big": -(2**63),
    "small": 2**31 - 1,
    "ratio": 0.1,
    "flag": False,
    "day": "2024-02-29",
    "later": -1,
    "texts": ["", "é", None],
    "bigs": [2**63 - 1, None],
    "smalls": [-(2**31)],
    "ratios": [1e308, -0.0],
    "flags": [],
}
FULL_ROW = {
    **JSON_ROW,
    "moment": dt.datetime(2023, 11, 14, 22, 13, 20, 123457, tzinfo=UTC),
    "day": dt.date(2024, 2, 29),
    "later": dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
}
NULLS = {column.name: None for column in EVERY_TYPE.columns}


def lines(*rows: dict[str, Any]) -> bytes:
    """Rows as the journal gives them: a checksum that is no column ends each line."""
    return b"".join(msgspec.json.encode({**row, "crc": "0badc0de"}) + b"\n" for row in rows)


def transaction(version: int, application_id: str = "journal-1") -> Transaction:
    return Transaction(application_id=application_id, version=version)


def spec_of(*columns: tuple[str, str, bool], **properties: str) -> TableSpec:
    """A spec of (name, type, nullable)."""
    return TableSpec(
        name="test.table",
        columns=tuple(Column(name=n, type=t, nullable=null) for n, t, null in columns),
        properties=properties,
    )


def race(source: str, *arguments: str | Path, processes: int = 2, rounds: int = 1) -> list[Any]:
    """Run a program in several processes that begin at one moment; what each printed as JSON.

    The program gets ``lakehouse`` ready to use, ``arguments``, its own number ``me``, and
    ``wait_for_the_others()``, which it calls before each round after its first. It leaves its
    answer in ``answer``.
    """
    program = (
        "import json, os, sys\n"
        "from spectra_logging.lakehouse import open_lakehouse\n"
        "from tests.lakehouses import *\n"
        "if os.environ.get('SPECTRA_ENGINE') == 'spark':\n"
        "    from tests.sparks import start_session\n"
        "    (session := start_session()).__enter__()\n"
        "lakehouse, me, arguments = open_lakehouse(), int(sys.argv[1]), sys.argv[2:]\n"
        "lakehouse.exists('/nowhere')\n"
        "def wait_for_the_others():\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.readline()\n"
        "wait_for_the_others()\n"
        f"{textwrap.dedent(source)}\n"
        "print(json.dumps(answer))\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(number), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        for number in range(processes)
    ]
    for _ in range(rounds):
        for process in running:
            wait_until_ready(process)
        for process in running:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
    # All are let end before one is judged, so that none outlives the test.
    outputs = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0] * processes
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    """Wait for a program's line ``ready``, past what Spark prints of its own."""
    assert process.stdout is not None
    for line in process.stdout:
        if line == "ready\n":
            return
    raise AssertionError(f"the process ended with {process.wait()} before it was ready")
