"""A Discord to test against: its webhooks, over real HTTP on loopback."""

from __future__ import annotations

import json
import math
import re
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from spectra_logging.testing.discord_answers import (
    HANG,
    RESET,
    DiscordAnswer,
    DiscordMessage,
    DiscordRequest,
)
from spectra_logging.testing.discord_rules import FILE_BYTES, form_errors, is_empty
from spectra_logging.testing.http_server import LoopbackHandler, LoopbackServer

__all__ = ["FakeDiscord"]

REQUEST_MAX_BYTES = 25 << 20


class FakeDiscord(LoopbackServer):
    """An HTTP server on a free port of 127.0.0.1 that has one of Discord's webhooks.

    It validates messages as Discord documents it, answers with ids, errors and rate-limit headers
    in Discord's form, and fails in every way it is told to. Give a handler :attr:`webhook_url` and
    :attr:`api_base_url`.

    Args:
        token: The webhook's token.
        webhook_id: Its public number.
        requests_per_window: How many requests a window of the rate limit takes.
        window_seconds: How long such a window is.
        is_forum: Whether its channel is a forum, where each message needs a thread.
        first_answers: What the first requests are answered with, one after the other. More may be
            appended while the server runs.
        latency_seconds: How long each answer takes. May be changed while the server runs.
        wall_clock_offset_seconds: How wrong the server's wall clock is.
        port: The port, for a server that is to come back where it was.

    Attributes:
        messages: The messages posted, in order.
        requests: All requests, in order.
    """

    def __init__(
        self,
        *,
        token: str = "example-webhook-token-0123456789",  # noqa: S107 - an example
        webhook_id: str = "100000000000000001",
        requests_per_window: int = 1000,
        window_seconds: float = 2.0,
        is_forum: bool = False,
        first_answers: Iterable[DiscordAnswer] = (),
        latency_seconds: float = 0.0,
        wall_clock_offset_seconds: float = 0.0,
        port: int = 0,
    ) -> None:
        self.token = token
        self.webhook_id = webhook_id
        self.is_forum = is_forum
        self.first_answers = deque(first_answers)
        self.latency_seconds = latency_seconds
        self.messages: list[DiscordMessage] = []
        self.requests: list[DiscordRequest] = []
        self._requests_per_window = requests_per_window
        self._window_seconds = window_seconds
        self._wall_clock_offset_seconds = wall_clock_offset_seconds
        self._window_ends_at_seconds = 0.0
        self._left_in_window = requests_per_window
        self._changed = threading.Condition()
        self._hanging = threading.Event()
        self._last_id = 1_300_000_000_000_000_000
        super().__init__(_RequestHandler, port)

    # -- addresses -----------------------------------------------------------------------------

    @property
    def api_base_url(self) -> str:
        """What ``DiscordHandler(api_base_url=…)`` takes."""
        return f"{self.address}/api/v10"

    @property
    def webhook_url(self) -> str:
        """The webhook's URL, as Discord's settings would show it."""
        return f"https://discord.com/api/webhooks/{self.webhook_id}/{self.token}"

    # -- what tests wait for ---------------------------------------------------------------------

    def let_go(self) -> None:
        """Answer the requests that hang; they are taken as if they had come now."""
        self._hanging.set()

    def wait_for(self, condition: Callable[[FakeDiscord], bool], timeout_seconds: float) -> bool:
        """Wait until a condition holds; it is asked after each request.

        Returns:
            Whether it held in time.
        """
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), timeout_seconds)

    def wait_for_messages(self, count: int, timeout_seconds: float = 30.0) -> bool:
        """Wait until so many messages are posted; returns whether they were in time."""
        return self.wait_for(lambda discord: len(discord.messages) >= count, timeout_seconds)

    def stop(self) -> None:
        """Stop listening; requests that hang are let go."""
        self._hanging.set()
        super().stop()

    # -- inside ----------------------------------------------------------------------------------

    def respond(self, request: _Request) -> DiscordAnswer | None:
        """What to answer a request with; ``None`` for nothing."""
        if self.latency_seconds:
            self._closing.wait(self.latency_seconds)
        with self._changed:
            scripted = self.first_answers.popleft() if self.first_answers else None
        if scripted is not None and scripted.behaviour == HANG:
            self._note(request, None)
            while not self._hanging.wait(0.01):
                if request.client_has_left():
                    return None
            scripted = None
        elif scripted is not None and scripted.behaviour == RESET:
            self._note(request, None)
            return None
        elif scripted is not None:
            self._note(request, scripted.status)
            return scripted
        with self._changed:
            answer = self._answer(request)
        self._note(request, answer.status)
        return answer

    def _note(self, request: _Request, status: int | None) -> None:
        with self._changed:
            path = urlsplit(request.target).path.replace(self.token, "***")
            self.requests.append(
                DiscordRequest(
                    method=request.method, path=path, status=status, at_seconds=request.at_seconds
                )
            )
            self._changed.notify_all()

    def _answer(self, request: _Request) -> DiscordAnswer:
        url = urlsplit(request.target)
        match = re.fullmatch(r"/api(?:/v(\d+))?/webhooks/(\d+)/([^/]+)", url.path)
        if match is None:
            return _error(HTTPStatus.NOT_FOUND, 0, "404: Not Found")
        if match[1] not in {"9", "10"}:
            return _error(HTTPStatus.BAD_REQUEST, 50041, "Invalid API version")
        if match[2] != self.webhook_id:
            return DiscordAnswer.unknown_webhook()
        if match[3] != self.token:
            return DiscordAnswer.invalid_token()
        headers = self._count_request()
        if headers.pop("refused", None):
            return DiscordAnswer.too_many_requests(
                float(headers["X-RateLimit-Reset-After"]), headers
            )
        if request.method == "GET":
            webhook = {"id": self.webhook_id, "type": 1, "name": "example", "token": self.token}
            return DiscordAnswer(body=webhook, headers=headers)
        if request.method != "POST":
            return _error(HTTPStatus.METHOD_NOT_ALLOWED, 0, "405: Method Not Allowed")
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        answer = self._post(request, query)
        return DiscordAnswer(status=answer.status, body=answer.body, headers=headers)

    def _count_request(self) -> dict[str, str]:
        now = time.monotonic()
        if now >= self._window_ends_at_seconds:
            self._window_ends_at_seconds = now + self._window_seconds
            self._left_in_window = self._requests_per_window
        reset_after = self._window_ends_at_seconds - now
        refused = self._left_in_window <= 0
        self._left_in_window = max(0, self._left_in_window - 1)
        reset_at = time.time() + self._wall_clock_offset_seconds + reset_after
        headers = {
            "X-RateLimit-Limit": str(self._requests_per_window),
            "X-RateLimit-Remaining": str(self._left_in_window),
            "X-RateLimit-Reset": f"{reset_at:.3f}",
            "X-RateLimit-Reset-After": f"{reset_after:.3f}",
            "X-RateLimit-Bucket": "abcd1234",
        }
        if refused:
            headers |= {
                "refused": "yes",
                "Retry-After": str(math.ceil(reset_after)),
                "X-RateLimit-Scope": "user",
            }
        return headers

    def _post(self, request: _Request, query: Mapping[str, str]) -> DiscordAnswer:
        if len(request.body) > REQUEST_MAX_BYTES:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 40005, "Request entity too large")
        try:
            payload, files = _parse(request)
        except ValueError:
            message = "The request body contains invalid JSON."
            return _error(HTTPStatus.BAD_REQUEST, 50109, message)
        if any(len(content) > FILE_BYTES for _, content in files):
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 40005, "Request entity too large")
        if is_empty(payload, files):
            return _error(HTTPStatus.BAD_REQUEST, 50006, "Cannot send an empty message")
        errors = form_errors(payload, files)
        if errors:
            return _error(HTTPStatus.BAD_REQUEST, 50035, "Invalid Form Body", errors)
        threads = ("thread_id" in query) + ("thread_name" in payload)
        if self.is_forum and threads != 1:
            message = "Webhooks posted to forum channels must have a thread_name or thread_id"
            return _error(HTTPStatus.BAD_REQUEST, 220001, message)
        self.messages.append(
            DiscordMessage(
                payload=payload,
                files=tuple(files),
                query=query,
                headers=dict(request.headers),
                at_seconds=request.at_seconds,
            )
        )
        if query.get("wait") != "true":
            return DiscordAnswer(status=HTTPStatus.NO_CONTENT)
        self._last_id += 1
        return DiscordAnswer(
            body={"id": str(self._last_id), "webhook_id": self.webhook_id, **payload}
        )


