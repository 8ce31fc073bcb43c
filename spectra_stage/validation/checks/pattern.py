"""A column's texts match a pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from spectra_stage.validation.checks.base import RowCheck, refused
from spectra_stage.validation.regex import means_the_same_everywhere, spelt_for_engines
from spectra_stage.validation.view import TableView

__all__ = ["Pattern"]


@dataclass(frozen=True, kw_only=True)
class Pattern(RowCheck):
    r"""The column's texts match a regular expression whole. Null is not compared.

    The expression means the same on each engine: ``\d``, ``\w`` and ``\s`` are Unicode's, ``.`` is
    anything but a line feed, ``$`` is the text's end. Look-arounds, back-references, possessive
    quantifiers, POSIX classes and the flag ``a`` are refused.

    Args:
        column: A column of texts.
        pattern: The regular expression.
    """

    kind: ClassVar[str] = "pattern"
    column: str
    pattern: str

    def __post_init__(self) -> None:
        super().__post_init__()
        may_be = (
            "a regular expression without look-around, back-reference, possessive quantifier,"
            " POSIX class or flag a"
        )
        try:
            re.compile(self.pattern)
        except (re.error, TypeError) as error:
            raise refused(self, "pattern", f"{may_be}: {error}") from None
        if not means_the_same_everywhere(self.pattern):
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
        whole = rf"\A(?:{spelt_for_engines(self.pattern)})\z"
        return f"NOT {view.dialect.matches(column, whole)}"
