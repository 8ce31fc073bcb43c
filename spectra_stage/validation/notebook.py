"""``SourceStageValidation``: the suite of the Source stage's tables as notebooks call it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.session import NotebookSession
from spectra_stage.tables import (
    SOURCE_CONFIG,
    SOURCE_CREDENTIALS,
    SOURCE_ENDPOINTS,
    SOURCE_PORTFOLIO,
)
from spectra_stage.validation.report.notebook import (
    count_findings,
    stage_findings,
    table_findings,
)
from spectra_stage.validation.run import run
from spectra_stage.validation.suite import Suite
from spectra_stage.validation.suites import CONFIG_KEYS, source_suite

__all__ = ["SourceStageValidation"]


class SourceStageValidation:
    """Validations of the Source stage's tables.

    Each logs what it finds, and returns it; none raises for what is in a table, or for a table that
    can't be read. ``spark`` may be left out; it is the session for tables that only Spark reaches.
    """

    @staticmethod
    def validate_all_source_tables(
        spark: Any | None = None,
        session: NotebookSession | None = None,
        logger: Any | None = None,
    ) -> dict[str, Any]:
        """Validate the four tables and their agreement.

        Args:
            spark: A Spark session; by default the session's, else the one that is active.
            session: The notebook's session. What was found is put into its
                ``result["validation"]``, of which ``session.validate()`` raises, and counted in its
                ``result["errors"]``, which the activity row's ``error_summary`` shows.
            logger: Where the findings are logged; by default the session's log, else the logger
                ``spectra_stage.validation``.

        Returns:
            ``valid``, ``errors``, ``validation_results`` by table, and ``summary``.
        """
        lakehouse = open_lakehouse(spark=spark) if session is None else session.delta.lakehouse
        report = run(source_suite(), lakehouse)
        report.log(session.log if logger is None and session is not None else logger)
        findings = stage_findings(report)
        if session is not None:
            session.result["validation"] = findings
            count_findings(report, session.result["errors"])
        return findings

    @staticmethod
    def validate_portfolio_table(
        spark: Any | None = None,
        logger: Any | None = None,
    ) -> dict[str, Any]:
        """Validate ``source.portfolio``, and that it agrees with ``source.endpoints``.

        Returns:
            ``valid``, ``errors`` and ``results``.
        """
        return _validate(source_suite(), SOURCE_PORTFOLIO.name, spark, logger)

    @staticmethod
    def validate_endpoints_catalog(
        spark: Any | None = None,
        expected_count: int | None = None,
        logger: Any | None = None,
    ) -> dict[str, Any]:
        """Validate ``source.endpoints``.

        Args:
            spark: A Spark session; by default the one that is active.
            expected_count: How many endpoints there are to be, where that is known.
            logger: Where the findings are logged.

        Returns:
            ``valid``, ``errors`` and ``results``.
        """
        return _validate(
            source_suite(endpoints=expected_count), SOURCE_ENDPOINTS.name, spark, logger
        )

    @staticmethod
    def validate_config_table(
        spark: Any | None = None,
        expected_keys: Sequence[str] | None = None,
        logger: Any | None = None,
    ) -> dict[str, Any]:
        """Validate ``source.config``.

        Args:
            spark: A Spark session; by default the one that is active.
            expected_keys: The settings that it is to hold, each once; by default the six that the
                stage writes.
            logger: Where the findings are logged.

        Returns:
            ``valid``, ``errors`` and ``results``.
        """
        keys = CONFIG_KEYS if expected_keys is None else tuple(expected_keys)
        return _validate(source_suite(config_keys=keys), SOURCE_CONFIG.name, spark, logger)

    @staticmethod
    def validate_credentials_table(
        spark: Any | None = None,
        logger: Any | None = None,
    ) -> dict[str, Any]:
        """Validate ``source.credentials``: one row, and no more of the token than its end.

        Returns:
            ``valid``, ``errors`` and ``results``.
        """
        return _validate(source_suite(), SOURCE_CREDENTIALS.name, spark, logger)


def _validate(suite: Suite, table: str, spark: Any | None, logger: Any | None) -> dict[str, Any]:
    report = run(suite.only(table), open_lakehouse(spark=spark))
    report.log(logger)
    return table_findings(report)
