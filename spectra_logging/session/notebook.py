"""``NotebookSession``: the steps of a notebook, as method calls in reading order."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any

from spectra_logging.errors import SpectraError, StageFailedError
from spectra_logging.fabric import PipelineRun, RuntimeContext
from spectra_logging.handlers.options import check_seconds
from spectra_logging.lakehouse.spark_found import remember_session
from spectra_logging.paths import resolve_table
from spectra_logging.redaction import describe_error, redact_text
from spectra_logging.session import alerts, endings, recording
from spectra_logging.session.context import context_of, identity_of
from spectra_logging.session.delta import DeltaTables
from spectra_logging.session.log import bind_execution_id, notebook_logger
from spectra_logging.session.parameters import check_parameters, required_variables
from spectra_logging.session.result import SessionResult
from spectra_logging.session.run import SessionRun
from spectra_logging.values import safe_text
from spectra_logging.variables import VariableLibrary

__all__ = ["NotebookSession"]


class NotebookSession:
    """One run of a notebook, in seven steps.

    Parameters, context, initialise, execute, validate, record, finalise::

        session = NotebookSession("zephyrVariables").load_context(bootstrap=True, spark=spark)
        log = session.initialize()
        ...                    # the notebook's own work
        session.validate()     # raises when the stage failed
        session.record()       # never raises
        session.finalise()

    Each ``record()`` and ``log_activity()`` is a log call on the logger
    ``spectra_logging.activity`` and a row of ``Tables/log/<stage>log``. The rows go to the
    :class:`~spectra_logging.handlers.delta.DeltaHandler` that is configured for that logger; where
    there is none, the session attaches one for that table until ``finalise()``.

    The session is a context manager as well. One that ends without ``record()`` (an exception,
    ``sys.exit``, the end of the interpreter, nobody holding the object any more) leaves a row with
    status Failed that says so. A child process forked from the session's leaves none.

    Args:
        variable_library_name: Fabric's Variable Library that holds SOURCE_SYSTEM, SOURCE_NAME,
            STAGE, NOTEBOOK_NAME and the rest; environment variables serve where it does not.
        record_timeout_seconds: The longest that ``record()`` waits for its row to be in the table.

    Attributes:
        variables: The :class:`~spectra_logging.variables.VariableLibrary`.
        delta: Writes and registers whole tables.
        ctx: From ``load_context()`` on, a dictionary of what the run is about: source_system,
            source_name, stage, notebook_name, base_url, base_path, full_url, workspace_id,
            lakehouse_id, lakehouse_name, execution_mode, execution_id and start_time.
        params: From ``load_context()`` on, the arguments it was called with.
        environment: From ``load_context()`` on, the
            :class:`~spectra_logging.fabric.RuntimeContext`.

    Raises:
        ConfigurationError: The name is empty, or the time-out is no number of seconds from 0 up.
    """

    def __init__(self, variable_library_name: str, *, record_timeout_seconds: float = 30.0) -> None:
        self._record_timeout_seconds = check_seconds(
            "record_timeout_seconds", record_timeout_seconds
        )
        self.variables = VariableLibrary(variable_library_name)
        self.delta = DeltaTables()
        self.environment = RuntimeContext()
        self.ctx: dict[str, Any] = {}
        self.params: dict[str, Any] = {}
        self._run: SessionRun | None = None
        self._cleanup = ExitStack()

    def __repr__(self) -> str:
        known = self.ctx.get("execution_id", "no context yet")
        return f"{type(self).__name__}({self.variables.name!r}: {known})"

    # -- the steps ---------------------------------------------------------------------------

    def load_context(  # noqa: PLR0917 - notebooks may pass these by position
        self,
        bootstrap: bool = False,
        backfill: bool = False,
        project: int = 0,
        rebuild: bool = False,
        debug: bool = False,
        mode: str = "run",
        spark: Any | None = None,
        preview: bool = False,
        test: bool = False,
    ) -> NotebookSession:
        """Step 2: find out where this runs and what it is about. The run begins here.

        Args:
            bootstrap: Whether to build the endpoint catalogue anew.
            backfill: Whether to fetch everything instead of what changed.
            project: The source's project to work on; 0 for all.
            rebuild: Whether to build the tables anew.
            debug: Whether the notebook's log shows DEBUG lines.
            mode: The notebook's own mode of running.
            spark: The notebook's Spark session, classic or Connect: asked where this runs, for
                registering tables, and for tables that only Spark can serve. It may be left out.
            preview: Whether to show samples.
            test: Whether to validate the stage's tables.

        Returns:
            The session itself.

        Raises:
            ConfigurationError: An argument has the wrong type, or STAGE can't be part of a
                table's name.
            VariableNotFoundError: Some of SOURCE_SYSTEM, SOURCE_NAME, STAGE and NOTEBOOK_NAME are
                set nowhere; the message names them all.
        """
        params = {
            "bootstrap": bootstrap,
            "backfill": backfill,
            "project": project,
            "rebuild": rebuild,
            "debug": debug,
            "mode": mode,
            "preview": preview,
            "test": test,
        }
        check_parameters(params)
        required = required_variables(self.variables)
        self._end("load_context() was called again")
        self.params = params
        remember_session(spark)
        self.delta = DeltaTables(spark)
        self.environment = RuntimeContext.detect(spark)
        identity = identity_of(required, self.environment)
        self._run = run = SessionRun(
            identity=identity,
            parameters=params,
            log=notebook_logger(identity["notebook_name"], debug=debug, cleanup=self._cleanup),
            table=resolve_table(f"Tables/log/{identity['stage'].lower()}log", spark),
            fabric_activity_id=self.environment.pipeline.activity_id,
        )
        self.ctx = context_of(run, identity, self.variables)
        endings.opened(self, run)
        problem = alerts.connect(
            run.execution_id, f"spectra.{identity['notebook_name']}", self.variables
        )
        if problem is not None:
            recording.warn(f"Discord is not told of this run: {problem}")
        recording.connect(run)
        return self

    def initialize(self) -> Any:
        """Step 3: open the activity log and the notebook's own log.

        Lines logged from here on, by structlog with its context variables merged and by whatever
        handler of this distribution, carry the session's ``execution_id``, until ``finalise()``.
        Those of other threads do where the notebook's logger logs them, or where the thread runs
        in a copy of this one's context.

        Returns:
            The notebook's logger, a structlog logger over the stdlib's.

        Raises:
            SpectraError: ``load_context()`` has not been called, or not since ``finalise()``.
        """
        # What it opened in a run that has ended, nobody would close.
        step = "NotebookSession.initialize()"
        self.require_run(step)
        run = self._running(step)
        bind_execution_id(run.execution_id, self._cleanup)
        run.log = run.log.bind(execution_id=run.execution_id)
        recording.connect(run)
        run.log.info(
            "session started",
            source_system=self.ctx["source_system"],
            stage=self.ctx["stage"],
            execution_mode=self.ctx["execution_mode"],
        )
        return run.log

    def validate(self) -> None:
        """Step 5: raise when the stage failed.

        It failed when ``mark_failed()`` was called, when ``result["status"]`` says so, or when
        ``result["validation"]`` holds findings whose ``valid`` is false.

        Raises:
            StageFailedError: The stage failed; the message says which and why.
            SpectraError: ``load_context()`` has not been called.
        """
        run = self._running("NotebookSession.validate()")
        run.heed_validation()
        if run.failed:
            raise StageFailedError(
                f"stage {self.ctx['stage']} of {self.ctx['source_system']} failed: "
                f"{run.result.get('error') or 'its status is ' + repr(run.result.get('status'))}"
            )

    def record(self, spark: Any | None = None) -> bool:
        """Step 6: log how the run went, and wait until the row is in the table. Never raises.

        Called again, it logs another row; the newest counts. Findings that are not valid are
        recorded as a failure, also where nobody called ``validate()``.

        Args:
            spark: The notebook's Spark session, for a table that only Spark can serve. The row
                takes the logging handler's way whether or not.

        Returns:
            Whether the row is in the table. If not, a warning says where it is, or what stopped it.
        """
        remember_session(spark)
        run = self._run
        if run is None or run.ended:
            return _warn_outside_run("record")
        return recording.log_and_wait(run, run.log_record, self._record_timeout_seconds)

    def finalise(self) -> None:
        """Step 7: write what is left and close what the session opened. Never raises.

        Without a ``record()`` before, it leaves the Failed row that says so.
        """
        self._end("finalise() was called")

    def __enter__(self) -> NotebookSession:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finalise; an exception leaves a Failed row, unless ``record()`` did, and goes on."""
        self._end("the with block ended", exception)

    def require_run(self, step: str) -> None:
        """Refuse a step of a run that has not begun, or has ended: no row would tell of it.

        Args:
            step: What was called, for the error's message.

        Raises:
            SpectraError: No run is under way.
        """
        if self._running(step).ended:
            raise SpectraError(
                f"{step} was called after finalise(): call load_context() first, which begins a "
                "new run"
            )

    # -- what happens along the way ------------------------------------------------------------

    def log_activity(
        self,
        *,
        entity_name: str | None = None,
        target_table: str | None = None,
        key_column: str | None = None,
        project_key: str | None = None,
        row_count: int | None = None,
        field_count: int | None = None,
        additional_metadata: dict[str, Any] | None = None,
    ) -> None:
        """Log one activity as a row of its own. Never raises, and does not wait for the table.

        Its ``start_time`` is where the session's previous activity ended, or the session began.

        Args:
            entity_name: The entity it was about.
            target_table: The table it wrote.
            key_column: That table's key.
            project_key: The source's project.
            row_count: Rows written.
            field_count: Fields a row.
            additional_metadata: Whatever else is worth keeping, for the column ``metadata``. Counts
                that are no whole numbers are kept there too.
        """
        run = self._run
        if run is None or run.ended:
            _warn_outside_run("log_activity")
            return
        try:
            recording.connect(run)
            run.log_activity(
                entity_name=entity_name,
                target_table=target_table,
                key_column=key_column,
                project_key=project_key,
                row_count=row_count,
                field_count=field_count,
                additional_metadata=additional_metadata,
            )
        except Exception as error:  # noqa: BLE001 - activity logging never fails the stage
            recording.warn(f"log_activity() lost a row: {describe_error(error)}")

    def add_capability(self, name: str, **metadata: Any) -> None:
        """Note what the run has established; ``metadata`` lands in the record's ``metadata``."""
        run = self._running("NotebookSession.add_capability()")
        if name not in run.result["capabilities"]:
            run.result["capabilities"].append(name)
        if metadata:
            run.capability_metadata.setdefault(name, {}).update(metadata)

    def mark_failed(self, message: str) -> None:
        """Mark the stage as failed; the first message is the one that the rows show.

        Called while an exception is handled, the rows' ``error_type`` names its class.
        """
        run = self._running("NotebookSession.mark_failed()")
        handled = sys.exc_info()[0]
        run.mark_failed(message, handled.__name__ if handled else None)
        run.log.error(
            "stage failed", error=redact_text(safe_text(message)), execution_id=run.execution_id
        )

    def register_tables(self, tables: Iterable[tuple[str, str]]) -> None:
        """Register tables in the metastore; failures are warnings.

        Args:
            tables: Pairs of a name, ``source.endpoints``, and a path, ``Tables/source/endpoints``.
        """
        for table_name, path in tables:
            self.delta.register(table_name, path)

    @property
    def result(self) -> SessionResult:
        """What the run has come to: status, capabilities, error, errors and validation."""
        return self._running("NotebookSession.result").result

    @property
    def log(self) -> Any:
        """The notebook's logger, as ``initialize()`` returns it."""
        return self._running("NotebookSession.log").log

    @property
    def pipeline(self) -> PipelineRun:
        """How the notebook was started."""
        return self.environment.pipeline

    # -- inside ----------------------------------------------------------------------------------

    def _running(self, step: str) -> SessionRun:
        if self._run is None:
            raise SpectraError(f"{step} needs the context: call load_context() first")
        return self._run

    def _end(self, reason: str, exception: BaseException | None = None) -> None:
        run = self._run
        # A forked child unwinds through its parent's with block too; the run is the parent's.
        if run is None or run.ended or not run.is_this_process:
            return
        run.ended = True
        try:
            # Also where somebody interrupts the waits: later lines are not this session's.
            with self._cleanup:
                if not run.recorded or (_is_failure(exception) and not run.recorded_failure):
                    log_row = partial(run.log_ending, reason, exception)
                    recording.log_and_wait(run, log_row, self._record_timeout_seconds)
                endings.close(run)
                run.log.info("session finished", status=run.result.get("status"))
        except Exception as error:  # noqa: BLE001 - finalising never fails the stage
            recording.warn(f"finalise(): {describe_error(error)}")


def _warn_outside_run(method: str) -> bool:
    recording.warn(
        f"NotebookSession.{method}() was called before load_context() or after finalise(); "
        "nothing was logged"
    )
    return False


def _is_failure(exception: BaseException | None) -> bool:
    if isinstance(exception, SystemExit):
        return exception.code not in (None, 0)
    return exception is not None
