"""Python's regular expressions, as Rust's and Java's engines read them."""

from __future__ import annotations

import codecs
import re

__all__ = ["means_the_same_everywhere", "spelt_for_engines"]

# An expression's parts, as far as they matter: what Rust's regular expressions leave out, that they
# may never take long, and what an engine spells in another way than Python. What stands in sets, or
# behind a backslash, is neither.
_PART = re.compile(
    r"""
      (?P<refused>
          \(\?(?:[=!>(]|<[=!]|P=|[a-z]*a)
        | \\[1-9]
        | (?:[*+?]|\{(?=[0-9,])[0-9]*,?[0-9]*\})\+
        | \[(?:\\.|[^\\\]])*?\[[:.=]\w+[:.=]\]
      )
    | (?P<named>\(\?P<\w+>)
    | (?P<at_most>\{,(?=[0-9]*\}))
    | (?P<brace>\{(?![0-9]+,?[0-9]*\}))
    | (?P<character>\\(?:0[0-7]{0,2}|v|U[0-9a-fA-F]{8}|N\{[^}]+\}))
    | \\.
    | (?P<set>\[\^?)(?P<members>\]?(?:\\[^1-9]|[^\\\]])*)\]
    | (?P<comment>\(\?\#[^)]*\))
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
# What Rust or Java do not know, or, as Java's \v, have for more than one character.
_ESCAPED = r"\\(?:0[0-7]{0,2}|[bv]|U[0-9a-fA-F]{8}|N\{[^}]+\})"
# A set's character, or the first and the last of several.
_MEMBER = re.compile(rf"({_ESCAPED}|\\.|.)(?:(-)({_ESCAPED}|\\.|.))?", re.DOTALL)
# Blanks and # in sets are passed over, too, by Rust and Java where the flag x is set.
_OF_SETS = frozenset("[]&~-# \t\n\r\v\f")
# What follows a # to the end of the line, where the flag x is set, and what holds a # that is none.
_REMARK = re.compile(r"(\\.|\[\^?\]?(?:\\.|[^\\\]])*\]|\(\?\#[^)]*\))|\#[^\n]*", re.DOTALL)
_BY_LINE = re.compile(r"\(\?[a-z]*m")
# Rust takes \< and \> for the beginning and the end of a word, and knows no \Z.
_SPELLINGS = {r"\<": "<", r"\>": ">", r"\Z": r"\z"}


def means_the_same_everywhere(pattern: str) -> bool:
    """Whether an expression that Python takes can be said to both engines, in whatever spelling."""
    return not any(part["refused"] for part in _PART.finditer(_without_remarks(pattern)))


def spelt_for_engines(pattern: str) -> str:
    """A regular expression in what Rust and Java read as Python does."""
    pattern = _without_remarks(pattern)
    by_line = _BY_LINE.search(pattern) is not None

    def spelt(part: re.Match[str]) -> str:
        if part["named"]:
            # Without back-references a name means nothing, and Java spells it another way.
            return "(?:"
        if part["at_most"]:
            return "{0,"
        if part["brace"]:
            return r"\{"
        if part["character"]:
            return _code_point(part["character"])
        if part["comment"]:
            return ""
        if part["set"]:
            return f"{part['set']}{_MEMBER.sub(_member, part['members'])}]"
        if part[0] == "$" and not by_line:
            # Java has it before a line feed at the end, too.
            return r"\z"
        return _SPELLINGS.get(part[0], part[0])

    return _PART.sub(spelt, pattern)


def _without_remarks(pattern: str) -> str:
    """The expression without what stands behind a ``#`` in it, if that is a remark by a flag."""
    if not re.compile(pattern).flags & re.VERBOSE:
        return pattern
    return _REMARK.sub(lambda part: part[1] or "", pattern)


def _member(member: re.Match[str]) -> str:
    first, dash, last = member.groups(default="")
    return _character(first) + dash + _character(last)


def _character(text: str) -> str:
    """One of a set's, which in Rust and Java may be a set itself, or take away from one."""
    if re.fullmatch(_ESCAPED, text):
        return _code_point(text)
    return rf"\{text}" if text in _OF_SETS else _SPELLINGS.get(text, text)


def _code_point(escape: str) -> str:
    """A character that Python has an escape for, as Rust and Java write any."""
    return rf"\x{{{ord(codecs.decode(escape, 'unicode_escape')):x}}}"
