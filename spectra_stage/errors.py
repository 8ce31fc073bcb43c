"""The stages' own errors: branches of the tree in :mod:`spectra_logging.errors`.

::

    SpectraError
    ├── CatalogError (ValueError)        an endpoint catalogue can't be read as one
    ├── NotReadyError                    the next stage may not start yet
    ├── SuiteError (ValueError)          a suite's file can't be read as one
    └── SourceSystemError                what a source system answered, or that it did not
        ├── AuthenticationError          it does not know the credentials: 401, 407
        ├── AuthorizationError           it knows them and refuses: 403
        ├── ResourceNotFoundError        there is no such resource: 404, 410
        ├── SourceNetworkError           it can't be reached, or not in time
        ├── SourceServiceError           it is overloaded or broken, or refuses the request
        └── SourceDataError              it answered what can't be used

A source system's address may be in a message, its token never is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from spectra_logging.errors import SpectraError

__all__ = [
    "AuthenticationError",
    "AuthorizationError",
    "CatalogError",
    "NotReadyError",
    "ResourceNotFoundError",
    "SourceDataError",
    "SourceNetworkError",
    "SourceServiceError",
    "SourceSystemError",
    "SuiteError",
]


class CatalogError(SpectraError, ValueError):
    """An endpoint catalogue can't be read as one.

    Attributes:
        source: What it was read from: a file, or the type of what was handed over.
        problems: One sentence a problem, each with the position of its record.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(f"endpoint catalogue {source}: {'; '.join(self.problems)}")


class NotReadyError(SpectraError):
    """The next stage may not start yet; the message has each finding that keeps it from it."""


class SuiteError(SpectraError, ValueError):
    """A suite's file can't be read as one.

    Attributes:
        source: The file.
        problems: One sentence a problem, each with its line and column.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(f"suite {source}: {'; '.join(self.problems)}")


class SourceSystemError(SpectraError):
    """What a source system answered, or that it did not.

    Args:
        message: What happened, and what to do about it.
        code: A short name of the case, such as ``HTTP_401`` or ``TIMEOUT``.
        retryable: Whether the same request may succeed later.

    Attributes:
        category: The class of the error, as ``session.result["errors"]`` counts it.
    """

    category: ClassVar[str] = "service"

    def __init__(self, message: str, *, code: str, retryable: bool = False) -> None:
        self.code = code
        self.retryable = retryable
        super().__init__(message)


class AuthenticationError(SourceSystemError):
    """The source system does not know the credentials: 401, 407."""

    category = "authentication"


class AuthorizationError(SourceSystemError):
    """The source system knows the credentials and refuses what was asked: 403."""

    # With a z it is the name of the header whose values redaction hides, counts too.
    category = "authorisation"


class ResourceNotFoundError(SourceSystemError):
    """The source system has no such resource: 404, 410."""

    category = "not_found"


class SourceNetworkError(SourceSystemError):
    """The source system can't be reached, or does not answer in time."""

    category = "network"


class SourceServiceError(SourceSystemError):
    """The source system is overloaded (429), broken (5xx), or refuses the request (other 4xx).

    Or it leads elsewhere (3xx), or answers with a status that nobody knows.
    """

    category = "service"


class SourceDataError(SourceSystemError):
    """The source system answered what can't be used, such as HTML in place of JSON."""

    category = "data"
