"""Suites from files."""

from __future__ import annotations

import os
from pathlib import Path

from spectra_logging.errors import ConfigurationError
from spectra_logging.tables import Column
from spectra_stage.errors import SuiteError
from spectra_stage.validation.checks import Check, Unique
from spectra_stage.validation.files.document import Document, Place, Problems, read_document
from spectra_stage.validation.files.odcs import Contract, is_contract, suite_of_contract
from spectra_stage.validation.files.options import check_of, column_of
from spectra_stage.validation.specs import checks_of_columns
from spectra_stage.validation.suite import Suite, TableSuite

__all__ = ["load_contract", "load_suite"]

_OF_A_SUITE = ("suite", "tables")
_OF_A_TABLE = ("path", "columns", "more_columns", "key", "checks")


def load_suite(path: str | os.PathLike[str]) -> Suite:
    """A suite from a YAML or JSON file: one of a suite, or an Open Data Contract.

    Args:
        path: The file.

    Raises:
        SuiteError: It can't be read as a suite; the message has every problem, with its line and
            column, and what is allowed there.
        ConfigurationError: There is no such file, or PyYAML is not installed.
    """
    document = read_document(Path(path).expanduser())
    if is_contract(document):
        return suite_of_contract(document).suite
    return _suite(document)


def load_contract(path: str | os.PathLike[str]) -> Contract:
    """An Open Data Contract as a suite, with notes of what no check says.

    Args:
        path: The file.

    Raises:
        SuiteError: It can't be read as a contract of version 3.
        ConfigurationError: There is no such file, or PyYAML is not installed.
    """
    return suite_of_contract(read_document(Path(path).expanduser()))


def _suite(document: Document) -> Suite:
    problems = Problems()
    root = document.root
    name, tables = Path(document.source).stem, []
    if problems.mapping(root, "a suite", _OF_A_SUITE):
        if (told := root.get("suite")) is not None:
            name = problems.text(told, "suite")
        listed = root.get("tables")
        if listed is None:
            problems.add(root, "a suite lacks tables, its tables by dotted name")
        elif problems.mapping(listed, "tables"):
            found = [_table(table, place, problems) for table, place in listed.value.items()]
            tables = [table for table in found if table is not None]
            if not found:
                problems.add(listed, "tables are none; one at least is needed, by its dotted name")
    if problems.found:
        raise SuiteError(document.source, problems.found)
    return Suite(name=name, tables=tables)


def _table(table: str, place: Place, problems: Problems) -> TableSuite | None:
    checks: list[Check] = []
    path = None
    if place.value is not None and problems.mapping(place, f"table {table}", _OF_A_TABLE):
        checks += _declared(table, place, problems)
        if (told := place.get("path")) is not None:
            path = problems.text(told, f"table {table}: path")
        if (listed := place.get("checks")) is not None:
            for item in problems.items(listed, f"table {table}: checks"):
                checks += _checks(table, item, problems)
    try:
        return TableSuite(table=table, checks=checks, path=path)
    except ConfigurationError as error:
        problems.add(place, str(error))
        return None


def _declared(table: str, place: Place, problems: Problems) -> list[Check]:
    """The checks that columns and key stand for."""
    found: list[Check] = []
    more = place.get("more_columns")
    if more is not None and not isinstance(more.value, bool):
        problems.add(more, f"table {table}: more_columns is {more.plain()!r}, not true or false")
    if (declared := place.get("columns")) is not None and problems.mapping(declared, "columns"):
        columns = [_column(name, item, problems) for name, item in declared.value.items()]
        known = [column for column in columns if column is not None]
        found += checks_of_columns(known, more_columns=bool(more and more.value))
    if (key := place.get("key")) is not None:
        found += _key(key, problems)
    return found


def _column(name: str, place: Place, problems: Problems) -> Column | None:
    """A column of which checks can be made; ``None`` where there is a problem."""
    column = column_of(name, place, problems)
    try:
        checks_of_columns([] if column is None else [column])
    except ConfigurationError as error:
        problems.add(place, f"column {name}: {error}")
        return None
    return column


def _key(place: Place, problems: Problems) -> list[Check]:
    before = len(problems.found)
    names = [place] if isinstance(place.value, str) else list(problems.items(place, "key"))
    texts = [problems.text(name, "key") for name in names]
    if len(problems.found) > before:
        return []
    try:
        return [Unique(column=texts[0] if len(texts) == 1 else texts)]
    except ConfigurationError as error:
        problems.add(place, f"key: {error}")
        return []


def _checks(table: str, item: Place, problems: Problems) -> list[Check]:
    """A list's item: one check, or several, by kind."""
    if isinstance(item.value, str):
        item = Place({item.value: Place({}, item.line, item.column)}, item.line, item.column)
    if not problems.mapping(item, f"table {table}: a check"):
        return []
    found = [check_of(kind, options, problems) for kind, options in item.value.items()]
    return [check for check in found if check is not None]
