"""SQL that users write once, made to fit a table and its engine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spectra_stage.validation.literals import MOST_DIGITS, moment_of
from spectra_stage.validation.view import ImpossibleError, TableView

__all__ = ["Resolved", "names_in", "resolved"]

_TOKEN = re.compile(
    r"""
      (?P<text>'(?:[^']|'')*')
    | (?P<double>"(?:[^"]|"")*")
    | (?P<back>`(?:[^`]|``)*`)
    | (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<moment>(?i:timestamp)\s*'(?P<told>[^']*)')
    | (?P<name>[^\W\d]\w*)
    | (?P<fraction>(?:\d+\.\d*|\.\d+)(?![\w.]))
    | (?P<large>\d{19,}(?![\w.]))
    | (?P<whole>\d+(?![\w.]))
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\w*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_NAMES = frozenset(("double", "back", "name"))

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
        _name(token).lower() for token in _TOKEN.finditer(sql) if token.lastgroup in _NAMES
    )


def resolved(sql: str, view: TableView) -> Resolved:
    """SQL whose columns, in whatever case, are the table's own.

    Fractions, and whole numbers that 64 bits may not hold, are decimals where they meet no floats
    but decimals, as Spark has them anyway: DataFusion makes floats of them, and then of the column
    too.

    A timestamp may be of any year, and is UTC where it names no zone.

    Names that are no column stay as they are, and so do words of SQL, functions, and fields behind
    a dot.

    Raises:
        ImpossibleError: It is no one expression, but reaches out of the brackets around it, or has
            a number that no decimal holds beside some.
    """
    parts: list[str] = []
    columns: list[str] = []
    tokens = list(_TOKEN.finditer(sql))
    _check_brackets(tokens)
    exact = _is_exact(tokens, view)
    for place, token in enumerate(tokens):
        text = token[0]
        quoted = token.lastgroup in {"double", "back"}
        if token.lastgroup == "text":
            parts.append(view.dialect.text(text[1:-1].replace("''", "'")))
        elif token.lastgroup == "moment":
            parts.append(_moment(token, view))
        elif token.lastgroup == "comment":
            # It may hide what follows it on the line.
            parts.append(" ")
        elif token.lastgroup in {"fraction", "large"}:
            parts.append(_decimal(text) if exact else text)
        elif token.lastgroup in _NAMES:
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


def _is_exact(tokens: list[re.Match[str]], view: TableView) -> bool:
    """Whether some SQL reckons with decimals, and surely with no float.

    DataFusion would make a float that meets a decimal a decimal, which may not hold it.
    """
    types = []
    for place, token in enumerate(tokens):
        if token.lastgroup == "number":
            # With an exponent it is a float.
            return False
        if token.lastgroup not in _NAMES:
            continue
        if _is_column(tokens, place) and view.has(_name(token)):
            types.append(view.column(_name(token)).type)
        elif token[0].lower() not in {*_RESERVED, "isnan"}:
            # A function or a type; which of them give floats?
            return False
    floating = any(kind in {"float", "double"} or "<" in kind for kind in types)
    return not floating and any(kind.startswith("decimal") for kind in types)


def _moment(token: re.Match[str], view: TableView) -> str:
    """TIMESTAMP '…', of which DataFusion makes nanoseconds, and has too few for the year 9999."""
    moment = moment_of(token["told"])
    return token[0] if moment is None else view.dialect.moment(moment, zoned=True)


def _decimal(number: str) -> str:
    whole, _, digits = number.partition(".")
    precision = max(len(whole.lstrip("0")) + len(digits), 1)
    if precision > MOST_DIGITS:
        raise ImpossibleError(f"{number} has more than the {MOST_DIGITS} digits of a decimal")
    return f"CAST('{number}' AS DECIMAL({precision}, {len(digits)}))"


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
    # The unit in INTERVAL '1' DAY or INTERVAL 1 DAY.
    if before[:1] == "'" or before[:1].isdigit():
        return False
    return tokens[place][0].lower() not in _RESERVED


def _next(tokens: list[re.Match[str]]) -> str:
    """The first token that is no space and no comment."""
    return next((t[0] for t in tokens if not t[0].isspace() and t.lastgroup != "comment"), "")
