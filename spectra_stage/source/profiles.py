"""What is known of a source system beforehand: where to knock, and what it can tell."""

from __future__ import annotations

from dataclasses import dataclass

from spectra_logging.errors import ConfigurationError

__all__ = ["PROJECT_PLACEHOLDER", "SourceProfile", "add_profile", "profile_of"]

PROJECT_PLACEHOLDER = "{projectId}"


@dataclass(frozen=True, kw_only=True)
class SourceProfile:
    """Defaults for one source system.

    Args:
        test_endpoint: The path that tells whether the credentials are known, best one that lists
            the projects.
        resource_endpoint_template: The path of something below one project, with ``{projectId}``
            where its id goes; ``None`` when there is nothing to try.
        supports_incremental: Whether the source can tell what changed.

    Raises:
        ConfigurationError: A path does not begin with a slash, the template has no
            ``{projectId}``, or ``supports_incremental`` is no boolean.
    """

    test_endpoint: str = "/"
    resource_endpoint_template: str | None = None
    supports_incremental: bool = False

    def __post_init__(self) -> None:
        template = self.resource_endpoint_template
        for name, path in (
            ("test_endpoint", self.test_endpoint),
            ("resource_endpoint_template", template),
        ):
            if path is not None and (not isinstance(path, str) or not path.startswith("/")):
                raise ConfigurationError(
                    f"{name}={path!r} must be a path below the base URL, such as /projects"
                )
        if template is not None and PROJECT_PLACEHOLDER not in template:
            raise ConfigurationError(
                f"resource_endpoint_template={template!r} must have {PROJECT_PLACEHOLDER} where "
                "a project's id goes"
            )
        if not isinstance(self.supports_incremental, bool):
            raise ConfigurationError(
                f"supports_incremental={self.supports_incremental!r} must be True or False"
            )


_PROFILES = {
    "zephyr": SourceProfile(
        test_endpoint="/project/details",
        resource_endpoint_template="/release/project/{projectId}",
        supports_incremental=True,
    ),
    "jira": SourceProfile(
        test_endpoint="/myself",
        resource_endpoint_template="/project/{projectId}",
        supports_incremental=True,
    ),
}


def add_profile(source_system: str, profile: SourceProfile) -> None:
    """Make a profile the one of a source system, in this process.

    Args:
        source_system: The system's key, as ``SOURCE_SYSTEM`` has it; case does not matter.
        profile: Its defaults.
    """
    _PROFILES[source_system.lower()] = profile


def profile_of(source_system: str) -> SourceProfile:
    """The profile of a source system; a plain one where none is known."""
    return _PROFILES.get(source_system.lower(), SourceProfile())
