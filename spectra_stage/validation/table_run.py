"""The checks of one table: planned, asked, judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from spectra_logging.errors import (
    LakehouseError,
    TableForbiddenError,
    TableNotFoundError,
    TableUnreadableError,
)
from spectra_logging.redaction import redact_text
from spectra_stage.validation.batch import Batch
from spectra_stage.validation.checks import (
    Check,
    CountingCheck,
    Masked,
    TableExists,
    TableSchema,
)
from spectra_stage.validation.checks.base import Answers, Finding, Plan
from spectra_stage.validation.opened import OpenTable, OpenTables
from spectra_stage.validation.results import CheckResult, Outcome, TableResult
from spectra_stage.validation.samples import sample
from spectra_stage.validation.suite import TableSuite, distinct_names
from spectra_stage.validation.view import ImpossibleError, TableView

__all__ = ["TableRun"]

SAMPLES = 5


class TableRun:
    """The checks of one table.

    Args:
        suite: The table's checks.
        tables: The run's tables.
        told: The tables that the run tells of, whose own checks say what is wrong with them.
    """

    def __init__(
        self, suite: TableSuite, tables: OpenTables, told: Mapping[str, TableSuite]
    ) -> None:
        self._suite = suite
        self._tables = tables
        self._told = told
        self._batch = Batch(tables, suite.table)
        self._hidden = {
            name.lower()
            for check in suite.checks
            if isinstance(check, Masked)
            for name in check.columns
        }
        self._names = distinct_names(suite.checks)

    def result(self) -> TableResult:
        """Make the checks."""
        began = time.perf_counter()
        version: int | None = None
        try:
            opened = self._tables.open(self._suite.table)
        except LakehouseError as error:
            checks = self._without_table(error)
        else:
            version = opened.version
            checks = self._with_table(opened)
        return TableResult(
            table=self._suite.table,
            place=redact_text(self._tables.place_of(self._suite.table)),
            version=version,
            rows=self._batch.rows,
            statements=self._batch.statements,
            duration_seconds=time.perf_counter() - began,
            checks=tuple(checks),
        )

    def _without_table(self, error: LakehouseError) -> list[CheckResult]:
        state, outcome = _state(error)
        results = []
        for number, check in enumerate(self._suite.checks):
            if isinstance(check, TableExists):
                found = _severe(check) if outcome is Outcome.FAILED else outcome
                words, figures = redact_text(str(error)), {"state": state}
            else:
                found, words, figures = Outcome.SKIPPED, f"the table is {state}", {}
            results.append(self._result(number, check, found, words, figures=figures))
        return results

    def _with_table(self, opened: OpenTable) -> list[CheckResult]:
        view = opened.view
        plans, results = self._planned(view)
        # Other tables that checks name may have the statement run by another engine.
        dialect = self._tables.dialect(self._suite.table)
        if dialect is not view.dialect:
            view = replace(view, dialect=dialect)
            plans, results = self._planned(view)
        try:
            scalars = self._batch.ask({number: plan.scalars for number, plan in plans.items()})
        except (TableForbiddenError, TableUnreadableError) as error:
            # Its log could be read, and nothing more.
            return self._without_table(error)
        except LakehouseError as error:
            scalars = dict.fromkeys(plans, error)
        for number, plan in plans.items():
            check = self._suite.checks[number]
            judged = self._guarded(
                number, check, partial(self._judge, check, view, plan, scalars[number])
            )
            if isinstance(judged, Finding):
                judged = self._guarded(
                    number, check, partial(self._found, number, check, view, judged)
                )
            results[number] = judged
        return [results[number] for number in sorted(results)]

    def _planned(self, view: TableView) -> tuple[dict[int, Plan], dict[int, CheckResult]]:
        """What each check asks, by its number; results of those that can't be asked."""
        plans: dict[int, Plan] = {}
        results: dict[int, CheckResult] = {}
        for number, check in enumerate(self._suite.checks):
            planned = self._guarded(number, check, partial(check.plan, view))
            if isinstance(planned, Plan):
                plans[number] = planned
            else:
                results[number] = planned
        return plans, results

    def _judge(
        self,
        check: Check,
        view: TableView,
        plan: Plan,
        scalars: dict[str, Any] | LakehouseError,
    ) -> Finding:
        if isinstance(scalars, LakehouseError):
            # What needs no engine is told all the same.
            if plan.scalars or self._batch.rows is None:
                raise scalars
            scalars = {}
        rows = self._batch.rows
        assert rows is not None
        return check.judge(view, Answers(rows=rows, scalars=scalars))

    def _guarded(
        self, number: int, check: Check, step: Callable[[], Plan | Finding | CheckResult]
    ) -> Any:
        """What a step of a check gives, or the result that it could not be made."""
        try:
            return step()
        except (ImpossibleError, LakehouseError) as error:
            outcome = Outcome.SKIPPED if self._told_elsewhere(check, error) else Outcome.ERROR
            return self._result(number, check, outcome, redact_text(str(error)))
        except Exception as error:  # noqa: BLE001 - a faulty check takes no other down
            words = f"the check itself failed: {type(error).__name__}: {redact_text(str(error))}"
            return self._result(number, check, Outcome.ERROR, words)

    def _told_elsewhere(self, check: Check, error: Exception) -> bool:
        """Whether another check fails for the same cause."""
        if isinstance(error, ImpossibleError) and error.table is not None:
            if error.column is None:
                return error.table in self._told
            return error.column.lower() in self._differing(error.table)
        return not check.named.isdisjoint(self._differing(self._suite.table))

    def _differing(self, table: str) -> set[str]:
        """The columns of which the table's own schema check tells, in lower case."""
        try:
            columns = self._tables.open(table).view.columns
        except LakehouseError:
            return set()
        checks = self._told[table].checks if table in self._told else ()
        return {
            name
            for check in checks
            if isinstance(check, TableSchema)
            for name in check.differences(columns)
        }

    def _found(self, number: int, check: Check, view: TableView, finding: Finding) -> CheckResult:
        outcome = _outcome(check, finding)
        samples: tuple[str, ...] = ()
        if outcome in {Outcome.FAILED, Outcome.WARNING} and isinstance(check, CountingCheck):
            samples = self._samples(check, view)
        return self._result(
            number,
            check,
            outcome,
            redact_text(finding.words),
            columns=tuple(view.column(name).name for name in check.columns_in(view)),
            rows=self._batch.rows,
            violations=finding.violations,
            figures=finding.figures,
            samples=samples,
        )

    def _samples(self, check: CountingCheck, view: TableView) -> tuple[str, ...]:
        """Some values that break a check; none where they can't be had."""
        try:
            statement = check.samples(view, SAMPLES)
            if statement is None:
                return ()
            rows = self._batch.query(statement)
        except (LakehouseError, ImpossibleError):
            return ()
        names = check.columns_in(view)
        return tuple(dict.fromkeys(sample(names, row, self._hidden) for row in rows))

    def _result(
        self,
        number: int,
        check: Check,
        outcome: Outcome,
        words: str,
        *,
        columns: tuple[str, ...] | None = None,
        figures: Mapping[str, Any] | None = None,
        **found: Any,
    ) -> CheckResult:
        return CheckResult(
            kind=check.kind,
            name=self._names[number],
            table=self._suite.table,
            columns=check.columns if columns is None else columns,
            severity=check.severity,
            outcome=outcome,
            finding=words,
            figures=dict(figures or {}),
            **found,
        )


def _outcome(check: Check, finding: Finding) -> Outcome:
    if finding.holds is None:
        return Outcome.SKIPPED
    return Outcome.PASSED if finding.holds else _severe(check)


def _severe(check: Check) -> Outcome:
    return Outcome.WARNING if check.severity == "warning" else Outcome.FAILED


def _state(error: LakehouseError) -> tuple[str, Outcome]:
    """What keeps a table from being looked at: a fact about it, or about the look."""
    if isinstance(error, TableNotFoundError):
        return "missing", Outcome.FAILED
    if isinstance(error, TableUnreadableError):
        return "unreadable", Outcome.FAILED
    if isinstance(error, TableForbiddenError):
        return "forbidden", Outcome.ERROR
    return "out of reach", Outcome.ERROR
