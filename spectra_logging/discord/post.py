"""One HTTP request to Discord, by ``requests``, which nothing else in this package imports.

What may come out of it, its errors' texts included, never holds the webhook's token.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from spectra_logging._version import __version__
from spectra_logging.discord.message import Message
from spectra_logging.discord.webhook import Webhook
from spectra_logging.feedback import worker_idents
from spectra_logging.redaction import RedactionFilter, describe_error, redact_text

if TYPE_CHECKING:
    import requests

__all__ = ["Answer", "InDoubtError", "NotSentError", "Poster"]

USER_AGENT = f"DiscordBot (https://pypi.org/project/spectra-logging, {__version__})"
READ_MAX_BYTES = 1 << 16
IDLE_MAX_SECONDS = 30.0
"""How old a connection may be when it is used again: one that the server has closed meanwhile looks
like a message that may have been posted."""


class Answer(NamedTuple):
    """What a server answered.

    Attributes:
        status: The HTTP status.
        headers: The headers, names in any case.
        body: The body read as JSON; ``None`` where it is none.
    """

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> Any:
        """Discord's own code for what is wrong; ``None`` where there is none."""
        return self.body.get("code") if isinstance(self.body, dict) else None

    @property
    def is_success(self) -> bool:
        """Whether Discord took the message.

        A web page is another server's answer: that of a proxy, or of one whose address is wrong.
        """
        kind = self.headers.get("Content-Type", "").lower()
        return self.status == 204 or (200 <= self.status < 300 and "html" not in kind)

    @property
    def in_words(self) -> str:
        """Status and reason, for a person."""
        body = self.body if isinstance(self.body, dict) else {}
        code = f", code {self.code}" if self.code else ""
        reason = f": {body['message']}" if body.get("message") else ""
        details = f" {msgspec.json.encode(body['errors']).decode()}" if body.get("errors") else ""
        words = redact_text(f"HTTP {self.status}{code}{reason}{details}")
        return " ".join(words.split())[:500]


class NotSentError(Exception):
    """The request did not reach a server; it can be made again."""


class InDoubtError(Exception):
    """The request was sent, and there was no answer; the message may be posted or not."""


class Poster:
    """Posts to one webhook. Not for two threads at once.

    Args:
        webhook: The webhook.
    """

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._session: requests.Session | None = None
        self._used_at_seconds = 0.0
        self._is_under_way = False
        """Whether the request has been begun, on a connection that is secure where it is to be."""

    def post(self, message: Message, thread_id: str | None, timeout_seconds: float) -> Answer:
        """Post a message.

        Args:
            message: The message.
            thread_id: The thread to post in.
            timeout_seconds: How long to wait for a connection, and for each part of the answer.

        Raises:
            NotSentError: The request did not get there.
            InDoubtError: It did, and there was no answer.
        """
        import requests  # noqa: F401 - its loggers are there from now on

        _redact_client_logs()
        url = f"{self._webhook.url}?wait=true"
        if thread_id is not None:
            url += f"&thread_id={thread_id}"
        payload = msgspec.json.encode(message.payload)
        body: dict[str, Any] = {"data": payload, "headers": {"Content-Type": "application/json"}}
        if message.files:
            files: list[tuple[str, tuple[Any, ...]]] = [
                ("payload_json", (None, payload, "application/json"))
            ]
            for number, (name, content) in enumerate(message.files):
                files.append((f"files[{number}]", (name, content, "text/plain; charset=utf-8")))
            body = {"files": files}
        self._is_under_way = False
        try:
            response = self._http(url).post(
                url,
                **body,
                timeout=timeout_seconds,
                # A redirect would turn the POST into a GET, or carry the message elsewhere.
                allow_redirects=False,
                stream=True,
            )
        except Exception as error:  # noqa: BLE001 - urllib3's own errors come through at times
            self.close()
            raise self._translated(error) from None
        finally:
            self._used_at_seconds = time.monotonic()
        return Answer(response.status_code, response.headers, _read(response))

    def close(self) -> None:
        """Close the connections; the next message opens a new one."""
        session, self._session = self._session, None
        if session is None:
            return
        for adapter in session.adapters.values():
            # The session leaves this to finalisers, which run no more at the interpreter's exit.
            pools = adapter.poolmanager.pools  # type: ignore[attr-defined]
            for key in pools.keys():  # noqa: SIM118 - urllib3's container iterates over nothing
                pools[key].close()
        session.close()

    def forget_connections(self) -> None:
        """Leave the connections alone: in a forked child they are the parent's."""
        self._session = None

    def _http(self, url: str) -> requests.Session:
        if time.monotonic() - self._used_at_seconds > IDLE_MAX_SECONDS:
            self.close()
        if self._session is None:
            self._session = _new_session(url, self._note_under_way)
        return self._session

    def _note_under_way(self) -> None:
        self._is_under_way = True

    def _translated(self, error: Exception) -> NotSentError | InDoubtError:
        """What an error of the client's means for the message, in words that hold no secret."""
        from urllib3 import exceptions as urllib3

        words = describe_error(error)
        cause = (getattr(error.args[0], "reason", None) if error.args else None) or error
        if isinstance(cause, urllib3.ProxyError):
            cause = cause.original_error
        # Without TLS the client connects as it begins the request.
        no_connection = (urllib3.NewConnectionError, urllib3.ConnectTimeoutError)
        if self._is_under_way and not isinstance(cause, no_connection):
            return InDoubtError(words)
        return NotSentError(words)


