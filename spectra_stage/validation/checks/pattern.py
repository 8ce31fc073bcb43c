"""A column's texts match a pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import RowCheck, refused
from spectra_stage.validation.view import TableView

__all__ = ["Pattern"]

# An expression's parts, as far as they matter: what Rust's regular expressions leave out, that they
# may never take long, and names of groups. What stands in sets, or behind a backslash, is neither.
_PART = re.compile(
    r"""
      (?P<backtracking>
          \(\?(?:[=!>(]|<[=!]|P=)
        | \\[1-9]
        | (?:[*+?]|\{(?=[0-9,])[0-9]*,?[0-9]*\})\+
      )
    | (?P<named>\(\?P<\w+>)
    | \\.
    | \[\^?\]?(?:\\[^1-9]|[^\\\]])*\]
    | \(\?\#[^)]*\)
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Pattern(RowCheck):
    r"""The column's texts match a regular expression whole. Null is not compared.

    The expression means the same on each engine: ``\d``, ``\w`` and ``\s`` are Unicode's, ``.`` is
    anything but a line feed. Look-arounds, back-references and possessive quantifiers are refused.

    Args:
        column: A column of texts.
        pattern: The regular expression.
    """

    kind: ClassVar[str] = "pattern"
    column: str
    pattern: str

    def __post_init__(self) -> None:
        super().__post_init__()
        may_be = "a regular expression without look-around, back-reference or possessive quantifier"
        try:
            re.compile(self.pattern)
        except (re.error, TypeError) as error:
            raise refused(self, "pattern", f"{may_be}: {error}") from None
        if any(part["backtracking"] for part in _PART.finditer(self.pattern)):
            raise refused(self, "pattern", may_be)

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def words(self) -> str:
        """What it says, in words."""
        return f"{self.column} matches {self.pattern}"

    @property
    def complaint(self) -> str:
        """What rows that break it do."""
        return "don't match"

    def breaks(self, view: TableView) -> str:
        """Rows with a text that does not match."""
        column = view.quoted(self.column, "text")
        # Without back-references a name means nothing, and Java spells it another way.
        pattern = _PART.sub(lambda part: "(?:" if part["named"] else part[0], self.pattern)
        whole = rf"\A(?:{pattern})\z"
        return f"NOT {view.dialect.matches(column, whole)}"
