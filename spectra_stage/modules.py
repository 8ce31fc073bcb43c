"""Modules of the user's own: what a suite or a table's spec is declared in."""

from __future__ import annotations

import os
import sys

__all__ = ["look_in_working_directory"]


def look_in_working_directory() -> None:
    """Have modules there found, as by ``python -m``: a command's own folder is another."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        return  # a job's own, say, that has been removed: no module is there
    if not {"", here} & set(sys.path):
        sys.path.insert(0, here)
