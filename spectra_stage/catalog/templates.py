"""URI templates, as API descriptions write paths: ``/project/{id}/cases{?offset,limit}``.

RFC 6570 has the whole grammar. Here only the names of the variables and where they stand count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

__all__ = ["PathTemplate", "with_query"]

_EXPRESSION = re.compile(r"\{([+#./;?&]?)([^{}]*)\}")
_QUERY_OPERATORS = ("?", "&")
_MODIFIER = re.compile(r"\*$|:\d+$")


@dataclass(frozen=True)
class PathTemplate:
    """A path taken apart.

    Attributes:
        full_path: The template as it was.
        endpoint_path: The template without its query.
        path_parameters: Names of the variables in the path, in order, each once.
        query_parameters: Names of the query's parameters, in order, each once.
    """

    full_path: str
    endpoint_path: str
    path_parameters: tuple[str, ...]
    query_parameters: tuple[str, ...]

    @classmethod
    def parse(cls, template: str) -> PathTemplate:
        """Take a template apart; what is no expression is taken as it stands.

        Raises:
            ValueError: The template does not begin with a slash, or its braces don't pair.
        """
        template = template.strip()
        if not template.startswith("/"):
            raise ValueError(f"path {template!r} does not begin with /")
        if re.search("[{}]", _EXPRESSION.sub("", template)):
            raise ValueError(f"path {template!r} has braces that don't pair")
        in_query = [
            name
            for operator, names in _EXPRESSION.findall(template)
            if operator in _QUERY_OPERATORS
            for name in _names(names)
        ]
        without = _EXPRESSION.sub(
            lambda found: "" if found[1] in _QUERY_OPERATORS else found[0], template
        )
        path, _, query = without.partition("?")
        # A variable of a query written out, ?limit={size}, is a value there and no parameter.
        in_path = [name for _, names in _EXPRESSION.findall(path) for name in _names(names)]
        literal = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
        return cls(
            full_path=template,
            endpoint_path=path,
            path_parameters=_once(in_path),
            query_parameters=_once([*literal, *in_query]),
        )

    @property
    def first_segment(self) -> str:
        """The first segment that is no parameter; ``root`` where there is none."""
        for segment in self.endpoint_path.split("/"):
            if segment and "{" not in segment:
                return segment
        return "root"


def with_query(path: str, query_parameters: Iterable[str]) -> str:
    """The path with the names of its query's parameters behind it: ``/cases{?offset,limit}``."""
    names = ",".join(query_parameters)
    return f"{path}{{?{names}}}" if names else path


def _names(expression: str) -> list[str]:
    names = (_MODIFIER.sub("", name.strip()) for name in expression.split(","))
    return [name for name in names if name]


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
