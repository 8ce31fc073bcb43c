"""What a run of the Source stage goes by, from wherever each setting comes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from spectra_logging.errors import ConfigurationError, SpectraError
from spectra_logging.session import NotebookSession
from spectra_stage.source.profiles import SourceProfile, profile_of
from spectra_stage.tables import SOURCE_PORTFOLIO

__all__ = ["DEFAULT_AUTH_METHOD", "DEFAULT_CONTRACT_VERSION", "SourceSettings"]

DEFAULT_CONTRACT_VERSION = "3.0.0"
DEFAULT_AUTH_METHOD = "apiToken"


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """The settings of a run, all decided. See :meth:`resolve`.

    Raises:
        ConfigurationError: The contract's version is no X.Y.Z, or the success rate is no number
            from 0 to 1.
    """

    profile: SourceProfile
    contract_version: str
    auth_method: str
    auth_header: str
    auth_prefix: str
    timeout_seconds: float
    endpoint_success_rate: float | None

    def __post_init__(self) -> None:
        pattern = SOURCE_PORTFOLIO["contract_version"].pattern or ""
        if not re.fullmatch(pattern, str(self.contract_version)):
            raise ConfigurationError(
                f"contract_version={self.contract_version!r} must be three numbers, such as "
                f"{DEFAULT_CONTRACT_VERSION}"
            )
        rate = self.endpoint_success_rate
        if rate is not None:
            number = isinstance(rate, (int, float)) and not isinstance(rate, bool)
            if not number or not math.isfinite(rate) or not 0 <= rate <= 1:
                raise ConfigurationError(
                    f"endpoint_success_rate={rate!r} must be a number from 0 to 1"
                )

    @classmethod
    def resolve(
        cls,
        session: NotebookSession,
        *,
        contract_version: str | None = None,
        auth_method: str | None = None,
        endpoint_success_rate: float | None = None,
        supports_incremental: bool | None = None,
        test_endpoint: str | None = None,
        resource_endpoint_template: str | None = None,
        timeout: float = 10,
        auth_header: str = "Authorization",
        auth_prefix: str = "Bearer",
    ) -> SourceSettings:
        """Each setting from the first place that has it.

        These are the keyword argument, the session's variable of the same name in capitals, the
        source system's profile, and the default.

        Args:
            session: The session, for its source system and its variables.
            contract_version: X.Y.Z; by default 3.0.0.
            auth_method: One of :data:`~spectra_stage.source.authentication.AUTH_METHODS`; by
                default ``apiToken``.
            endpoint_success_rate: The share of endpoints that answer, 0 to 1; by default that of
                those the run tries.
            supports_incremental: Whether the source can tell what changed.
            test_endpoint: The path that tells whether the credentials are known.
            resource_endpoint_template: The path of something below one project.
            timeout: Seconds to wait, each attempt.
            auth_header: The header that carries the token.
            auth_prefix: What stands before it there.

        Raises:
            ConfigurationError: A setting can't work.
            SpectraError: The session has no context yet.
        """
        if not session.ctx:
            raise SpectraError("a stage needs the session's context: call load_context() first")
        variables = session.variables
        known = profile_of(session.ctx["source_system"])
        profile = SourceProfile(
            test_endpoint=_first(
                test_endpoint, variables.get("TEST_ENDPOINT"), known.test_endpoint
            ),
            resource_endpoint_template=_first(
                resource_endpoint_template,
                variables.get("RESOURCE_ENDPOINT_TEMPLATE"),
                known.resource_endpoint_template,
            ),
            supports_incremental=_first(supports_incremental, known.supports_incremental),
        )
        return cls(
            profile=profile,
            contract_version=_first(
                contract_version, variables.get("CONTRACT_VERSION"), DEFAULT_CONTRACT_VERSION
            ),
            auth_method=_first(auth_method, variables.get("AUTH_METHOD"), DEFAULT_AUTH_METHOD),
            auth_header=auth_header,
            auth_prefix=auth_prefix,
            timeout_seconds=timeout,
            endpoint_success_rate=endpoint_success_rate,
        )


def _first(*values: Any) -> Any:
    """The first that is given."""
    return next((value for value in values if value is not None), None)
