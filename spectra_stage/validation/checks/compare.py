"""A column against another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from spectra_stage.validation.checks.base import RowCheck, refused
from spectra_stage.validation.view import ImpossibleError, TableView, family

__all__ = ["Compare"]

Operator = Literal["<", "<=", "=", "!=", ">=", ">"]


@dataclass(frozen=True, kw_only=True)
class Compare(RowCheck):
    """One column stands to another as the operator says, in each row where neither is null.

    A date is compared with a timestamp as its midnight in UTC. NaN is greater than any number.

    Args:
        left: The one column.
        operator: ``<``, ``<=``, ``=``, ``!=``, ``>=`` or ``>``.
        right: The other.
    """

    kind: ClassVar[str] = "compare"
    left: str
    operator: Operator
    right: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.operator not in get_args(Operator):
            raise refused(self, "operator", ", ".join(get_args(Operator)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The two columns."""
        return (self.left, self.right)

    @property
    def words(self) -> str:
        """What it says, in words."""
        return f"{self.left} {self.operator} {self.right}"

    @property
    def complaint(self) -> str:
        """What rows that break it do."""
        return "are otherwise"

    def breaks(self, view: TableView) -> str:
        """Rows in which it is otherwise."""
        kinds = {name: family(view.column(name).type) for name in self.columns}
        pairs = (self.columns, self.columns[::-1])
        sides = {
            name: view.comparable(name, beside=view.column(other).type) for name, other in pairs
        }
        if set(kinds.values()) == {"date", "timestamp"}:
            for name, kind in kinds.items():
                if kind == "date":
                    sides[name] = view.dialect.utc_midnight(sides[name])
        elif len(set(kinds.values())) > 1:
            types = " and ".join(view.column(name).type for name in self.columns)
            raise ImpossibleError(f"{types} can't be compared")
        return f"NOT ({sides[self.left]} {self.operator} {sides[self.right]})"
