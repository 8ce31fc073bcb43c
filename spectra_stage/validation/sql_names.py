"""SQL that users write once, made to fit a table and its engine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spectra_stage.validation.view import ImpossibleError, TableView

__all__ = ["Resolved", "names_in", "resolved"]

_TOKEN = re.compile(
    r"""
      (?P<text>'(?:[^']|'')*')
    | (?P<double>"(?:[^"]|"")*")
    | (?P<back>`(?:[^`]|``)*`)
    | (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<name>[^\W\d]\w*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

# Words that are never a column unless quoted, whatever stands around them.
_RESERVED = frozenset(
    """
    all and any as asc between by case current_date current_timestamp desc distinct else end escape
    false from group having ilike in interval is like limit not null on or order over partition
    select similar then to true when where
    """.split()
)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """SQL with its names and texts as the engine writes them, and the columns it names."""

    sql: str
    columns: tuple[str, ...]


def names_in(sql: str) -> frozenset[str]:
    """The names in some SQL that may be columns, in lower case."""
    return frozenset(
        _name(token).lower()
        for token in _TOKEN.finditer(sql)
        if token.lastgroup in {"double", "back", "name"}
    )


def resolved(sql: str, view: TableView) -> Resolved:
    """SQL whose columns, in whatever case, are the table's own.

    Names that are no column stay as they are, and so do words of SQL, functions, and fields behind
    a dot.

    Raises:
        ImpossibleError: It is no one expression, but reaches out of the brackets around it.
    """
    parts: list[str] = []
    columns: list[str] = []
    tokens = list(_TOKEN.finditer(sql))
    _check_brackets(tokens)
    for place, token in enumerate(tokens):
        text = token[0]
        quoted = token.lastgroup in {"double", "back"}
        if token.lastgroup == "text":
            parts.append(view.dialect.text(text[1:-1].replace("''", "'")))
        elif token.lastgroup == "comment":
            # It may hide what follows it on the line.
            parts.append(" ")
        elif quoted or token.lastgroup == "name":
            name = _name(token)
            if view.has(name) and _is_column(tokens, place):
                name = view.column(name).name
                columns.append(name)
                quoted = True
            parts.append(view.dialect.quote(name) if quoted else text)
        else:
            parts.append(text)
    return Resolved(sql="".join(parts), columns=tuple(dict.fromkeys(columns)))


def _name(token: re.Match[str]) -> str:
    text = token[0]
    return text if token.lastgroup == "name" else text[1:-1].replace(text[0] * 2, text[0])


def _check_brackets(tokens: list[re.Match[str]]) -> None:
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth < 0 or token[0] == ";":
            break
    else:
        if not depth:
            return
    raise ImpossibleError("the SQL is no one expression: look at its brackets and quotes")


def _is_column(tokens: list[re.Match[str]], place: int) -> bool:
    """Whether a name stands where a column may."""
    if place and tokens[place - 1][0] == ".":
        return False
    if tokens[place].lastgroup != "name":
        return True
    after = _next(tokens[place + 1 :])
    before = _next(tokens[place - 1 :: -1] if place else [])
    # A function, or the type in DATE '2024-01-01' or in CAST(x AS DATE).
    if after == "(" or after[:1] == "'" or before.lower() in {"as", ":"}:
        return False
    return tokens[place][0].lower() not in _RESERVED


def _next(tokens: list[re.Match[str]]) -> str:
    """The first token that is no space and no comment."""
    return next((t[0] for t in tokens if not t[0].isspace() and t.lastgroup != "comment"), "")
