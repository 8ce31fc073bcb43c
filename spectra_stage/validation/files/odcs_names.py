"""What a contract calls its tables and columns → what they are called where they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectra_stage.validation.files.document import Place

__all__ = ["PhysicalNames"]


class PhysicalNames:
    """The names behind a contract's own, with which its references are made.

    What a contract does not declare is called what a reference calls it.
    """

    def __init__(self) -> None:
        self._tables: dict[str, str] = {}
        self._columns: dict[str, dict[str, str]] = {}

    def add(self, table: str, place: Place) -> None:
        """Take in a schema object, whose table is of that name."""
        if (name := place.get("name")) is not None:
            self._tables[str(name.value)] = table
        columns = self._columns.setdefault(table, {})
        properties = place.get("properties")
        for item in properties.value if properties and isinstance(properties.value, list) else ():
            name, physical = item.get("name"), item.get("physicalName")
            if name is not None and physical is not None:
                columns[str(name.value)] = str(physical.value)

    def columns(self, table: str) -> Mapping[str, str]:
        """A table's columns by what the contract calls them, where that differs."""
        return self._columns.get(table, {})

    def of(self, told: Any, table: str = "") -> list[tuple[str, str]]:
        """References, ``table.column`` or columns alone, as pairs.

        Args:
            told: One, or a list of them.
            table: The table that columns alone are of.
        """
        listed = told if isinstance(told, list) else [told]
        return [self._pair(str(name), table) for name in listed if name]

    def _pair(self, name: str, own: str) -> tuple[str, str]:
        told, _, column = name.rpartition(".")
        table = self._tables.get(told, told)
        return table, self.columns(table or own).get(column, column)
