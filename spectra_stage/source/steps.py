"""The Source stage's single steps, which share what they find out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property
from typing import Any
from urllib.parse import quote

from spectra_logging.errors import LakehouseError
from spectra_logging.session import NotebookSession
from spectra_stage.catalog import EndpointCatalog
from spectra_stage.errors import (
    AuthenticationError,
    AuthorizationError,
    SourceDataError,
    SourceSystemError,
)
from spectra_stage.prepare import initialize_prepare_stage
from spectra_stage.source import tables
from spectra_stage.source.authentication import authentication
from spectra_stage.source.client import SourceClient
from spectra_stage.source.errors import collect
from spectra_stage.source.profiles import PROJECT_PLACEHOLDER
from spectra_stage.source.projects import first_project_id
from spectra_stage.source.retry import RetryPolicy
from spectra_stage.source.settings import SourceSettings
from spectra_stage.tables import SOURCE_TABLES, table_path

__all__ = ["SourceStage"]


class SourceStage:
    """The steps of a run, which share what they find out.

    Args:
        session: The notebook's session, its context loaded.
        settings: What the run goes by.
        retry: Which requests are tried again.
        answers: Path → whether it answered when it was last tried, where other steps of the run
            have tried some.

    Attributes:
        findings: What was found out so far.
        auth_answer: What the test endpoint answered, parsed.
    """

    def __init__(
        self,
        session: NotebookSession,
        settings: SourceSettings,
        *,
        retry: RetryPolicy | None = None,
        answers: dict[str, bool] | None = None,
    ) -> None:
        self.session = session
        self.settings = settings
        self._retry = retry
        self._answers = {} if answers is None else answers
        self.auth_answer: Any = None
        self.findings = tables.Findings(
            auth_status="Unknown",
            checked_at=datetime.now(timezone.utc),
            resource_read=False,
            success_rate=0.0,
        )

    @cached_property
    def token(self) -> str:
        """The source system's token.

        Raises:
            VariableNotFoundError: API_TOKEN is set nowhere.
        """
        return self.session.variables.get_secret("API_TOKEN")

    @cached_property
    def client(self) -> SourceClient:
        """The client that knows the token.

        Raises:
            ConfigurationError: BASE_URL, the token or the way of authentication can't work.
            VariableNotFoundError: API_TOKEN or BASE_URL is set nowhere.
        """
        self.session.variables.require("BASE_URL", "API_TOKEN")
        settings = self.settings
        return SourceClient(
            self.session.ctx["full_url"],
            authentication(
                settings.auth_method,
                self.token,
                header=settings.auth_header,
                prefix=settings.auth_prefix,
                user=self.session.variables.get("API_USER"),
            ),
            timeout_seconds=settings.timeout_seconds,
            retry=self._retry,
        )

    def find(self, **found: Any) -> None:
        """Note something found out: fields of :class:`~spectra_stage.source.tables.Findings`."""
        self.findings = replace(self.findings, **found)

    def create_config(self) -> None:
        """Write ``source.config``."""
        tables.write_config(self.session)
        self.session.add_capability("configTablesCreated")

    def initialise_prepare(self) -> None:
        """Make the Prepare stage's tables fit.

        Raises:
            SchemaConflictError: A table is there whose columns contradict its spec.
        """
        report = initialize_prepare_stage(
            delta=self.session.delta,
            logger=self.session.log,
            source_system=self.session.ctx["source_system"],
        )
        self.session.add_capability("prepareInitialised", **report.summary())

    def authenticate(self) -> None:
        """Ask the test endpoint whether the credentials are known.

        Raises:
            SourceSystemError: They are not, or that could not be found out.
        """
        try:
            self.auth_answer = self._ask(self.settings.profile.test_endpoint)
        except SourceSystemError as error:
            refused = isinstance(error, (AuthenticationError, AuthorizationError))
            self.find(auth_status="Failed" if refused else "Unknown")
            raise
        self.find(auth_status="Success")
        self.session.add_capability("authVerified")

    def check_resource_access(self) -> bool:
        """Try to read something below one project; a failure is collected, not raised.

        The project is ``TEST_PROJECT_ID``, else the parameter ``project``, else the first that the
        test endpoint listed.

        Returns:
            Whether it could be read; ``False`` also when the profile has nothing to try.
        """
        template = self.settings.profile.resource_endpoint_template
        if template is None:
            return False
        try:
            path = template.replace(PROJECT_PLACEHOLDER, quote(self._project_id(), safe=""))
            self._ask(path)
        except SourceSystemError as error:
            collect(self.session, error)
            return False
        self.find(resource_read=True)
        self.session.add_capability("projectAccessVerified")
        return True

    def write_credentials(self) -> None:
        """Write ``source.credentials``, the token masked."""
        tables.write_credentials(
            self.session,
            self.token,
            accepted=self.findings.auth_status == "Success",
            checked_at=self.findings.checked_at,
        )

    def bootstrap_endpoints(self, catalog: EndpointCatalog) -> None:
        """Write ``source.endpoints``, and tell of what the catalogue left out."""
        warn = self.session.log.warning  # Arguments are not for structlog's generic logger.
        for left_out in (*catalog.duplicates, *catalog.skipped):
            warn(f"endpoint left out: {left_out}")
        tables.write_endpoints(self.session, catalog)
        self.session.add_capability(
            "bootstrapped",
            endpoints=len(catalog),
            duplicates=len(catalog.duplicates),
            skipped=len(catalog.skipped),
        )

    def write_portfolio(self) -> None:
        """Write the source system's row of ``source.portfolio``."""
        rate = self.settings.endpoint_success_rate
        self.find(success_rate=self._measured_rate() if rate is None else rate)
        tables.write_portfolio(self.session, self.settings, self.findings)

    def register(self) -> None:
        """Register the Source stage's tables where there is a metastore."""
        registered = [
            spec.name
            for spec in SOURCE_TABLES
            if self.session.delta.register(spec.name, table_path(spec))
        ]
        self.session.add_capability("tablesRegistered", registered=registered)

    def leave_failed_authentication(self) -> None:
        """Bring the tables into the state that a failed authentication leaves.

        ``source.credentials`` says Failed. A row of ``source.portfolio`` that an earlier run left
        says Failed too, or Unknown where the source system could not be asked. The catalogue
        stays as it was. A table that can't be written is told as a warning: the failure that led
        here is what the run ends with.
        """
        try:
            self.write_credentials()
            tables.note_failed_authentication(self.session, self.findings)
        except LakehouseError as error:
            warn = self.session.log.warning
            warn(f"the tables don't show the failed authentication: {error}")

    def _ask(self, path: str) -> Any:
        self.find(checked_at=datetime.now(timezone.utc))
        try:
            answer = self.client.get_json(path)
        except SourceSystemError:
            self._answers[path] = False
            raise
        self._answers[path] = True
        return answer

    def _measured_rate(self) -> float:
        return sum(self._answers.values()) / len(self._answers) if self._answers else 0.0

    def _project_id(self) -> str:
        chosen = self.session.variables.get("TEST_PROJECT_ID") or self.session.params["project"]
        project_id = str(chosen) if chosen else first_project_id(self.auth_answer)
        if project_id is None:
            raise SourceDataError(
                f"{self.settings.profile.test_endpoint} listed no project, so nothing below one "
                "could be tried. Set TEST_PROJECT_ID to a project's id, or let the token's user "
                "see one.",
                code="NO_PROJECT",
            )
        return project_id
