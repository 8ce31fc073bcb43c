"""What users hear of a table's records: trouble, its end, and what has come of others' records."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Mapping
from pathlib import Path

from spectra_logging.errors import SpectraError
from spectra_logging.feedback import log_from_worker
from spectra_logging.lakehouse.choice import EngineChoice
from spectra_logging.redaction import describe_error

__all__ = ["Reporter", "why_dropped"]

DROPPING_TOLD_EVERY_SECONDS = 60.0

_WHY_DROPPED = {
    "journal_full": "the journal is at its journal_max_bytes",
    "disk_full": "the journal's disk is full",
    "journal_unwritable": "the journal's folder can't be written to, or was removed",
}
"""What keeps records from being journalled; the other reasons are told where they come up."""

_VOLATILE = re.compile(r"(?<=Id>)[^<]+|[0-9a-fA-F]*\d[\w.:-]*")
"""What differs in an error's text from one attempt to the next: times taken, ids of requests, which
S3 gives in any letters, between tags."""


class Reporter:
    """Tells the logger ``spectra_logging``, from a worker thread, and no news twice.

    Args:
        table: Path or URI of the table.
        directory: The journal's folder.
    """

    def __init__(self, table: str, directory: Path) -> None:
        self._table = table
        self._directory = directory
        self._told_kind: str | None = None
        self._told_dropped = 0
        self._told_dropped_at_seconds = -math.inf
        self._told_choice: EngineChoice | None = None

    def tell_failure(self, error: BaseException) -> str:
        """Say why a commit failed, once per kind of failure; returns it in words."""
        told = describe_error(error)
        kind = _VOLATILE.sub("", told)
        if kind != self._told_kind:
            is_ours = isinstance(error, SpectraError)
            # The operating system's do not tell of which table's journal, nor always of a file.
            problem = told if is_ours else f"{self._table}, journal {self._directory}: {told}"
            kept = "the records stay journalled and the commit is tried again"
            log_from_worker(logging.WARNING, f"{problem.rstrip('.')}; {kept}", exc_info=not is_ours)
        self._told_kind = kind
        return told

    def tell_recovery(self) -> None:
        """Say that commits succeed again."""
        log_from_worker(logging.WARNING, f"{self._table} can be written to again")
        self._told_kind = None

    def tell_upkeep_failure(self, error: BaseException) -> None:
        """Say why the table's upkeep failed."""
        log_from_worker(
            logging.WARNING,
            f"upkeep of {self._table} failed: {describe_error(error)}",
        )

    def tell_set_aside(self, records: int) -> None:
        """Say that records are in quarantine, and where that is."""
        log_from_worker(
            logging.WARNING,
            f"{records} records for {self._table} are damaged or refused by it, and set aside in "
            f"{self._directory / 'quarantine'}",
        )

    def tell_dropped(self, dropped: Mapping[str, int], why_unwritable: str) -> None:
        """Say that records are dropped, and again each minute while more are.

        Args:
            dropped: How many were dropped so far, by reason.
            why_unwritable: As :func:`why_dropped` takes it.
        """
        now = time.monotonic()
        if now - self._told_dropped_at_seconds < DROPPING_TOLD_EVERY_SECONDS:
            return
        count = sum(_unjournalled(dropped).values())
        if count > self._told_dropped:
            self._told_dropped, self._told_dropped_at_seconds = count, now
            log_from_worker(
                logging.ERROR,
                f"{count} records for {self._table} were dropped: "
                f"{why_dropped(dropped, why_unwritable)}",
            )

    def tell_choice(self, choice: EngineChoice | None) -> None:
        """Say which engine writes the table, and why."""
        if choice is not None and choice != self._told_choice:
            self._told_choice = choice
            log_from_worker(
                logging.DEBUG if choice.is_usual else logging.INFO,
                f"{self._table} is written by engine {choice.engine}: {choice.reason}",
            )

    def tell_left_behind(self, records: int) -> None:
        """Say that records of a process that has ended were committed."""
        # No warning: forked and short-lived processes leave their records to others as a rule.
        log_from_worker(
            logging.INFO,
            f"{records} records that a process had left in the journal when it ended are in "
            f"{self._table} now",
        )


def why_dropped(dropped: Mapping[str, int], why_unwritable: str) -> str:
    """In words, why records could not be journalled, and how many; empty if all could.

    Args:
        dropped: How many were dropped, by reason.
        why_unwritable: What the system said when the folder could not be written to, if it did.
    """
    reasons = [
        f"{_WHY_DROPPED[reason]} ({count})" for reason, count in _unjournalled(dropped).items()
    ]
    # No word of the folder may be true: a process may have opened all the files that it is let.
    if "journal_unwritable" in dropped and why_unwritable:
        reasons.append(f"the system says {why_unwritable}")
    return ", ".join(reasons)


def _unjournalled(dropped: Mapping[str, int]) -> dict[str, int]:
    return {reason: dropped[reason] for reason in _WHY_DROPPED if reason in dropped}
