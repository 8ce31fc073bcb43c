"""A column's texts are JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from spectra_logging.lakehouse.dialect import Dialect
from spectra_stage.validation.checks.base import RowCheck, refused
from spectra_stage.validation.view import TableView

__all__ = ["ValidJson"]

Expected = Literal["object", "array", "any"]

LEVELS = 16
"""Levels of nesting that are followed; RFC 8259 lets a reader set a limit."""

PLAIN_LEVELS = 2
"""Levels that one regular expression takes in; it grows by four with each."""

_SPACE = r"[ \t\n\r]*"
_TEXT = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
_SCALAR = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null"


@dataclass(frozen=True, kw_only=True)
class ValidJson(RowCheck):
    """The column's texts are JSON by RFC 8259, and nothing else. Null is not compared.

    Empty text, NaN, comments, trailing commas and anything behind the value are invalid. The
    grammar is the same on each engine, for neither's own functions are used, which let much pass;
    no text leaves the engine for it. What nests deeper than 16 levels counts as invalid.

    Args:
        column: A column of texts.
        value: ``object`` or ``array`` when it is to be one, ``any`` for any JSON.
    """

    kind: ClassVar[str] = "valid_json"
    column: str
    value: Expected = "any"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.value not in get_args(Expected):
            raise refused(self, "value", "object, array or any")

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def words(self) -> str:
        """What it says, in words."""
        article = {"object": "a JSON object", "array": "a JSON array", "any": "JSON"}
        return f"{self.column} is {article[self.value]}"

    @property
    def complaint(self) -> str:
        """What rows that break it do."""
        return "hold something else"

    def breaks(self, view: TableView) -> str:
        """Rows whose text does not come down to one value."""
        column = view.quoted(self.column, "text")
        broken = f"{_reduced(column, view.dialect)} <> 'v'"
        if not view.dialect.backtracks:
            plain = view.dialect.matches(column, _plain_value(PLAIN_LEVELS))
            # In this order, for most texts need no more than that.
            broken = f"CASE WHEN {plain} THEN FALSE ELSE {broken} END"
        bracket = {"object": r"\{", "array": r"\["}.get(self.value)
        if bracket is None:
            return broken
        begins = rf"\A{_SPACE}{bracket}"
        return f"NOT {view.dialect.matches(column, begins)} OR {broken}"


def _plain_value(levels: int) -> str:
    """A regular expression for JSON of so few levels that one can be written."""
    value = f"(?:{_TEXT}|{_SCALAR})"
    for _ in range(levels):
        item, member = f"{value}{_SPACE}", f"{_TEXT}{_SPACE}:{_SPACE}{value}{_SPACE}"
        array = rf"\[{_SPACE}(?:{item}(?:,{_SPACE}{item})*)?\]"
        of_members = rf"\{{{_SPACE}(?:{member}(?:,{_SPACE}{member})*)?\}}"
        value = f"(?:{_TEXT}|{_SCALAR}|{array}|{of_members})"
    return rf"\A{_SPACE}{value}{_SPACE}\z"


def _reduced(column: str, dialect: Dialect) -> str:
    """A text that is ``v`` when it was JSON: its values are replaced by ``v``, inmost first."""
    steps = [
        # k, m and v are to be ours alone; what was escaped is a character like any other.
        (r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|[kmv]', "~"),
        (r'"[^"\\\x00-\x1f]*"', "k"),
        (_SCALAR, "v"),
        # Only now, so that two values with nothing but space between them stay two.
        (r"[ \t\n\r]+", ""),
        (r"k:", "m"),
        (r"k", "v"),
        *[(r"\[(?:v(?:,v)*)?\]|\{(?:mv(?:,mv)*)?\}", "v")] * LEVELS,
    ]
    for pattern, replacement in steps:
        column = dialect.replace_all(column, pattern, replacement)
    return column
