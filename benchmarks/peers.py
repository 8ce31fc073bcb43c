"""The ways of a log call that benchmarks/emit.py compares, one class each.

Every peer gets the two extras to where it writes: a peer that threw them away would be measured at
less work. Each is set up as its own documentation shows.
"""

from __future__ import annotations

import contextlib
import logging
import queue
from abc import ABC, abstractmethod
from dataclasses import dataclass
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import Any

TEXT_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s order=%(order)s customer=%(customer)s"
LONGEST_SETTLE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a peer may write to.

    Args:
        folder: An empty folder of its own.
        cloudwatch_url: Takes CloudWatch's PutLogEvents.
        otlp_url: Takes OTLP over HTTP.
        logstash_port: Takes lines over TCP on 127.0.0.1.
    """

    folder: Path
    cloudwatch_url: str
    otlp_url: str
    logstash_port: int


class Peer(ABC):
    """One way of a log call."""

    through_stdlib = True
    """Whether it is a ``logging.Handler``, which structlog reaches too."""

    settles = True
    """Whether :meth:`settle` is done in seconds; if not, each round gets a new process."""

    @abstractmethod
    def open(self, surroundings: Surroundings) -> logging.Handler | None:
        """Make it ready; returns the handler where it is one."""

    def settle(self) -> None:  # noqa: B027 - most have nothing to wait for
        """Wait, outside of the measured time, until what it took is where it sends it.

        So that it does nothing any more while the NullHandler beside it is measured.
        """

    def delivered(self) -> int | None:
        """Records that have arrived; ``None`` where the sink counts, or nothing arrives."""
        return None

    def note(self) -> str:
        """Anything that a reader of its figures must know."""
        return ""


class Null(Peer):
    def open(self, surroundings: Surroundings) -> logging.Handler:
        return logging.NullHandler()


class File(Peer):
    def open(self, surroundings: Surroundings) -> logging.Handler:
        self._path = surroundings.folder / "app.log"
        handler = logging.FileHandler(self._path)
        handler.setFormatter(logging.Formatter(TEXT_FORMAT))
        return handler

    def delivered(self) -> int:
        return count_lines(self._path)


class Queue(File):
    def open(self, surroundings: Surroundings) -> logging.Handler:
        self._queue: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self._listener = QueueListener(self._queue, super().open(surroundings))
        self._listener.start()
        return QueueHandler(self._queue)

    def settle(self) -> None:
        self._listener.stop()
        self._listener.start()

    def note(self) -> str:
        return "its listener writes to a FileHandler"


class Watchtower(Peer):
    def open(self, surroundings: Surroundings) -> logging.Handler:
        import boto3
        import watchtower

        client = boto3.client(
            "logs",
            endpoint_url=surroundings.cloudwatch_url,
            region_name="eu-west-1",
            aws_access_key_id="example",
            aws_secret_access_key="example",
        )
        handler: logging.Handler = watchtower.CloudWatchLogHandler(
            log_group_name="benchmark",
            log_stream_name="emit",
            boto3_client=client,
            create_log_group=False,
            create_log_stream=False,
        )
        handler.setFormatter(
            watchtower.CloudWatchLogFormatter(
                add_log_record_attrs=("levelname", "name", "order", "customer")
            )
        )
        self._handler = handler
        return handler

    def settle(self) -> None:
        self._handler.flush()

    def note(self) -> str:
        return "sends to a stub of CloudWatch on loopback"


class OpenTelemetry(Peer):
    def open(self, surroundings: Surroundings) -> logging.Handler:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.instrumentation.logging.handler import LoggingHandler
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

        peer = self
        self._delivered = 0

        class Exporter(OTLPLogExporter):  # type: ignore[misc] # unknown to the checks
            def export(self, batch: Any) -> Any:
                peer._delivered += len(batch)
                return super().export(batch)

        self._provider = LoggerProvider()
        exporter = Exporter(endpoint=surroundings.otlp_url)
        self._provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        handler: logging.Handler = LoggingHandler(logger_provider=self._provider)
        return handler

    def settle(self) -> None:
        self._provider.force_flush()

    def delivered(self) -> int:
        return self._delivered

    def note(self) -> str:
        return "sends OTLP to a stub on loopback; drops what its queue of 2,048 can't take"


class LogstashAsync(Peer):
    settles = False
    database: str | None = None

    def open(self, surroundings: Surroundings) -> logging.Handler:
        from logstash_async.handler import AsynchronousLogstashHandler

        database = str(surroundings.folder / self.database) if self.database else None
        handler: logging.Handler = AsynchronousLogstashHandler(
            "127.0.0.1", surroundings.logstash_port, database_path=database
        )
        return handler

    def note(self) -> str:
        return "sends lines to a TCP server on loopback; a round's backlog takes it minutes"


class LogstashSqlite(LogstashAsync):
    database = "spool.db"


class Loguru(Peer):
    through_stdlib = False

    def open(self, surroundings: Surroundings) -> None:
        from loguru import logger

        self._path = surroundings.folder / "app.jsonl"
        logger.remove()
        logger.add(self._path, enqueue=True, serialize=True)
        self._logger = logger

    def settle(self) -> None:
        self._logger.complete()

    def delivered(self) -> int:
        return count_lines(self._path)

    def note(self) -> str:
        return "its own call, logger.bind(…).info(…), to a file of JSON; its queue crosses a pipe"


class Delta(Peer):
    flush_interval_seconds = 0.1
    """Short, so that the writer commits within the measured time and not only between slices."""

    def open(self, surroundings: Surroundings) -> logging.Handler:
        from spectra_logging import DeltaHandler

        self._handler = DeltaHandler(
            str(surroundings.folder / "Tables/log/events"),
            journal_directory=str(surroundings.folder / "journals"),
            flush_interval_seconds=self.flush_interval_seconds,
        )
        return self._handler

    def settle(self) -> None:
        self._handler.flush(LONGEST_SETTLE_SECONDS)
        # Which waits for the upkeep, too; the next record begins anew.
        self._handler.close()
        self._handler.start()

    def delivered(self) -> int:
        return self._handler.stats().written

    def note(self) -> str:
        commit = self._handler.stats().last_commit
        return (
            f"commits every {self.flush_interval_seconds} s; {commit.batch if commit else 0} so far"
        )


class DeltaBesideOpenTelemetry(Delta):
    """The same where OpenTelemetry is loaded, and so is asked for the active span."""

    def open(self, surroundings: Surroundings) -> logging.Handler:
        import opentelemetry.trace  # noqa: F401

        return super().open(surroundings)


PEERS: dict[str, type[Peer]] = {
    "NullHandler": Null,
    "FileHandler": File,
    "QueueHandler": Queue,
    "DeltaHandler": Delta,
    "DeltaHandler, OpenTelemetry loaded": DeltaBesideOpenTelemetry,
    "watchtower": Watchtower,
    "OpenTelemetry": OpenTelemetry,
    "python-logstash-async, memory": LogstashAsync,
    "python-logstash-async, SQLite": LogstashSqlite,
    "loguru enqueue": Loguru,
}


def count_lines(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    return 0
