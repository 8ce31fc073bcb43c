"""Open Data Contracts → suites.

The standard is the Open Data Contract Standard, version 3: what contracts of 3.0 to 3.2 say of
objects, properties, quality, relationships and freshness is read. What no check says stands in the
notes, and as :class:`~spectra_stage.validation.checks.Unchecked` among the checks of its table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from spectra_logging.errors import ConfigurationError
from spectra_logging.tables import Column
from spectra_stage.errors import SuiteError
from spectra_stage.validation.checks import (
    AllowedValues,
    Check,
    ForeignKey,
    Freshness,
    NotNull,
    TableSchema,
    Unchecked,
    Unique,
)
from spectra_stage.validation.files.document import Document, Place, Problems
from spectra_stage.validation.files.odcs_keys import (
    OF_CONTRACTS,
    OF_OBJECTS,
    OF_PROPERTIES,
    OF_RULES,
    unknown_keys,
)
from spectra_stage.validation.files.odcs_names import PhysicalNames
from spectra_stage.validation.files.odcs_nested import said_of_nested
from spectra_stage.validation.files.odcs_options import checks_of_options
from spectra_stage.validation.files.odcs_quality import check_of_rule
from spectra_stage.validation.files.odcs_thresholds import NotExpressedError
from spectra_stage.validation.files.odcs_types import compared_type, delta_type
from spectra_stage.validation.suite import Suite, TableSuite

__all__ = ["Contract", "is_contract", "suite_of_contract"]

_T = TypeVar("_T")
_UNITS: dict[float, str] = {
    168: "w week weeks",
    24: "d day days",
    1: "h hr hrs hour hours",
    1 / 60: "m min mins minute minutes",
    1 / 3600: "s sec secs second seconds",
}
_HOURS = {unit: hours for hours, units in _UNITS.items() for unit in units.split()}
# What comes of a list where a mapping is expected, a number where a text is, an infinite threshold,
# a time before the first in UTC, and the like.
_MALFORMED = (AttributeError, LookupError, OverflowError, TypeError, ValueError)
# A field may be called so too, or company.
_LEFT_OPEN = re.compile(r"(?:^|[<,:])\s*any\s*(?:$|[>,])")


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a contract says.

    Args:
        suite: The checks that it stands for.
        notes: What it says that no check does, with its position.
    """

    suite: Suite
    notes: tuple[str, ...]


def is_contract(document: Document) -> bool:
    """Whether a file is a contract."""
    kind = document.root.get("kind")
    return kind is not None and kind.value == "DataContract"


def suite_of_contract(document: Document) -> Contract:
    """What a contract says.

    Raises:
        SuiteError: It can't be read as a contract of version 3.
    """
    return _Reading(document).contract()


