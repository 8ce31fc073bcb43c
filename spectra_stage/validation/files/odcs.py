"""Open Data Contracts → suites.

The standard is the Open Data Contract Standard, version 3: what contracts of 3.0 to 3.2 say of
objects, properties, quality, relationships and freshness is read. What no check says stands in the
notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from spectra_logging.errors import ConfigurationError
from spectra_logging.tables import Column
from spectra_stage.errors import SuiteError
from spectra_stage.validation.checks import (
    AllowedValues,
    Check,
    Condition,
    ForeignKey,
    Freshness,
    NotNull,
    Pattern,
    Range,
    TableSchema,
    Unique,
)
from spectra_stage.validation.files.document import Document, Place, Problems
from spectra_stage.validation.files.odcs_names import PhysicalNames
from spectra_stage.validation.files.odcs_nested import IN_THE_TYPE, said_of_nested
from spectra_stage.validation.files.odcs_quality import (
    NotExpressedError,
    check_of_rule,
    literal_of,
    whole_pattern,
)
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
# What comes of a list where a mapping is expected, a number where a text is, and the like.
_MALFORMED = (AttributeError, LookupError, TypeError, ValueError)
# A field may be called so too, or company.
_LEFT_OPEN = re.compile(r"(?:^|[<,:])\s*any\s*(?:$|[>,])")
_LENGTHS = {
    "minLength": "length({}) >= {}",
    "maxLength": "length({}) <= {}",
    "exclusiveMinimum": "{} > {}",
    "exclusiveMaximum": "{} < {}",
    "multipleOf": "{} % {} = 0",
}


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
        version = root.get("apiVersion")
        if version is None or not str(version.value).startswith("v3."):
            told = "missing" if version is None else repr(version.value)
            self._problems.add(version or root, f"apiVersion is {told}; it may be v3.0.0 or later")
        tables: dict[str, tuple[list[Check], str | None]] = {}
        schema = root.get("schema")
        objects: list[tuple[Place, str, str | None]] = []
        for place in self._problems.items(schema, "schema") if schema else ():
            if self._problems.mapping(place, "a schema object"):
                table, path = self._name(place)
                objects.append((place, table, path))
                self._names.add(table, place)
        for place, table, path in objects:
            if table in tables:
                self._problems.add(place, f"table {table} is there twice")
            checks = self._guarded(place, "a schema object", self._checks(place, table))
            tables[table] = list(checks), path
        for place, table, check in self._freshness():
            if table in tables:
                tables[table][0].append(check)
            else:
                self._note(place, f"no check says a freshness of {table}, which has no object")
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

    def _column(self, place: Place) -> Column | None:
        if not self._problems.mapping(place, "a property"):
            return None
        name = place.get("physicalName") or place.get("name")
        if name is None:
            self._problems.add(place, "a property lacks name")
            return None
        plain = place.plain()
        try:
            column_type = delta_type(plain)
        except _MALFORMED as error:
            self._malformed(place, "a property", error)
            return None
        if _LEFT_OPEN.search(column_type):
            self._note(place, f"the type of {name.value} is left open: physicalType tells it")
        never_null = [self._is_said(place, said) for said in ("required", "primaryKey")]
        return Column(name=str(name.value), type=column_type, nullable=not any(never_null))

    def _is_said(self, place: Place, name: str) -> bool:
        """What a property says by true or false; anything else is a problem."""
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
                self._note(place, f"no check says that {column.name} is always null")
        for part, said in said_of_nested(place, column.name):
            self._note(part, f"no check says {said}")
        compared = replace(column, type=compared_type(column.type, plain))
        yield from self._options(place, compared, dict(plain.get("logicalTypeOptions") or {}))
        yield from self._rules(place, compared, table)
        yield from self._relationships(place, column, table)

    def _options(self, place: Place, column: Column, options: dict[str, Any]) -> Iterator[Check]:
        name = column.name
        for bound in ("minimum", "maximum"):
            exclusive = f"exclusive{bound.capitalize()}"
            # In version 3.0 it tells of the bound beside it, whether that is valid itself.
            if isinstance(options.get(exclusive), bool):
                is_exclusive = options.pop(exclusive)
                if is_exclusive and bound in options:
                    options[exclusive] = options.pop(bound)
        bounds = {key: options.pop(key) for key in ("minimum", "maximum") if key in options}
        if bounds:
            yield Range(column=name, **bounds)
        if pattern := options.pop("pattern", None):
            try:
                yield Pattern(column=name, pattern=whole_pattern(pattern))
            except ConfigurationError as error:
                self._note(place, str(error))
        quoted = '"' + name.replace('"', '""') + '"'
        for option, template in _LENGTHS.items():
            if option in options:
                value = literal_of(options.pop(option), column)
                condition = template.format(quoted, value)
                yield Condition(condition=condition + _no_nan(option, column, quoted))
        for option in options.keys() - IN_THE_TYPE:
            self._note(place, f"no check says {option} of {name}")

    def _rules(self, place: Place, column: Column | None, table: str) -> Iterator[Check]:
        rules = place.get("quality")
        for rule in self._problems.items(rules, "quality") if rules else ():
            yield from self._guarded(rule, "a quality rule", self._of_rule(rule, column, table))

    def _of_rule(self, rule: Place, column: Column | None, table: str) -> Iterator[Check]:
        try:
            check = check_of_rule(rule, column, self._names.columns(table), self._problems)
        except NotExpressedError as error:
            self._note(rule, f"no check says {error}")
        else:
            if check is not None:
                yield check

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
            self._note(place, f"no check says a relationship from {from_} to {plain.get('to')}")
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
            self._note(place, f"no check says the SLA property {plain.get('property')}")
        elif not hours or not is_number or not elements or not all(t for t, _ in elements):
            told = f"{value!r} {plain.get('unit')} for {plain.get('element')}"
            self._note(place, f"no check says a freshness of {told}")
        else:
            for table, column in elements:
                yield place, table, Freshness(column=column, maximum_age_hours=value * hours)

    def _more_columns(self, place: Place) -> bool:
        properties = place.get("customProperties")
        for item in self._problems.items(properties, "customProperties") if properties else ():
            named, value = item.get("property"), item.get("value")
            if named is not None and named.value == "spectraMoreColumns":
                return bool(value and value.value)
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

    def _note(self, place: Place, words: str) -> None:
        self._notes.append(f"{place}: {words}")


def _no_nan(option: str, column: Column, quoted: str) -> str:
    if not option.startswith("exclusive") or column.type not in {"float", "double"}:
        return ""
    # Engines hold it for greater than any number, or by its sign for less.
    return f" AND NOT isnan({quoted})"
