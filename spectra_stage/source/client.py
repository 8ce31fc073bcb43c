"""Requests to a source system: retried where that may help, and every failure in plain classes."""

from __future__ import annotations

import codecs
from types import TracebackType
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from spectra_logging._version import __version__
from spectra_logging.errors import ConfigurationError
from spectra_logging.handlers.options import check_seconds
from spectra_logging.redaction import redact_text
from spectra_logging.values import safe_text
from spectra_stage.errors import (
    AuthenticationError,
    AuthorizationError,
    ResourceNotFoundError,
    SourceDataError,
    SourceNetworkError,
    SourceServiceError,
    SourceSystemError,
)
from spectra_stage.source.retry import RETRIED_STATUSES, RetryPolicy

__all__ = ["SourceClient"]

REDIRECTS_FOLLOWED = 5
LONGEST_TIMEOUT_SECONDS = 86_400.0
"""A day; sockets can't wait for more than a few weeks, and overflow at more."""

_BY_STATUS: dict[int, tuple[type[SourceSystemError], str]] = {
    401: (AuthenticationError, "The token is not known there: check API_TOKEN and AUTH_METHOD."),
    403: (AuthorizationError, "The token is known and may not do this: ask for its rights."),
    404: (ResourceNotFoundError, "Check BASE_URL, BASE_PATH and the path."),
    407: (AuthenticationError, "The proxy asks for credentials: check HTTPS_PROXY."),
    410: (ResourceNotFoundError, "It was there and is gone: check the contract's version."),
}


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: requests would prepare the next request, and trip over an address that is none."""


class SourceClient:
    """GET requests for JSON to one source system.

    The token goes to that system alone: a redirect to another host, port or scheme is an error and
    not followed.

    Args:
        base_url: The address that all paths are below.
        authentication: How each request shows who asks.
        timeout_seconds: The longest wait for a connection, and for each part of an answer, of
            each attempt.
        retry: What is tried again.

    Raises:
        ConfigurationError: The address is none of http or https, or holds credentials or a query;
            or the time-out is no positive number, or longer than a day; or ``retry`` is no policy.
    """

    def __init__(
        self,
        base_url: str,
        authentication: AuthBase,
        *,
        timeout_seconds: float = 10.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.base_url = _checked_url(base_url).rstrip("/")
        self._timeout_seconds = check_seconds("timeout", timeout_seconds, more_than_zero=True)
        if self._timeout_seconds > LONGEST_TIMEOUT_SECONDS:
            raise ConfigurationError(
                f"timeout={timeout_seconds!r} must be {LONGEST_TIMEOUT_SECONDS:g} seconds, a day, "
                "at most"
            )
        if retry is not None and not isinstance(retry, RetryPolicy):
            raise ConfigurationError(
                f"retry={retry!r} must be a RetryPolicy, such as RetryPolicy(retries=5)"
            )
        self._retry = retry or RetryPolicy()
        self._http = _Session()
        self._http.auth = authentication
        self._http.headers["Accept"] = "application/json"
        self._http.headers["User-Agent"] = f"spectra-logging/{__version__}"
        adapter = HTTPAdapter(max_retries=self._retry.to_urllib3())
        self._http.mount("http://", adapter)
        self._http.mount("https://", adapter)

    def __enter__(self) -> SourceClient:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get_json(self, path: str) -> Any:
        """What the source system answers at a path, parsed.

        Args:
            path: The path below the base URL, beginning with a slash.

        Raises:
            SourceSystemError: A subclass of it says what went wrong.
        """
        place = redact_text(f"GET {self.base_url}{path}")
        response = self._get(place, self.base_url + path)
        # Not response.ok, by which a redirect to nowhere, or a 999, is an answer like any other.
        if not 200 <= response.status_code < 300:
            raise self._refusal(place, response)
        if response.content.startswith(codecs.BOM_UTF8):
            response.encoding = "utf-8-sig"
        try:
            return response.json()
        except (ValueError, RecursionError) as error:
            kind = response.headers.get("Content-Type", "an answer without a type")
            raise SourceDataError(
                f"{place}: answered {response.status_code} with {redact_text(kind)} in place of "
                "JSON. A login page or a proxy answers so: check BASE_URL and BASE_PATH.",
                code="NOT_JSON",
            ) from error

    def _get(self, place: str, url: str) -> requests.Response:
        """The answer, redirects within the source system followed."""
        origin = _origin(urlsplit(url))
        for _ in range(REDIRECTS_FOLLOWED + 1):
            try:
                response = self._answer(url)
            except requests.RequestException as error:
                # It carries the request, and with it the token, to whoever looks closer.
                error.request = None
                raise self._unreachable(place, error) from error
            except ValueError as error:
                # Of a proxy's address; requests lets it through.
                raise self._unreachable(place, error) from error
            except OSError as error:
                # Of a file of authorities that is not there; requests raises it as it is.
                raise _insecure(place, redact_text(safe_text(error))) from error
            if not response.is_redirect:
                return response
            try:
                url = urljoin(url, _as_sent(response.headers["Location"]))
                target = urlsplit(url)
                elsewhere = _origin(target) != origin
            except ValueError as error:
                raise SourceServiceError(
                    f"{place}: redirects to what is no address: {redact_text(str(error))}",
                    code="REDIRECT",
                ) from error
            if elsewhere:
                raise SourceServiceError(
                    f"{place}: redirects to {target.scheme}://{target.hostname}, where the token "
                    "must not go. If the API is there, set BASE_URL to it.",
                    code="REDIRECT",
                )
        raise SourceServiceError(
            f"{place}: redirects more than {REDIRECTS_FOLLOWED} times", code="REDIRECT"
        )

    def _answer(self, url: str) -> requests.Response:
        """One answer; when its body breaks off it is asked for again, once, as after a time-out."""
        try:
            return self._ask(url)
        except requests.exceptions.ChunkedEncodingError:
            if not self._retry.retries:
                raise
        return self._ask(url)

    def _ask(self, url: str) -> requests.Response:
        return self._http.get(url, timeout=self._timeout_seconds, allow_redirects=False)

    def _refusal(self, place: str, response: requests.Response) -> SourceSystemError:
        status = response.status_code
        said = f"{place}: {status} {redact_text(response.reason or '')}".rstrip()
        error_class, advice = _BY_STATUS.get(status, (SourceServiceError, ""))
        if status in RETRIED_STATUSES:
            wait = response.headers.get("Retry-After")
            advice = f"It asks to wait {redact_text(wait)}." if wait else "Try again later."
        return error_class(
            f"{said}. {advice}".rstrip(),
            code=f"HTTP_{status}",
            retryable=status in RETRIED_STATUSES,
        )

    def _unreachable(self, place: str, error: Exception) -> SourceSystemError:
        cause = _first_cause(error)
        reason = redact_text(safe_text(cause))
        if isinstance(error, requests.exceptions.SSLError):
            return _insecure(place, reason)
        # A time-out that was retried comes as any other connection error.
        if isinstance(error, requests.Timeout) or isinstance(cause, TimeoutError):
            return SourceNetworkError(
                f"{place}: no answer within {self._timeout_seconds:g} s. Try again later, or "
                "with a longer timeout.",
                code="TIMEOUT",
                retryable=True,
            )
        if isinstance(error, requests.exceptions.ChunkedEncodingError):
            return SourceNetworkError(
                f"{place}: the answer was cut off: {reason}. Try again later.",
                code="CUT_OFF",
                retryable=True,
            )
        if isinstance(error, requests.exceptions.ContentDecodingError):
            return SourceDataError(
                f"{place}: the answer can't be decoded: {reason}. It is not in the "
                "Content-Encoding that it names.",
                code="NOT_DECODABLE",
            )
        return SourceNetworkError(
            f"{place}: can't be reached: {reason}. Check BASE_URL and the network.",
            code="CONNECTION",
            retryable=True,
        )


def _insecure(place: str, reason: str) -> SourceNetworkError:
    return SourceNetworkError(
        f"{place}: no secure connection: {reason}. Check the certificate; "
        "REQUESTS_CA_BUNDLE names the authorities to trust.",
        code="TLS",
    )


def _checked_url(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        _origin(parts)
        # As it is looked up: no empty label, and none that is too long.
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise ConfigurationError(
            f"BASE_URL is no address: {redact_text(str(error))}; it must be one such as "
            "https://api.example.com"
        ) from error
    if parts.username or parts.password:
        raise ConfigurationError(
            "BASE_URL holds a user or a password; give them as API_TOKEN instead, with "
            "AUTH_METHOD=basic"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(
            f"BASE_URL is {redact_text(base_url)!r}; it must be an address such as "
            "https://api.example.com"
        )
    if parts.query or parts.fragment:
        # Not shown: keys are given that way.
        raise ConfigurationError(
            "BASE_URL or BASE_PATH has a query or a fragment, and all paths would end up in it; "
            "leave out what is behind the ? or #"
        )
    return base_url


def _as_sent(header: str) -> str:
    """A header that may be in UTF-8, which the HTTP client reads as Latin-1."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _first_cause(error: BaseException) -> BaseException:
    """The exception that all others were raised for."""
    while True:
        inner = error.args[0] if error.args else None
        below = getattr(error, "reason", None) or error.__cause__ or inner
        if not isinstance(below, BaseException):
            return error
        error = below
