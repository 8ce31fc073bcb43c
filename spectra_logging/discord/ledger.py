"""What became of the records that an outbox was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Ledger", "OutboxFigures"]


@dataclass(frozen=True, kw_only=True)
class OutboxFigures:
    """What became of the records: the sum of the others is ``emitted``."""

    emitted: int
    delivered: int
    pending: int
    unknown: int
    failed: int
    dropped: Mapping[str, int]


@dataclass
class Ledger:
    """Counts of records; for one thread at a time."""

    emitted: int = 0
    delivered: int = 0
    unknown: int = 0
    failed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, count: int) -> None:
        """Count records that were given up."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def book(self, count: int, outcome: str) -> None:
        """Count records as ``delivered``, ``unknown``, ``failed`` or, by another word, dropped."""
        if outcome == "delivered":
            self.delivered += count
        elif outcome == "unknown":
            self.unknown += count
        elif outcome == "failed":
            self.failed += count
        else:
            self.drop(outcome, count)

    def figures(self) -> OutboxFigures:
        """The counts, and what is not among them."""
        done = self.delivered + self.unknown + self.failed + sum(self.dropped.values())
        return OutboxFigures(
            emitted=self.emitted,
            delivered=self.delivered,
            pending=self.emitted - done,
            unknown=self.unknown,
            failed=self.failed,
            dropped=dict(self.dropped),
        )
