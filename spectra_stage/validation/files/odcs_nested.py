"""What contracts say of what is nested in a column, into which no check looks."""

from __future__ import annotations

from collections.abc import Iterator

from spectra_stage.validation.files.document import Place
from spectra_stage.validation.files.odcs_keys import OF_PROPERTIES, unknown_keys

__all__ = ["IN_THE_TYPE", "said_of_nested"]

IN_THE_TYPE = frozenset(("format", "timezone", "defaultTimezone"))
"""Options that are in a type, as far as they can be."""

_OF_ROWS = ("required", "unique", "primaryKey", "enum", "quality", "relationships")


def said_of_nested(place: Place, path: str) -> Iterator[tuple[Place, str]]:
    """What is said of a property's fields, elements, keys and values, by their places.

    Args:
        place: The property.
        path: Its name.
    """
    for part, name in _parts(place):
        inner = f"{path}.{name}"
        plain = part.plain()
        for what in _OF_ROWS:
            if plain.get(what):
                yield part, f"{what} of {inner}"
        for option in plain.get("logicalTypeOptions") or {}:
            if option not in IN_THE_TYPE:
                yield part, f"{option} of {inner}"
        yield from unknown_keys(part, OF_PROPERTIES, inner)
        yield from said_of_nested(part, inner)


def _parts(place: Place) -> Iterator[tuple[Place, str]]:
    fields = place.get("properties")
    for field in fields.value if fields and isinstance(fields.value, list) else ():
        name = field.get("physicalName") or field.get("name")
        yield field, str(name and name.value)
    of_map = place.get("map")
    for part, name in (
        (place.get("items"), "items"),
        (of_map and of_map.get("key"), "key"),
        (of_map and of_map.get("value"), "value"),
    ):
        if part is not None:
            yield part, name