class _Request:
    """A request that has been read."""

    def __init__(self, handler: LoopbackHandler, body: bytes) -> None:
        self.method = handler.command
        self.target = handler.path
        self.headers = handler.headers
        self.body = body
        self.at_seconds = time.monotonic()
        self._connection = handler.connection

    def header(self, name: str) -> str:
        return str(self.headers.get(name, ""))

    def client_has_left(self) -> bool:
        """Whether the client has closed its end."""
        try:
            with selectors.DefaultSelector() as ready:
                ready.register(self._connection, selectors.EVENT_READ)
                return bool(ready.select(0)) and not self._connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):  # its own end is closed
            return True


def _parse(request: _Request) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """The message and its files.

    Raises:
        ValueError: It can't be read.
    """
    content_type = request.header("Content-Type")
    files: list[tuple[str, bytes]] = []
    encoded = request.body
    if content_type.startswith("multipart/form-data"):
        boundary = content_type.partition("boundary=")[2].strip('"').encode()
        encoded = b""
        for part in request.body.split(b"--" + boundary)[1:-1]:
            head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            content = content.removesuffix(b"\r\n")
            name = re.search(rb'[; ]name="([^"]*)"', head)
            filename = re.search(rb'filename="([^"]*)"', head)
            if name is not None and name[1] == b"payload_json":
                encoded = content
            elif filename is not None:
                files.append((filename[1].decode(), content))
    payload = json.loads(encoded)
    if not isinstance(payload, dict):
        raise ValueError("no object")  # noqa: TRY004 - as for what is no JSON at all
    return payload, files


def _error(
    status: int, code: int, message: str, errors: Mapping[str, Any] | None = None
) -> DiscordAnswer:
    body = {"message": message, "code": code, **({"errors": errors} if errors else {})}
    return DiscordAnswer(status=status, body=body)


class _RequestHandler(LoopbackHandler):
    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = self.server.service.respond(_Request(self, body))
        if answer is None:
            # Closed so, a connection is reset and not ended.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            return
        is_text = isinstance(answer.body, str)
        payload = answer.body.encode() if is_text else json.dumps(answer.body).encode()
        if answer.body is None:
            payload = b""
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/html" if is_text else "application/json")
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(payload)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _respond  # noqa: N815 - http.server's names
