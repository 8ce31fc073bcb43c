"""Which requests to a source system are tried again, and after how long."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import InvalidHeader, MaxRetryError, ResponseError
from urllib3.util.retry import Retry

from spectra_logging.handlers.options import check_count, check_seconds

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["RETRIED_STATUSES", "RetryPolicy"]

RETRIED_STATUSES = (429, 500, 502, 503, 504)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """What is tried again, and how patiently.

    Answers of 429, 500, 502, 503 and 504 and refused connections are tried again; an answer that
    does not come in time, or breaks off, once only, and any other answer never.

    Args:
        retries: How often at most.
        backoff_seconds: Half the wait before the second retry; each later one waits twice as long
            as the one before, the first comes at once. A ``Retry-After`` in the answer decides
            instead.
        longest_wait_seconds: A source system that asks to wait longer is not waited for.

    Raises:
        ConfigurationError: ``retries`` is no whole number from 0 up, or a wait no number of seconds
            from 0 up.
    """

    retries: int = 3
    backoff_seconds: float = 0.5
    longest_wait_seconds: float = 60.0

    def __post_init__(self) -> None:
        check_count("retries", self.retries, least=0)
        check_seconds("backoff_seconds", self.backoff_seconds)
        check_seconds("longest_wait_seconds", self.longest_wait_seconds)

    def to_urllib3(self) -> Retry:
        """The policy as the adapter takes it."""
        return _PatientRetry(
            longest_wait_seconds=self.longest_wait_seconds,
            total=self.retries,
            read=min(self.retries, 1),
            status_forcelist=RETRIED_STATUSES,
            allowed_methods=("GET",),
            backoff_factor=self.backoff_seconds,
            # The last answer is more than the news that there were too many.
            raise_on_status=False,
        )


class _PatientRetry(Retry):
    """urllib3's retries, which end where the server asks for more patience than there is."""

    # Else an answer of 413 that names a time would be asked for again.
    RETRY_AFTER_STATUS_CODES = frozenset(RETRIED_STATUSES)

    def __init__(self, *, longest_wait_seconds: float, **options: Any) -> None:
        self._longest_wait_seconds = longest_wait_seconds
        super().__init__(**options)

    def new(self, **options: Any) -> Self:
        return super().new(longest_wait_seconds=self._longest_wait_seconds, **options)

    def parse_retry_after(self, retry_after: str) -> float:
        try:
            seconds = float(retry_after)
        except ValueError:
            try:
                seconds = super().parse_retry_after(retry_after)
            except (InvalidHeader, ValueError, OverflowError):
                # That nobody can tell how long to wait is no reason not to try again.
                return 0.0
        # No number is more than nothing either, and there is no waiting for it.
        return seconds if seconds > 0 else 0.0

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        asked_seconds = 0.0 if response is None else self.get_retry_after(response) or 0.0
        if asked_seconds > self._longest_wait_seconds:
            raise MaxRetryError(_pool, url or "", ResponseError("it asks to wait too long"))
        return super().increment(method, url, response, error, _pool, _stacktrace)
