"""Suites → Open Data Contracts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from spectra_logging.errors import ConfigurationError
from spectra_logging.tables import Column
from spectra_stage.validation.checks import (
    AllowedValues,
    Check,
    CountingCheck,
    ForeignKey,
    Freshness,
    NotNull,
    Pattern,
    Range,
    RowCount,
    TableExists,
    TableSchema,
    Unique,
)
from spectra_stage.validation.files.odcs_quality import ENGINE
from spectra_stage.validation.files.odcs_types import contract_type
from spectra_stage.validation.files.options import options_of
from spectra_stage.validation.suite import Suite, TableSuite

__all__ = ["Export", "export_contract"]

API_VERSION = "v3.1.0"


@dataclass(frozen=True, kw_only=True)
class Export:
    """A contract that was made of a suite.

    Args:
        text: The contract, in YAML.
        notes: The checks that only this distribution reads in it, by table.
    """

    text: str
    notes: tuple[str, ...]


def export_contract(
    suite: Suite, *, identifier: str | None = None, version: str = "1.0.0"
) -> Export:
    """A suite as an Open Data Contract, in YAML.

    What the standard has words for is written in them. Other checks are custom rules of the engine
    ``spectra``, which :func:`~spectra_stage.validation.files.load_suite` reads and other tools pass
    over; the notes name them.

    Args:
        suite: The suite.
        identifier: The contract's id; by default the suite's name.
        version: The contract's own version.

    Raises:
        ConfigurationError: PyYAML is not installed.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "a contract is YAML, which needs PyYAML: pip install 'spectra-logging[cli]'"
        ) from error
    writing = _Writing()
    contract: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": identifier or suite.name,
        "name": suite.name,
        "version": version,
        "status": "active",
        "schema": [writing.object_of(table) for table in suite.tables],
    }
    if writing.freshness:
        contract["slaProperties"] = writing.freshness
    text = yaml.safe_dump(contract, sort_keys=False, allow_unicode=True, width=100)
    return Export(text=text, notes=tuple(writing.notes))


class _Writing:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.freshness: list[dict[str, Any]] = []
        self._properties: dict[str, dict[str, Any]] = {}

    def object_of(self, table: TableSuite) -> dict[str, Any]:
        """One table's schema object."""
        written: dict[str, Any] = {"name": table.table, "logicalType": "object"}
        if table.path is not None:
            written["physicalName"] = table.path
        written["physicalType"] = "table"
        # What a contract says of properties is an error, and has no name.
        schemas = (check for check in table.checks if isinstance(check, TableSchema))
        schema = next(filter(_is_plain, schemas), None)
        declared = schema.declared if schema is not None else ()
        self._properties = {column.name: _property(column) for column in declared}
        if schema is not None and not schema.more_columns:
            written["customProperties"] = [{"property": "spectraMoreColumns", "value": False}]
        rules: list[dict[str, Any]] = []
        relationships: list[dict[str, Any]] = []
        nullable = {column.name for column in declared if column.nullable}
        for check in table.checks:
            # That the table exists, and has the properties, is what a contract says anyway.
            exists = isinstance(check, TableExists) and _is_plain(check)
            if check is schema or exists or self._as_property(check, nullable):
                continue
            if not self._elsewhere(table.table, check, relationships):
                self._as_rule(table.table, check, rules)
        parts = {
            "properties": list(self._properties.values()),
            "relationships": relationships,
            "quality": rules,
        }
        return {**written, **{name: part for name, part in parts.items() if part}}

    def _elsewhere(self, table: str, check: Check, relationships: list[dict[str, Any]]) -> bool:
        """Whether a check is a relationship, or one of the contract's service levels."""
        if not _is_plain(check):
            return False
        if isinstance(check, ForeignKey):
            relationships.append(_relationship(table, check))
        elif isinstance(check, Freshness):
            level = {"property": "freshness", "value": check.maximum_age_hours, "unit": "h"}
            self.freshness.append({**level, "element": f"{table}.{check.column}"})
        else:
            return False
        return True

    def _as_rule(self, table: str, check: Check, rules: list[dict[str, Any]]) -> None:
        """A check as a quality rule: of its property, else among those of the object."""
        column = check.columns[0] if len(check.columns) == 1 else ""
        metric = _metric(check, at_column=column in self._properties)
        if metric is None:
            self.notes.append(f"{table}: {check.words}")
            implementation = {check.kind: options_of(check)}
            rules.append({"type": "custom", "engine": ENGINE, "implementation": implementation})
            return
        rule = {
            **({} if check.name is None else {"name": check.name}),
            **metric,
            **({} if check.severity == "error" else {"severity": check.severity}),
        }
        if column in self._properties:
            self._properties[column].setdefault("quality", []).append(rule)
        else:
            rules.append(rule)

    def _as_property(self, check: Check, nullable: set[str]) -> bool:
        """Whether a check is what a property says in words of its own."""
        if not _is_plain(check) or len(check.columns) != 1:
            return False
        written = self._properties.get(check.columns[0])
        if written is None:
            return False
        if isinstance(check, NotNull) and check.column not in nullable:
            written["required"] = True
        elif isinstance(check, Unique):
            written["unique"] = True
        elif isinstance(check, Range) and _has_words(check, written):
            bounds = {"minimum": check.minimum, "maximum": check.maximum}
            return _add(written, {name: at for name, at in bounds.items() if at is not None})
        elif isinstance(check, Pattern) and written.get("logicalType") == "string":
            return _add(written, {"pattern": f"^(?:{check.pattern})$"})
        else:
            return False
        return True