class _Reading:
    """One contract, and what was found out on the way."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._problems = Problems()
        self._notes: list[str] = []
        self._names = PhysicalNames()

    def contract(self) -> Contract:
        root = self._document.root
        self._look_at_version(root)
        for place, said in unknown_keys(root, OF_CONTRACTS, "the contract"):
            self._note(place, said)
        schema = root.get("schema")
        tables = self._tables(schema) if schema else {}
        self._add_freshness(tables)
        if not tables and not self._problems.found:
            self._problems.add(schema or root, "schema has no objects: there is nothing to check")
        if self._problems.found:
            raise SuiteError(self._document.source, self._problems.found)
        name = root.get("name") or root.get("id")
        return Contract(
            suite=Suite(
                name=str(name.value) if name else "contract",
                tables=[
                    TableSuite(table=table, checks=checks, path=path)
                    for table, (checks, path) in tables.items()
                ],
            ),
            notes=tuple(self._notes),
        )

    def _tables(self, schema: Place) -> dict[str, tuple[list[Check], str | None]]:
        """The checks of each table, and its path where it is told."""
        objects: list[tuple[Place, str, str | None]] = []
        for place in self._problems.items(schema, "schema"):
            if self._problems.mapping(place, "a schema object"):
                table, path = self._name(place)
                objects.append((place, table, path))
                self._names.add(table, place)
        tables: dict[str, tuple[list[Check], str | None]] = {}
        for place, table, path in objects:
            if table in tables:
                self._problems.add(place, f"table {table} is there twice")
            checks = self._guarded(place, "a schema object", self._checks(place, table))
            tables[table] = list(checks), path
        return tables

    def _add_freshness(self, tables: Mapping[str, tuple[list[Check], str | None]]) -> None:
        for place, table, check in self._freshness():
            if table in tables:
                tables[table][0].append(check)
            elif not isinstance(check, Unchecked):
                self._note(place, f"a freshness of {table}, which has no object")

    def _look_at_version(self, root: Place) -> None:
        version = root.get("apiVersion")
        if version is None or not str(version.value).startswith("v3."):
            told = "missing" if version is None else repr(version.value)
            self._problems.add(version or root, f"apiVersion is {told}; it may be v3.0.0 or later")

    def _name(self, place: Place) -> tuple[str, str | None]:
        """The table's dotted name, and its path where it is told."""
        name = place.get("name") or Place("", place.line, place.column)
        table = self._problems.text(name, "name of a schema object")
        physical = place.get("physicalName")
        if physical is None:
            return table, None
        told = self._problems.text(physical, "physicalName")
        return (table, told) if "/" in told else (told, None)

    def _checks(self, place: Place, table: str) -> Iterator[Check]:
        properties = place.get("properties")
        listed = list(self._problems.items(properties, "properties")) if properties else []
        columns = [self._column(item) for item in listed]
        if declared := [column for column in columns if column is not None]:
            yield TableSchema(declared=tuple(declared), more_columns=self._more_columns(place))
        key = []
        for item, column in zip(listed, columns, strict=True):
            if column is not None:
                yield from self._guarded(item, "a property", self._of_property(item, column, table))
                if (primary := item.get("primaryKey")) is not None and primary.value is True:
                    position = item.get("primaryKeyPosition")
                    key.append((position.value if position else 0, column.name))
        if key:
            names = tuple(name for _, name in sorted(key))
            yield Unique(column=names[0] if len(names) == 1 else names)
        yield from self._rules(place, None, table)
        yield from self._relationships(place, None, table)
        yield from self._all_unchecked(unknown_keys(place, OF_OBJECTS, table))

    def _column(self, place: Place) -> Column | None:
        if not self._problems.mapping(place, "a property"):
            return None
        name = place.get("physicalName") or place.get("name")
        if name is None:
            self._problems.add(place, "a property lacks name")
            return None
        # YAML's no and 010 are no texts, and what it makes of them is no column's name.
        if not self._problems.text(name, "name of a property"):
            return None
        plain = place.plain()
        try:
            column_type = delta_type(plain)
        except _MALFORMED as error:
            self._malformed(place, "a property", error)
            return None
        if _LEFT_OPEN.search(column_type):
            self._notes.append(
                f"{place}: the type of {name.value} is left open: physicalType tells it"
            )
        never_null = [self._is_said(place, said) for said in ("required", "primaryKey")]
        return Column(name=name.value, type=column_type, nullable=not any(never_null))

    def _is_said(self, place: Place, name: str) -> bool:
        """What is said by true or false; anything else is a problem."""
        said = place.get(name)
        if said is not None and not isinstance(said.value, bool):
            # As a text, false would be taken for true.
            self._problems.add(said, f"{name} is {said.plain()!r}, not true or false")
        return said is not None and said.value is True

    def _of_property(self, place: Place, column: Column, table: str) -> Iterator[Check]:
        plain = place.plain()
        if not column.nullable:
            yield NotNull(column=column.name)
        if self._is_said(place, "unique"):
            yield Unique(column=column.name)
        if (listed := place.get("enum")) is not None and listed.value:
            items = [item.plain() for item in self._problems.items(listed, "enum")]
            entries = [item if isinstance(item, dict) else {"value": item} for item in items]
            # That null is valid needs no check: none compares it.
            if valid := [item["value"] for item in entries if item["value"] is not None]:
                yield AllowedValues(column=column.name, values=valid)
            else:
                yield self._unchecked(place, f"that {column.name} is always null")
        yield from self._all_unchecked(said_of_nested(place, column.name))
        compared = replace(column, type=compared_type(column.type, plain))
        for check in checks_of_options(compared, plain.get("logicalTypeOptions") or {}):
            if isinstance(check, Unchecked):
                self._note(place, check.statement)
            yield check
        yield from self._rules(place, compared, table)
        yield from self._relationships(place, column, table)
        yield from self._all_unchecked(unknown_keys(place, OF_PROPERTIES, column.name))

    def _rules(self, place: Place, column: Column | None, table: str) -> Iterator[Check]:
        rules = place.get("quality")
        for rule in self._problems.items(rules, "quality") if rules else ():
            yield from self._guarded(rule, "a quality rule", self._of_rule(rule, column, table))

    def _of_rule(self, rule: Place, column: Column | None, table: str) -> Iterator[Check]:
        try:
            check = check_of_rule(rule, column, self._names.columns(table), self._problems)
        except NotExpressedError as error:
            called = rule.get("name") or rule.get("description")
            yield self._unchecked(rule, str(error), str(called.value) if called else None)
        else:
            if check is not None:
                yield check
                yield from self._all_unchecked(unknown_keys(rule, OF_RULES, "a quality rule"))

    def _relationships(self, place: Place, column: Column | None, table: str) -> Iterator[Check]:
        listed = place.get("relationships")
        for item in self._problems.items(listed, "relationships") if listed else ():
            yield from self._guarded(
                item, "a relationship", self._relationship(item, column, table)
            )

    def _relationship(self, place: Place, column: Column | None, table: str) -> Iterator[Check]:
        plain = place.plain()
        from_ = column.name if column is not None else plain.get("from")
        here = [(table, from_)] if column is not None else self._names.of(from_, table)
        there = self._names.of(plain.get("to"))
        tables = {name for name, _ in there}
        if not here or len(here) != len(there) or len(tables) != 1 or "" in tables:
            yield self._unchecked(place, f"a relationship from {from_} to {plain.get('to')}")
            return
        own, others = [name for _, name in here], [name for _, name in there]
        single = len(own) == 1
        same = own == others
        yield ForeignKey(
            column=own[0] if single else tuple(own),
            table=tables.pop(),
            references=None if same else others[0] if single else tuple(others),
        )

    def _freshness(self) -> Iterator[tuple[Place, str, Check]]:
        listed = self._document.root.get("slaProperties")
        for item in self._problems.items(listed, "slaProperties") if listed else ():
            yield from self._guarded(item, "an SLA property", self._of_level(item))

    def _of_level(self, place: Place) -> Iterator[tuple[Place, str, Check]]:
        plain = place.plain()
        hours = _HOURS.get(str(plain.get("unit")).strip().lower())
        elements = self._names.of(plain.get("element"))
        value = plain.get("value")
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if plain.get("property") != "freshness":
            self._note(place, f"the SLA property {plain.get('property')}")
        elif not hours or not is_number or not elements or not all(t for t, _ in elements):
            told = f"{value!r} {plain.get('unit')} for {plain.get('element')}"
            unchecked = self._unchecked(place, f"a freshness of {told}")
            for table in sorted({table for table, _ in elements}):
                yield place, table, unchecked
        else:
            for table, column in elements:
                yield place, table, Freshness(column=column, maximum_age_hours=value * hours)

    def _more_columns(self, place: Place) -> bool:
        properties = place.get("customProperties")
        for item in self._problems.items(properties, "customProperties") if properties else ():
            named = item.get("property")
            if named is not None and named.value == "spectraMoreColumns":
                return self._is_said(item, "value")
        return True

    def _guarded(self, place: Place, what: str, read: Iterator[_T]) -> Iterator[_T]:
        """What is read at a place; that it is malformed is a problem of the file's."""
        try:
            yield from read
        except ConfigurationError as error:
            self._problems.add(place, str(error))
        except _MALFORMED as error:
            self._malformed(place, what, error)

    def _malformed(self, place: Place, what: str, error: Exception) -> None:
        self._problems.add(place, f"{what} is not as the standard has it: {error!r}")

    def _all_unchecked(self, said: Iterable[tuple[Place, str]]) -> Iterator[Check]:
        for place, statement in said:
            yield self._unchecked(place, statement)

    def _unchecked(self, place: Place, statement: str, name: str | None = None) -> Check:
        """What a contract says of a table and no check does."""
        self._note(place, statement)
        return Unchecked(statement=statement, name=name)

    def _note(self, place: Place, statement: str) -> None:
        self._notes.append(f"{place}: no check says {statement}")
