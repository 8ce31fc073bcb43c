"""Delta's types ↔ those of Open Data Contracts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spectra_stage.validation.nested_types import split_types

__all__ = ["compared_type", "contract_type", "delta_type"]

_LOGICAL = {
    "string": "string",
    "long": "integer",
    "integer": "integer",
    "short": "integer",
    "byte": "integer",
    "double": "number",
    "float": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "timestamp_ntz": "timestamp",
    "binary": "string",
    "array": "array",
    "struct": "object",
    # A map has a word of its own since 3.2.
    "map": "object",
    "decimal": "number",
}
# What databases call them; lengths don't matter in Delta.
_PHYSICAL = {
    **{name: name for name in _LOGICAL if name not in {"array", "struct", "map", "decimal"}},
    "str": "string",
    "text": "string",
    "varchar": "string",
    "char": "string",
    "nvarchar": "string",
    "bigint": "long",
    "int64": "long",
    "int": "integer",
    "int32": "integer",
    "smallint": "short",
    "tinyint": "byte",
    "float64": "double",
    "real": "float",
    "bool": "boolean",
    "timestamp_ltz": "timestamp",
    "timestamptz": "timestamp",
}
_CERTAIN = {"string": "string", "boolean": "boolean", "date": "date", "timestamp": "timestamp"}
_FORMATS = {"i8": "byte", "i16": "short", "i32": "integer", "i64": "long", "f32": "float"} | {
    "f64": "double"
}
_COMPARED = {"integer": "long", "number": "double", "object": "struct"}
_HAS_HOURS = re.compile("[HhKk]")
_DECIMAL = re.compile(r"(?:decimal|numeric)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")


def contract_type(delta: str) -> dict[str, Any]:
    """How a contract writes a type: what it means, and Delta's own name of it."""
    if delta == "any":
        return {}
    name = delta.partition("<")[0].partition("(")[0]
    logical = {"logicalType": _LOGICAL[name]} if name in _LOGICAL else {}
    return {**logical, "physicalType": delta}


def delta_type(element: Mapping[str, Any]) -> str:
    """The type of a contract's property; ``any`` where it leaves that open."""
    physical = str(element.get("physicalType") or "").strip()
    if (known := _physical(physical)) is not None:
        return known
    logical = element.get("logicalType")
    options = element.get("logicalTypeOptions") or {}
    if logical == "array":
        return f"array<{delta_type(element.get('items') or {})}>"
    if logical == "object" and element.get("properties"):
        parts = (
            f"{part.get('physicalName') or part.get('name')}:{delta_type(part)}"
            for part in element["properties"]
        )
        return f"struct<{','.join(parts)}>"
    if logical == "map" and element.get("map"):
        of = element["map"]
        return f"map<{delta_type(of.get('key') or {})},{delta_type(of.get('value') or {})}>"
    if logical in {"integer", "number"}:
        return _FORMATS.get(str(options.get("format")), "any")
    if logical == "date" and _HAS_HOURS.search(str(options.get("format"))):
        # Version 3.0 has no other word for it.
        return "timestamp"
    return _CERTAIN.get(str(logical), "any")


def compared_type(column_type: str, element: Mapping[str, Any]) -> str:
    """A type by which a property's values are compared, also where :func:`delta_type` has none.

    Args:
        column_type: What that gives.
        element: The property.
    """
    logical = str(element.get("logicalType"))
    return _COMPARED.get(logical, "any") if column_type == "any" else column_type


def _physical(name: str) -> str | None:
    plain = name.lower()
    if match := _DECIMAL.fullmatch(plain):
        return f"decimal({match[1]},{match[2] or 0})"
    if plain.startswith(("array<", "map<")) and plain.endswith(">"):
        outer, _, inner = name[:-1].partition("<")
        return f"{outer.lower()}<{','.join(map(_nested, split_types(inner)))}>"
    if plain.startswith("struct<") and plain.endswith(">") and ":" in plain:
        fields = (field.partition(":") for field in split_types(name[len("struct<") : -1]))
        return f"struct<{','.join(f'{key.strip()}:{_nested(of)}' for key, _, of in fields)}>"
    return _PHYSICAL.get(plain.partition("(")[0].strip())


def _nested(name: str) -> str:
    """A type within another; kept where it is none that databases have words of their own for."""
    return _physical(name.strip()) or name.strip()
