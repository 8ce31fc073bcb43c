"""The state of one run of a notebook, and the rows that are made of it."""

from __future__ import annotations

import logging
import operator
import os
import traceback
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any, cast

from spectra_logging._version import __version__
from spectra_logging.activity import ACTIVITY_LOGGER, FAILED, RECORD, SUCCESS
from spectra_logging.errors import StageFailedError
from spectra_logging.identifiers import new_activity_id, new_execution_id
from spectra_logging.redaction import redact_text, redact_value
from spectra_logging.session.result import SessionResult, new_result
from spectra_logging.values import safe_text

__all__ = ["SessionRun"]

_TRACEBACK_FRAMES = 20
_MOST_OUTPUTS = 50
"""Tables that the record of a run names."""


class SessionRun:
    """One run of a notebook, from ``load_context()`` to ``finalise()``.

    It refers to nothing of the session object, so that it can still say how the run ended when
    that object is gone.

    Args:
        identity: Columns that are the same in all rows of the run: notebook, stage, source,
            workspace and lakehouse.
        parameters: What ``load_context()`` was called with.
        log: Where the notebook's own lines go.
        table: Where the rows go unless users configured otherwise, as path or URI.
        fabric_activity_id: Fabric's id of this run, kept in the rows' metadata.
    """

    def __init__(
        self,
        *,
        identity: Mapping[str, str],
        parameters: Mapping[str, Any],
        log: Any,
        table: str,
        fabric_activity_id: str | None = None,
    ) -> None:
        self.started_at = datetime.now(timezone.utc)
        self.execution_id = new_execution_id(identity["notebook_name"], self.started_at)
        self.parameters = parameters
        self.log = log
        self.table = table
        self.result: SessionResult = new_result()
        self.error_type: str | None = None
        self.capability_metadata: dict[str, dict[str, Any]] = {}
        self._outputs: list[dict[str, Any]] = []
        self.recorded = False
        self.recorded_failure = False
        self.ended = False
        self.told_problem: str | None = None
        self.process_id = os.getpid()
        self._identity = {
            **identity,
            "execution_id": self.execution_id,
            "sdk_version": __version__,
        }
        self._fabric = {"fabric_activity_id": fabric_activity_id} if fabric_activity_id else {}
        self._activity_began_at = self.started_at

    @property
    def failed(self) -> bool:
        """Whether the stage failed; anything but Success in ``result["status"]`` counts."""
        return self.result.get("status") != SUCCESS

    @property
    def is_this_process(self) -> bool:
        """Whether the run began in this process, and not in one that forked it."""
        return self.process_id == os.getpid()

    def mark_failed(self, message: str, error_type: str | None = None) -> None:
        """Take down a failure; the first one is the one that counts."""
        self.result["status"] = FAILED
        if self.result.get("error") is None:
            self.result["error"] = redact_text(safe_text(message))
            self.error_type = error_type or StageFailedError.__name__

    def heed_validation(self) -> None:
        """Take down as a failure what a validation found, where that is not valid."""
        validation: Any = self.result.get("validation")
        findings: Any = None
        if isinstance(validation, Mapping):
            valid = validation.get("valid", True)
            findings = validation.get("errors")
        else:
            # A report, or the bare yes or no.
            valid = getattr(validation, "valid", not _is_false(validation))
        if not valid:
            several = isinstance(findings, Iterable) and not isinstance(findings, (str, Mapping))
            told = findings if several else [findings or "not valid"]
            self.mark_failed(f"validation: {'; '.join(map(safe_text, told)) or 'not valid'}")

    def log_record(self) -> None:
        """Log the row that says how the run went so far."""
        self.heed_validation()
        self._log_record({})

    def log_ending(self, reason: str, exception: BaseException | None = None) -> None:
        """Log the Failed row of a run that ends in another way than by ``record()``.

        Args:
            reason: How it ended, in words that can follow a colon.
            exception: What ended it.
        """
        metadata: dict[str, Any] = {
            "ended": reason if self.recorded else f"the session ended without record(): {reason}"
        }
        if exception is not None:
            self.mark_failed(_message_of(exception), type(exception).__name__)
            metadata["traceback"] = _traceback_text(exception)
        self.mark_failed(metadata["ended"])
        self._log_record(metadata)

    def log_activity(
        self,
        *,
        row_count: Any | None,
        field_count: Any | None,
        additional_metadata: Any | None,
        **columns: Any | None,
    ) -> None:
        """Log the row of one activity; it began where the one before it ended."""
        metadata = _as_mapping(additional_metadata)
        counts = {}
        for name, value in (("row_count", row_count), ("field_count", field_count)):
            counts[name] = _as_whole_number(value)
            if counts[name] is None and value is not None:
                metadata[name] = value
        began_at, ended_at = self._activity_began_at, datetime.now(timezone.utc)
        self._activity_began_at = ended_at
        texts = {
            name: None if value is None else safe_text(value) for name, value in columns.items()
        }
        if texts.get("target_table") and len(self._outputs) < _MOST_OUTPUTS:
            told = {"target_table": texts["target_table"], "row_count": counts["row_count"]}
            self._outputs.append(told)
        self._log(
            logging.INFO,
            "activity",
            began_at=began_at,
            ended_at=ended_at,
            metadata=metadata,
            columns={**texts, **counts},
        )

    def _log_record(self, metadata: dict[str, Any]) -> None:
        if self.capability_metadata:
            metadata["capability_metadata"] = self.capability_metadata
        if self._outputs:
            metadata["outputs"] = self._outputs
        if self.result.get("validation") is not None:
            metadata["validation"] = self.result["validation"]
        self._log(
            self._level(),
            RECORD,
            began_at=self.started_at,
            ended_at=datetime.now(timezone.utc),
            metadata=metadata,
        )
        self.recorded = True
        self.recorded_failure = self.failed

    def _level(self) -> int:
        if not self.failed:
            return logging.INFO
        errors: Any = self.result.get("errors")
        critical = isinstance(errors, Mapping) and errors.get("critical_errors")
        return logging.CRITICAL if critical else logging.ERROR

    def _log(
        self,
        level: int,
        event: str,
        *,
        began_at: datetime,
        ended_at: datetime,
        metadata: Mapping[str, Any],
        columns: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        # Handlers other than ours may not scrub what they are given.
        scrubbed = redact_value({**columns, "metadata": {**metadata, **self._fabric}})
        row = {
            **self._identity,
            "activity_id": new_activity_id(),
            "status": FAILED if self.failed else SUCCESS,
            "error_type": self.error_type if self.failed else None,
            "error_message": self.result.get("error") if self.failed else None,
            "capabilities": ",".join(map(str, self.result.get("capabilities") or ())) or None,
            "duration_seconds": max((ended_at - began_at).total_seconds(), 0.0),
            "error_summary": self._error_summary(),
            "parameters": self.parameters,
            "start_time": began_at,
            "end_time": ended_at,
            **cast("dict[str, Any]", scrubbed),
        }
        told = {name: value for name, value in row.items() if value not in (None, {})}
        logging.getLogger(ACTIVITY_LOGGER).log(level, event, extra=told)

    def _error_summary(self) -> Any | None:
        """The errors that the stage collected; ``None`` when there are none."""
        errors: Any = self.result.get("errors")
        none = isinstance(errors, Mapping) and not errors.get("total_errors", True)
        return None if none else errors


def _is_false(value: Any) -> bool:
    """Whether it is ``False``, or NumPy's, which a comparison of its own or of pandas's gives."""
    return type(value).__name__ in {"bool", "bool_"} and not value


def _as_whole_number(value: Any | None) -> int | None:
    """The value as an integer, also one of NumPy's; ``None`` for what is none."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _as_mapping(metadata: Any | None) -> dict[str, Any]:
    if metadata is None:
        return {}
    if isinstance(metadata, Mapping):
        return {safe_text(key): value for key, value in metadata.items()}
    return {"additional_metadata": metadata}


def _message_of(exception: BaseException) -> str:
    """Its text; its repr where that says nothing, or no more than an exit code."""
    text = "" if isinstance(exception, SystemExit) else safe_text(exception)
    return text if text.strip() else repr(exception)


def _traceback_text(exception: BaseException) -> str:
    lines = traceback.format_exception(
        type(exception), exception, exception.__traceback__, limit=-_TRACEBACK_FRAMES
    )
    return redact_text("".join(lines))
