"""How long `import spectra_logging` takes beside `import structlog`.

Each import runs in a fresh interpreter, the two alternately; the figures are medians of the rounds.
Run: ``python benchmarks/import_time.py [--rounds 30]``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys

MODULES = ("structlog", "spectra_logging")
TIMED_IMPORT = """
import time
start = time.perf_counter()
import {module}
print((time.perf_counter() - start) * 1000)
"""


def import_milliseconds(module: str) -> float:
    code = TIMED_IMPORT.format(module=module)
    # -I: neither the working directory nor the environment decides what is imported.
    command = [sys.executable, "-I", "-c", code]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    for module in MODULES:
        import_milliseconds(module)  # compiles the bytecode
    times: dict[str, list[float]] = {module: [] for module in MODULES}
    for _ in range(rounds):
        for module in MODULES:
            times[module].append(import_milliseconds(module))
    medians = {module: statistics.median(values) for module, values in times.items()}
    for module, milliseconds in medians.items():
        print(f"import {module:<16} {milliseconds:6.1f} ms")
    print(
        json.dumps(
            {
                "benchmark": "import_time",
                "python": platform.python_version(),
                "rounds": rounds,
                "structlog_ms": round(medians["structlog"], 2),
                "spectra_logging_ms": round(medians["spectra_logging"], 2),
                "extra_ms": round(medians["spectra_logging"] - medians["structlog"], 2),
                "goal_extra_ms": 40,
            }
        )
    )


if __name__ == "__main__":
    main()
