"""A server on loopback that a fake of a web service is made of."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["LoopbackHandler", "LoopbackServer"]


class LoopbackServer:
    """A web service on a free port of 127.0.0.1, each connection on a thread of its own.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`.

    Args:
        handler: Answers the requests; it finds this object in ``self.server.service``.
        port: The port, for a service that is to come back where it was.
    """

    def __init__(self, handler: type[LoopbackHandler], port: int = 0) -> None:
        self._handler = handler
        self._port = port
        self._closing = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """``http://127.0.0.1:<port>``.

        Raises:
            RuntimeError: It is not running.
        """
        if self._server is None:
            raise RuntimeError(
                f"{type(self).__name__} is not running: call start(), or use it in a with block"
            )
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        """Listen and answer; one that does goes on."""
        if self._server is not None:
            return self
        self._closing.clear()
        self._server = _Server(self, self._handler, self._port)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            name=type(self).__name__,
            daemon=True,
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening; answers that are still being delayed are let go at once."""
        self._closing.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class LoopbackHandler(BaseHTTPRequestHandler):
    """Answers one request after the other on a connection, and says nothing on stderr."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two writes; without this, Nagle's algorithm delays each answer by 40 ms.
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing: services keep their requests."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A client that keeps its connection open must not keep stop() waiting.
    block_on_close = False

    def __init__(self, service: Any, handler: type[LoopbackHandler], port: int) -> None:
        self.service = service
        super().__init__(("127.0.0.1", port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away; it may have been told to."""
