"""What a check is: a few options, what it asks of a table, and what it makes of the answer."""

from __future__ import annotations

import abc
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from types import MappingProxyType
from typing import Any, ClassVar

from spectra_logging.errors import ConfigurationError
from spectra_stage.validation.results import Severity
from spectra_stage.validation.view import TableView

__all__ = [
    "KINDS",
    "Answers",
    "Check",
    "CountingCheck",
    "Finding",
    "Plan",
    "RowCheck",
    "is_count",
    "refused",
]

KINDS: dict[str, type[Check]] = {}
"""Every kind of check by its name; a class enters itself."""

_PERCENTAGE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")


def refused(check: Check, option: str, may_be: str) -> ConfigurationError:
    """The error for an option that can't work."""
    value = getattr(check, option)
    return ConfigurationError(f"{check.kind}: {option}={value!r} may be {may_be}")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a check asks of the engine.

    Args:
        scalars: By name, expressions that give one value: aggregates over the table's rows, which
            are all computed in one scan, or subqueries in brackets.
    """

    scalars: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the engine answered.

    Args:
        rows: The table's rows.
        scalars: The values, by the plan's names.
    """

    rows: int
    scalars: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check makes of the answers.

    Args:
        holds: Whether what it says is so; ``None`` where that was not looked at: it is skipped.
        words: What was found, without values of the table that may be secret.
        violations: Rows that break it, where it is about rows.
        figures: What was measured, by name.
    """

    holds: bool | None
    words: str
    violations: int | None = None
    figures: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class Check(abc.ABC):
    """One thing that is to be so of a table.

    A check is a class with a ``kind``, in a file of its own; nothing else lists it.

    Args:
        severity: ``error``, or ``warning`` for what shall not fail a stage.
        name: The check in words; by default its own.

    Raises:
        ConfigurationError: An option can't work.
    """

    kind: ClassVar[str]
    severity: Severity = "error"
    name: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Enter the class under its kind."""
        super().__init_subclass__(**kwargs)
        # A dataclass with slots is made twice; the later class is the one in use.
        if not inspect.isabstract(cls) and "kind" in cls.__dict__:
            KINDS[cls.kind] = cls

    def __post_init__(self) -> None:
        # So that checks which say the same are equal, and can't be changed.
        for option in fields(self):
            if isinstance(value := getattr(self, option.name), list):
                object.__setattr__(self, option.name, tuple(value))
        if self.severity not in {"error", "warning"}:
            raise refused(self, "severity", "error or warning")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it looks at, as the suite spells them."""
        return ()

    @property
    def named(self) -> frozenset[str]:
        """All names in it that may be columns, in lower case."""
        return frozenset(name.lower() for name in self.columns)

    def columns_in(self, view: TableView) -> tuple[str, ...]:  # noqa: ARG002 - some need it
        """The columns it looks at in that table."""
        return self.columns

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What it says, in words."""

    @abc.abstractmethod
    def plan(self, view: TableView) -> Plan:
        """What to ask of the engine.

        Raises:
            ImpossibleError: It can't be asked of this table.
        """

    @abc.abstractmethod
    def judge(self, view: TableView, answers: Answers) -> Finding:
        """What the answers mean."""


@dataclass(frozen=True, kw_only=True)
class CountingCheck(Check):
    """A check that counts the rows that break it.

    Args:
        tolerance: How many rows may break it: a count, or a percentage of the rows, ``0.5%``.
    """

    tolerance: int | str = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self._percentage() is None and not is_count(self.tolerance):
            raise refused(self, "tolerance", "a number of rows, or a percentage such as 0.5%")

    @abc.abstractmethod
    def violations(self, view: TableView) -> str:
        """An expression for the number of rows that break it: an aggregate or a subquery."""

    @abc.abstractmethod
    def samples(self, view: TableView, limit: int) -> str | None:
        """A statement for the values of :attr:`columns` in some rows that break it."""

    @abc.abstractmethod
    def breaks(self, view: TableView) -> str:
        """Whether the row of ``t`` breaks it: a condition for a column, window functions allowed.

        Where the check has a :meth:`join`, what is joined may be named in it.
        """

    def join(self, view: TableView) -> str | None:  # noqa: ARG002 - some need it
        """What :meth:`breaks` wants joined to ``t``: a LEFT JOIN that adds no row."""
        return None

    def plan(self, view: TableView) -> Plan:
        """Ask for the number of rows that break it."""
        return Plan(scalars={"violations": self.violations(view)})

    def judge(self, view: TableView, answers: Answers) -> Finding:  # noqa: ARG002
        """Compare that number with the tolerance."""
        violations = int(answers.scalars["violations"] or 0)
        holds = self._tolerates(violations, answers.rows)
        if not answers.rows:
            words = "there are no rows to break it"
        elif not violations:
            words = "no row breaks it"
        else:
            words = f"{violations} of {answers.rows} rows {self.complaint}"
            if self.tolerance:
                words += f"; {self.tolerance} {'may' if holds else 'at most may'}"
        return Finding(holds=holds, words=words, violations=violations)

    @property
    def complaint(self) -> str:
        """What rows that break it do."""
        return "break it"

    def _tolerates(self, violations: int, rows: int) -> bool:
        percentage = self._percentage()
        if percentage is None:
            return violations <= int(self.tolerance)
        return violations * 100 <= percentage * rows

    def _percentage(self) -> Decimal | None:
        match = _PERCENTAGE.fullmatch(self.tolerance) if isinstance(self.tolerance, str) else None
        percentage = Decimal(match[1]) if match else None
        return percentage if percentage is not None and percentage <= 100 else None


@dataclass(frozen=True, kw_only=True)
class RowCheck(CountingCheck):
    """A check that each row keeps or breaks by itself. Null breaks none but ``not_null``."""

    def violations(self, view: TableView) -> str:
        """Counted in the one scan."""
        # On lines of its own, so that a comment in a condition ends with it.
        return f"count(CASE WHEN (\n{self.breaks(view)}\n) THEN 1 END)"

    def samples(self, view: TableView, limit: int) -> str | None:
        """The columns' values in some of the rows."""
        names = self.columns_in(view)
        if not names:
            return None
        columns = ", ".join(view.quoted(name) for name in names)
        # Not as a plain WHERE: DataFusion 55 concludes from one, and from a file's bounds, which do
        # not count NaN, that a column is constant, and gives its NaNs that value.
        broken = f"CASE WHEN (\n{self.breaks(view)}\n) THEN 1 END IS NOT NULL"
        return f"SELECT {columns} FROM t WHERE {broken} LIMIT {limit}"


def is_count(value: object) -> bool:
    """Whether a value is a number of something."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