def _add(written: dict[str, Any], options: dict[str, Any]) -> bool:
    """Whether a property's options could take these: each is there once."""
    before = written.setdefault("logicalTypeOptions", {})
    if before.keys() & options.keys():
        return False
    before.update(options)
    return True


def _property(column: Column) -> dict[str, Any]:
    written: dict[str, Any] = {"name": column.name, **contract_type(column.type)}
    if column.comment:
        written["description"] = column.comment
    if not column.nullable:
        written["required"] = True
    return written


def _metric(check: Check, *, at_column: bool) -> dict[str, Any] | None:
    """A check in the standard's metrics; ``None`` where it has none for it."""
    if isinstance(check, RowCount):
        return _row_count(check)
    if isinstance(check, Unique) and (at_column or len(check.columns) > 1):
        several = {"arguments": {"properties": list(check.columns)}}
        return {
            "metric": "duplicateValues",
            **({} if len(check.columns) == 1 else several),
            **_threshold(check),
        }
    if not at_column:
        return None
    if isinstance(check, NotNull):
        return {"metric": "nullValues", **_threshold(check)}
    arguments: dict[str, Any] | None = None
    if isinstance(check, AllowedValues):
        arguments = {"validValues": options_of(check)["values"]}
    elif isinstance(check, Pattern):
        arguments = {"pattern": f"^(?:{check.pattern})$"}
    if arguments is None or not isinstance(check, CountingCheck):
        return None
    return {"metric": "invalidValues", "arguments": arguments, **_threshold(check)}


def _row_count(check: RowCount) -> dict[str, Any]:
    bounds: dict[str, Any] = {"metric": "rowCount"}
    if check.exactly is not None:
        bounds["mustBe"] = check.exactly
    elif check.minimum is not None and check.maximum is not None:
        bounds["mustBeBetween"] = [check.minimum, check.maximum]
    elif check.minimum is not None:
        bounds["mustBeGreaterOrEqualTo"] = check.minimum
    else:
        bounds["mustBeLessOrEqualTo"] = check.maximum
    return bounds


def _threshold(check: CountingCheck) -> dict[str, Any]:
    if check.tolerance == 0:
        return {"mustBe": 0}
    if isinstance(check.tolerance, int):
        return {"mustBeLessOrEqualTo": check.tolerance, "unit": "rows"}
    share = float(check.tolerance.rstrip("% "))
    most = int(share) if share == int(share) else share
    return {"mustBeLessOrEqualTo": most, "unit": "percent"}


def _relationship(table: str, check: ForeignKey) -> dict[str, Any]:
    references = check.references if check.references is not None else check.column
    there = (references,) if isinstance(references, str) else tuple(references)
    from_ = [f"{table}.{name}" for name in check.columns]
    to = [f"{check.table}.{name}" for name in there]
    if len(from_) == 1:
        return {"type": "foreignKey", "from": from_[0], "to": to[0]}
    return {"type": "foreignKey", "from": from_, "to": to}


def _is_plain(check: Check) -> bool:
    """Whether nothing common to all checks is set: no name, no severity, no tolerance."""
    return all(
        getattr(check, field.name) == field.default
        for field in fields(check)
        if field.name in {"name", "severity", "tolerance"}
    )


def _has_words(check: Range, written: dict[str, Any]) -> bool:
    """Whether the standard takes such bounds for a property of that type."""
    bounds = [bound for bound in (check.minimum, check.maximum) if bound is not None]
    if written.get("logicalType") in {"integer", "number"}:
        return all(isinstance(bound, (int, float)) for bound in bounds)
    texts = written.get("logicalType") in {"date", "timestamp"}
    return texts and all(isinstance(bound, str) for bound in bounds)
