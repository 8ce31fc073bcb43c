"""A front of a store that fails at times, since no emulator does.

``python -m tests.relay PORT METHOD PATTERN FATE`` hands requests on to the store on that port, and
prints its own. A request with that method, for an address that the pattern is found in, is answered
by ``FATE``, a status and S3's word for it; where that is ``lost``, handed on and never answered.

A process of its own: delta-rs holds the GIL while it waits for some answers.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["failing_front"]


@contextlib.contextmanager
def failing_front(port: int, method: str, pattern: str, fate: str) -> Iterator[int]:
    """Put such a front up; gives its port."""
    command = [sys.executable, "-m", "tests.relay", str(port), method, pattern, fate]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _serve(port: int, method: str, pattern: str, fate: str) -> None:
    class Front(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fails = self.command == method and re.search(pattern, self.path) is not None
            if fails and fate != "lost":
                status, _, word = fate.partition(" ")
                self.answer(int(status), {}, f"<Error><Code>{word}</Code></Error>".encode())
                return
            store = http.client.HTTPConnection("127.0.0.1", port)
            store.request(self.command, self.path, body, dict(self.headers))
            found = store.getresponse()
            content = found.read()
            if fails:
                self.close_connection = True
                return
            self.answer(found.status, dict(found.getheaders()), content)

        def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            length = str(len(content))
            if self.command == "HEAD":
                length = headers.get("Content-Length", length)
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = relay  # noqa: N815 - http.server's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), *sys.argv[2:])
