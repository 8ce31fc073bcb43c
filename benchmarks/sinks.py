"""Loopback servers that take what benchmarks/emit.py's remote peers send, and count it.

They run in the parent process, so that no peer shares its interpreter lock with its own sink.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Sinks:
    """Addresses of the servers, and how many records each has taken."""

    http_url: str = ""
    tcp_port: int = 0
    taken: dict[str, int] = field(default_factory=lambda: {"cloudwatch": 0, "lines": 0})


@contextlib.contextmanager
def running_sinks() -> Iterator[Sinks]:
    """Servers on free ports of 127.0.0.1, until the block ends."""
    sinks = Sinks()

    class Http(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = b""
            if self.headers.get("X-Amz-Target", "").endswith("PutLogEvents"):
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sinks.taken["cloudwatch"] += len(json.loads(body)["logEvents"])
                answer = b'{"nextSequenceToken": "1"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    class Lines(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while block := self.request.recv(1 << 16):
                sinks.taken["lines"] += block.count(b"\n")

    class LineServer(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Http) as http,
        LineServer(("127.0.0.1", 0), Lines) as lines,
    ):
        sinks.http_url = f"http://127.0.0.1:{http.server_port}"
        sinks.tcp_port = lines.server_address[1]
        http.daemon_threads = True
        for server in (http, lines):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield sinks
        finally:
            http.shutdown()
            lines.shutdown()