def _new_session(url: str, on_request: Callable[[], None]) -> requests.Session:
    import requests
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    quiet_http = _quiet(HTTPConnection, on_request)
    quiet_https = _quiet(HTTPSConnection, on_request)
    pools = {
        "http": type("QuietHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": quiet_http}),
        "https": type("QuietHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": quiet_https}),
    }
    session = requests.Session()
    # Credentials of ~/.netrc must not go along; proxies and certificates of the machine may.
    session.trust_env = False
    session.proxies.update(requests.utils.get_environ_proxies(url))
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    session.verify = bundle or True
    session.headers["User-Agent"] = USER_AGENT
    for adapter in session.adapters.values():
        if isinstance(adapter, requests.adapters.HTTPAdapter):
            adapter.poolmanager.pool_classes_by_scheme = pools
    return session


def _quiet(connection: type[Any], on_request: Callable[[], None]) -> type[Any]:
    """The class of connections, less what it prints, and telling when it begins a request."""

    def request(self: Any, *args: Any, **keywords: Any) -> None:
        on_request()
        connection.request(self, *args, **keywords)

    # http.client prints requests, and so the token, where a program sets its debuglevel.
    own = {"debuglevel": 0, "request": request}
    return type(f"Quiet{connection.__name__}", (connection,), own)


def _read(response: requests.Response) -> Any:
    """The body as JSON, if it is; a large or endless one is left unread."""
    try:
        data = response.raw.read(READ_MAX_BYTES, decode_content=True)
        if len(data) == READ_MAX_BYTES:
            response.close()
        else:
            response.raw.release_conn()
        return msgspec.json.decode(data)
    except Exception:  # noqa: BLE001 - the status says what became of the message
        response.close()
        return None


class _ClientLogFilter(RedactionFilter):
    """Scrubs what the HTTP client logs of our requests: at DEBUG it shows their paths."""

    def filter(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        if threading.get_ident() not in worker_idents:
            return True
        return super().filter(record)


_client_log_filter = _ClientLogFilter()


def _redact_client_logs() -> None:
    # A logger's filter sees its own records only, so each of the client's loggers needs it.
    names = [
        name
        for name in list(logging.root.manager.loggerDict)
        if name.partition(".")[0] in {"urllib3", "requests"}
    ]
    for name in names:
        logger = logging.root.manager.loggerDict.get(name)
        if isinstance(logger, logging.Logger):
            logger.addFilter(_client_log_filter)
