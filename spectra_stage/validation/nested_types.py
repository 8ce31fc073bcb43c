"""Delta's types compared, nested ones field by field."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["split_types", "type_differences"]


@dataclass(frozen=True)
class _Type:
    """A type taken apart: its name, and what is nested in it by name."""

    text: str
    name: str
    parts: tuple[tuple[str, _Type], ...] = ()


def type_differences(path: str, declared: str, there: str) -> list[str]:
    """What differs between two types, one sentence each.

    Args:
        path: The column's name.
        declared: The type as declared, ``struct<city:string,tags:array<string>>``; where it says
            ``any``, every type will do.
        there: The type in the table.
    """
    if declared == there:
        return []
    return _differences(path, _parse(declared), _parse(there))


def _differences(path: str, declared: _Type, there: _Type) -> list[str]:
    if declared.name == "any":
        return []
    if declared.name != there.name or not (declared.parts and there.parts):
        if declared.text == there.text:
            return []
        return [f"column {path} is {there.text}, not {declared.text}"]
    found = []
    parts = dict(there.parts)
    for name, part in declared.parts:
        inner = f"{path}.{name}"
        if name in parts:
            found += _differences(inner, part, parts.pop(name))
        else:
            found.append(f"column {inner} is missing")
    found += [f"column {path}.{name} is not declared" for name in parts]
    return found


def _parse(text: str) -> _Type:
    text = text.strip()
    name, bracket, rest = text.partition("<")
    if not bracket or not rest.endswith(">"):
        return _Type("".join(text.split()), "".join(text.split()))
    name = name.strip()
    parts = split_types(rest[:-1])
    if name == "struct":
        fields = (part.partition(":") for part in parts)
        return _Type(text, name, tuple((key.strip(), _parse(of)) for key, _, of in fields))
    names = {"array": ("element",), "map": ("key", "value")}.get(name, ())
    return _Type(text, name, tuple(zip(names, map(_parse, parts), strict=False)))


def split_types(text: str) -> list[str]:
    """What is nested in a type: the parts between the commas that stand in no brackets."""
    parts, depth, begin = [], 0, 0
    for place, character in enumerate(text):
        depth += character in "<("
        depth -= character in ">)"
        if character == "," and not depth:
            parts.append(text[begin:place])
            begin = place + 1
    return [*parts, text[begin:]] if text else []
