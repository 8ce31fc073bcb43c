"""One run of the Source stage, from its settings to its record."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from spectra_logging.errors import ConfigurationError
from spectra_logging.paths import resolve_table
from spectra_logging.session import NotebookSession
from spectra_logging.variables import part_of_a_name
from spectra_stage.catalog import EndpointCatalog, load_catalog
from spectra_stage.catalog.load import CatalogSource
from spectra_stage.errors import SourceSystemError
from spectra_stage.source.errors import collect
from spectra_stage.source.retry import RetryPolicy
from spectra_stage.source.settings import SourceSettings
from spectra_stage.source.steps import SourceStage
from spectra_stage.tables import SOURCE_ENDPOINTS, table_path
from spectra_stage.validation.notebook import SourceStageValidation

__all__ = ["execute_source_stage", "find_catalog"]


def execute_source_stage(
    *,
    session: NotebookSession,
    spark: Any | None = None,
    endpoints_catalog_global_name: str | None = None,
    catalog: CatalogSource | None = None,
    retry: RetryPolicy | None = None,
    run_validation: bool | None = None,
    on_step: Callable[[str], None] | None = None,
    **settings: Any,
) -> None:
    """Run the Source stage.

    In order: ``source.config`` is written; the Prepare stage's tables are made; the source system
    is asked whether it knows the credentials; something below one project is read;
    ``source.credentials``, ``source.endpoints`` and ``source.portfolio`` are written; the tables
    are registered where there is a metastore; and, where that is asked for, the tables are
    validated, whose findings ``session.validate()`` raises. Each step that succeeds is a capability
    in ``session.result``, but for ``source.credentials``, ``source.portfolio`` and the validation.

    With ``bootstrap=False``, a catalogue that is in ``source.endpoints`` already stays.

    Args:
        session: The notebook's session, its context loaded.
        spark: For the validation; the session has its own from ``load_context()``.
        endpoints_catalog_global_name: The caller's global variable that holds the endpoint
            catalogue; by default ``<SOURCE_SYSTEM>_ENDPOINTS_CATALOG``.
        catalog: The catalogue itself, or what describes it: see
            :func:`~spectra_stage.catalog.load_catalog`.
        retry: Which requests are tried again.
        run_validation: Whether to validate the tables; by default the parameter ``test``.
        on_step: Called with the name of each step as it begins.
        settings: See :meth:`~spectra_stage.source.settings.SourceSettings.resolve`.

    Raises:
        SourceSystemError: The credentials are not known there, or that could not be found out. The
            session is failed and recorded by then.
        CatalogError: The catalogue can't be read.
        ConfigurationError: A setting can't work, or there is no catalogue.
        VariableNotFoundError: BASE_URL or API_TOKEN is set nowhere.
        LakehouseError: A table could not be written.
        SpectraError: The session has no run: ``load_context()`` has not been called, or not since
            ``finalise()``. Nothing is written.
    """
    session.require_run("execute_source_stage()")
    tell = on_step or _tell_nobody
    try:
        stage = SourceStage(session, SourceSettings.resolve(session, **settings), retry=retry)
        with stage.client:
            found = _catalog(session, catalog, endpoints_catalog_global_name)
            _run(stage, found, tell)
        if session.params["test"] if run_validation is None else run_validation:
            tell("validation")
            SourceStageValidation.validate_all_source_tables(
                spark=spark, session=session, logger=session.log
            )
    except Exception as error:
        session.mark_failed(str(error) or type(error).__name__)
        session.record()
        raise
    except BaseException as error:
        # A notebook's cell may be interrupted, and those below it run: the stage is not whole. The
        # record is theirs, or the session's end's, as nobody who interrupts wants to wait for it.
        session.mark_failed(str(error) or type(error).__name__)
        raise


def _run(stage: SourceStage, catalog: EndpointCatalog | None, tell: Callable[[str], None]) -> None:
    tell("source.config")
    stage.create_config()
    tell("prepare tables")
    stage.initialise_prepare()
    tell("authentication")
    try:
        stage.authenticate()
    except SourceSystemError as error:
        collect(stage.session, error, critical=True)
        stage.leave_failed_authentication()
        raise
    tell("resource access")
    stage.check_resource_access()
    tell("source.credentials")
    stage.write_credentials()
    tell("source.endpoints")
    if catalog is not None:
        stage.bootstrap_endpoints(catalog)
    tell("source.portfolio")
    stage.write_portfolio()
    tell("registration")
    stage.register()


def _catalog(
    session: NotebookSession, catalog: CatalogSource | None, global_name: str | None
) -> EndpointCatalog | None:
    """The catalogue to write; ``None`` when the one in the table stays."""
    place = resolve_table(table_path(SOURCE_ENDPOINTS))
    if not session.params["bootstrap"] and session.delta.lakehouse.exists(place):
        return None
    return find_catalog(session, catalog, global_name)


def find_catalog(
    session: NotebookSession, catalog: CatalogSource | None, global_name: str | None = None
) -> EndpointCatalog:
    """The catalogue that was passed, or else that of the notebook's global variable.

    Raises:
        CatalogError: It can't be read.
        ConfigurationError: There is none.
    """
    if catalog is not None:
        return load_catalog(catalog)
    name = global_name or f"{part_of_a_name(session.ctx['source_system'])}_ENDPOINTS_CATALOG"
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - a notebook's globals are its caller's
    while frame is not None:
        if name in frame.f_globals:
            return load_catalog(frame.f_globals[name])
        frame = frame.f_back
    raise ConfigurationError(
        f"there is no endpoint catalogue: no caller has a global variable {name}. Define it, or "
        "pass catalog= with the list, or with the path of a file"
    )


def _tell_nobody(_step: str) -> None:
    pass
