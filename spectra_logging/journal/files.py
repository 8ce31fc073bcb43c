"""Replacing and removing files that others may have open at that moment.

Where the system is Windows, a file can be neither replaced nor removed while anybody has it open:
a process that looks at it for an instant, or what scans files for viruses. Elsewhere one can.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

__all__ = ["remove_file", "replace_file"]

_REPLACE_MAX_SECONDS = 5.0


def replace_file(source: Path, target: Path) -> None:
    """Rename a file to another's name, whose place it takes in one step.

    Raises:
        OSError: It can't be renamed; on Windows after trying for five seconds, where somebody has
            the other one open.
    """
    deadline = time.monotonic() + _REPLACE_MAX_SECONDS
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() >= deadline:
                raise
            time.sleep(0.001)


def remove_file(path: Path) -> None:
    """Remove a file, if it is there; on Windows one that is open stays, and is found again later.

    Raises:
        OSError: It can't be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if sys.platform != "win32":
            raise
