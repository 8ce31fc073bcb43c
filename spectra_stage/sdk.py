"""The names that SPECTRA's notebooks use: ``from spectra_stage.sdk import *``.

Everything here is thin; :mod:`spectra_stage.source`, :mod:`spectra_stage.prepare`,
:mod:`spectra_stage.readiness` and :mod:`spectra_stage.validation` do the work.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from weakref import WeakKeyDictionary

from spectra_logging.session import NotebookSession
from spectra_logging.session.delta import DeltaTables
from spectra_logging.variables import VariableLibrary
from spectra_stage import readiness
from spectra_stage.catalog import EndpointCatalog
from spectra_stage.catalog.load import CatalogSource
from spectra_stage.prepare import PrepareReport, initialize_prepare_stage
from spectra_stage.readiness import Readiness
from spectra_stage.source import RetryPolicy, execute_source_stage
from spectra_stage.source.settings import SourceSettings
from spectra_stage.source.stage import find_catalog
from spectra_stage.source.steps import SourceStage
from spectra_stage.validation.notebook import SourceStageValidation

__all__ = [
    "NotebookSession",
    "PrepareStageHelpers",
    "SourceStageHelpers",
    "SourceStageValidation",
    "VariableLibrary",
]


class SourceStageHelpers:
    """The Source stage, whole and in single steps.

    The single steps are for notebooks that put a stage together themselves. Those with
    ``**settings`` take those of :meth:`execute_source_stage`. They raise as it does, but none of
    them marks the session as failed or records it. ``spark`` is the session's from
    ``load_context()``; the steps take it as notebooks pass it.
    """

    @staticmethod
    def execute_source_stage(
        *,
        session: NotebookSession,
        spark: Any | None = None,
        endpoints_catalog_global_name: str | None = None,
        contract_version: str | None = None,
        auth_method: str | None = None,
        endpoint_success_rate: float | None = None,
        supports_incremental: bool | None = None,
        test_endpoint: str | None = None,
        resource_endpoint_template: str | None = None,
        timeout: float = 10,
        auth_header: str = "Authorization",
        auth_prefix: str = "Bearer",
        run_validation: bool | None = None,
        catalog: CatalogSource | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Run the stage: see :func:`spectra_stage.source.execute_source_stage`."""
        execute_source_stage(
            spark=spark,
            session=session,
            endpoints_catalog_global_name=endpoints_catalog_global_name,
            catalog=catalog,
            retry=retry,
            run_validation=run_validation,
            contract_version=contract_version,
            auth_method=auth_method,
            endpoint_success_rate=endpoint_success_rate,
            supports_incremental=supports_incremental,
            test_endpoint=test_endpoint,
            resource_endpoint_template=resource_endpoint_template,
            timeout=timeout,
            auth_header=auth_header,
            auth_prefix=auth_prefix,
        )

    @staticmethod
    def create_source_config_table(*, session: NotebookSession, spark: Any | None = None) -> None:  # noqa: ARG004 - notebooks pass it
        """Write ``source.config``."""
        _stage(session).create_config()

    @staticmethod
    def validate_api_authentication(
        *,
        session: NotebookSession,
        spark: Any | None = None,  # noqa: ARG004 - notebooks pass it
        retry: RetryPolicy | None = None,
        **settings: Any,
    ) -> Any:
        """Ask the source system whether it knows the credentials. Returns its answer, parsed."""
        stage = _stage(session, retry, **settings)
        with stage.client:
            stage.authenticate()
        return stage.auth_answer

    @staticmethod
    def validate_api_resource_access(
        *,
        session: NotebookSession,
        spark: Any | None = None,  # noqa: ARG004 - notebooks pass it
        projects: Any = None,
        retry: RetryPolicy | None = None,
        **settings: Any,
    ) -> bool:
        """Try to read something below one project; a failure is collected, not raised.

        Args:
            session: The notebook's session.
            spark: Notebooks pass it.
            projects: What :meth:`validate_api_authentication` returned.
            retry: Which requests are tried again.
            settings: As for :meth:`execute_source_stage`.

        Returns:
            Whether it could be read.
        """
        stage = _stage(session, retry, **settings)
        stage.auth_answer = projects
        with stage.client:
            return stage.check_resource_access()

    @staticmethod
    def create_source_credentials_table(
        *,
        session: NotebookSession,
        spark: Any | None = None,  # noqa: ARG004 - notebooks pass it
        accepted: bool = True,
    ) -> None:
        """Write ``source.credentials``: API_TOKEN, masked, and whether it was accepted."""
        stage = _stage(session)
        stage.find(auth_status="Success" if accepted else "Failed")
        stage.write_credentials()

    @staticmethod
    def bootstrap_endpoints_catalog(
        *,
        session: NotebookSession,
        spark: Any | None = None,  # noqa: ARG004 - notebooks pass it
        endpoints_catalog_global_name: str | None = None,
        catalog: CatalogSource | None = None,
    ) -> EndpointCatalog:
        """Write ``source.endpoints``. Returns the catalogue as it was written."""
        stage = _stage(session)
        found = find_catalog(session, catalog, endpoints_catalog_global_name)
        stage.bootstrap_endpoints(found)
        return found

    @staticmethod
    def create_source_portfolio_table(
        *,
        session: NotebookSession,
        spark: Any | None = None,  # noqa: ARG004 - notebooks pass it
        auth_status: str = "Success",
        hierarchical_access_validated: bool = False,
        **settings: Any,
    ) -> None:
        """Write the source system's row of ``source.portfolio``."""
        stage = _stage(session, **settings)
        stage.find(
            auth_status=auth_status,
            checked_at=datetime.now(timezone.utc),
            resource_read=hierarchical_access_validated,
        )
        stage.write_portfolio()


class PrepareStageHelpers:
    """What the Prepare stage does before its own work."""

    @staticmethod
    def initialize_prepare_stage(
        *,
        spark: Any | None = None,  # noqa: ARG004 - notebooks pass it
        delta: DeltaTables | None = None,
        logger: Any | None = None,
        source_system: str | None = None,
        plan: bool = False,
    ) -> PrepareReport:
        """Make the tables fit: see :func:`spectra_stage.prepare.initialize_prepare_stage`."""
        return initialize_prepare_stage(
            delta=delta, logger=logger, source_system=source_system, plan=plan
        )

    @staticmethod
    def check_readiness(
        *,
        session: NotebookSession,
        spark: Any | None = None,  # noqa: ARG004 - notebooks pass it
        contract_version: str | None = None,
    ) -> Readiness:
        """Whether the stage may start: see :func:`spectra_stage.readiness.check`.

        Args:
            session: The notebook's session, for the source system, and the variable
                CONTRACT_VERSION where ``contract_version`` is left out.
            spark: Notebooks pass it.
            contract_version: The contract that the stage was made for.
        """
        expected = SourceSettings.resolve(session, contract_version=contract_version)
        return readiness.check(
            session.ctx["source_system"],
            contract_version=expected.contract_version,
            lakehouse=session.delta.lakehouse,
        )


_answers: WeakKeyDictionary[NotebookSession, tuple[str, dict[str, bool]]] = WeakKeyDictionary()
"""Session → its run, and what the run's single steps tried: path → whether it answered."""


def _stage(
    session: NotebookSession, retry: RetryPolicy | None = None, **settings: Any
) -> SourceStage:
    session.require_run("A step of the Source stage")
    resolved = SourceSettings.resolve(session, **settings)
    run = session.ctx["execution_id"]
    if session not in _answers or _answers[session][0] != run:
        _answers[session] = run, {}
    return SourceStage(session, resolved, retry=retry, answers=_answers[session][1])
