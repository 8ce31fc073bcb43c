"""``DeltaHandler``: log records go to a Delta table, and none is lost on the way."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from threading import get_ident
from typing import TYPE_CHECKING, Literal

from spectra_logging import lakehouse
from spectra_logging.errors import ConfigurationError
from spectra_logging.feedback import is_from_worker, worker_idents
from spectra_logging.forks import at_fork, catch_up_with_fork
from spectra_logging.handlers.background import BackgroundHandler, level_of
from spectra_logging.handlers.options import check_choice, check_count, check_level, check_seconds
from spectra_logging.journal.appender import Appender, append_early
from spectra_logging.journal.folder import (
    drain_command,
    journal_figures,
    make_folder,
    open_folder,
)
from spectra_logging.journal.state import StateFile
from spectra_logging.lakehouse.choice import check_choice_of_engine
from spectra_logging.lakehouse.storage import check_storage_options
from spectra_logging.paths import resolve_table
from spectra_logging.record import RowEncoder
from spectra_logging.redaction import redact_text
from spectra_logging.reporter import why_dropped
from spectra_logging.stderr import tell
from spectra_logging.tables import load_spec
from spectra_logging.writer import Writer

if TYPE_CHECKING:
    from spectra_logging.lakehouse.base import Lakehouse
    from spectra_logging.stats import HandlerStats

__all__ = ["DeltaHandler"]

SMALLEST_JOURNAL_BYTES = 1 << 20


def _take_none(_record: logging.LogRecord) -> bytes | None:
    """Sends every record of a subclass with an ``emit`` of its own through that."""
    return None


class DeltaHandler(BackgroundHandler):
    """Writes log records to a Delta table, each exactly once.

    A log call appends its row to a journal on the local disk and returns: from then on not even
    ``kill -9`` loses it. A background thread commits what the journal holds, for every process that
    logs to the same table on this machine, in one commit an interval. What a process leaves behind
    is committed by the next that logs there with the same spec, or by ``spectra log drain``.

    No log call raises, whatever it is given and whatever fails below. What becomes of the records
    is told by :meth:`stats`, and trouble by the logger ``spectra_logging``.

    Args:
        table: Path, ``Tables/<schema>/<table>`` below the default lakehouse, or object-store URI.
        spec: The rows' columns: ``events``, ``activity``, or ``package.module:NAME`` of a
            :class:`~spectra_logging.tables.TableSpec`.
        engine: ``auto``, or one of :data:`spectra_logging.lakehouse.ENGINES`.
        storage_options: Options of the object store, as delta-rs takes them.
        level: Lowest level to handle, by name or number.
        flush_interval_seconds: How long a record may wait for its commit.
        flush_level: A record of this level or above is committed without waiting.
        journal_directory: Folder for the journals of all tables; by default
            ``SPECTRA_JOURNAL_DIRECTORY``, else the user's state folder. It must be on a local disk.
        journal_max_bytes: What the journal may take up on disk. When it is half full, it is
            committed without waiting for the interval.
        when_full: What gives way when it does: ``drop_oldest`` or ``drop_newest`` records, which
            are counted, or ``block``: the log call waits.
        block_timeout_seconds: How long ``block`` waits before the record is dropped after all.
        shutdown_timeout_seconds: How long :meth:`close`, and :meth:`flush` without a time-out of
            its own, wait for a table that does not answer. At 0 they begin no commit either.

    Raises:
        ConfigurationError: An option holds nonsense; the message names it and what it may be.
    """

    def __init__(
        self,
        table: str | os.PathLike[str],
        *,
        spec: str = "events",
        engine: Literal["auto", "deltalake", "spark"] = "auto",
        storage_options: Mapping[str, str] | None = None,
        level: int | str = 0,
        flush_interval_seconds: float = 5.0,
        flush_level: int | str = "ERROR",
        journal_directory: str | os.PathLike[str] | None = None,
        journal_max_bytes: int = 1 << 30,
        when_full: Literal["drop_oldest", "drop_newest", "block"] = "drop_oldest",
        block_timeout_seconds: float = 5.0,
        shutdown_timeout_seconds: float = 10.0,
    ) -> None:
        level = check_level("level", level)
        self.table = resolve_table(table)
        self.spec = load_spec(spec)
        lakehouse.check_engine(engine)
        check_choice_of_engine(engine, os.environ.get("SPECTRA_ENGINE"), self.table)
        self._engine = engine
        check_count(
            "journal_max_bytes", journal_max_bytes, least=SMALLEST_JOURNAL_BYTES, unit="bytes"
        )
        self._flush_level = check_level("flush_level", flush_level)
        check_seconds("shutdown_timeout_seconds", shutdown_timeout_seconds)
        check_choice("when_full", when_full, ("drop_oldest", "drop_newest", "block"))
        check_seconds("block_timeout_seconds", block_timeout_seconds)
        check_seconds("flush_interval_seconds", flush_interval_seconds, more_than_zero=True)
        self._encoder = RowEncoder(self.spec)
        self._directory = open_folder(self.table, spec, journal_directory)
        self._appender = Appender(
            self._directory,
            max_bytes=journal_max_bytes,
            when_full=when_full,
            block_timeout_seconds=block_timeout_seconds,
            on_segment=self.start,
            on_filling=self._bring_commit_forward,
            make_folder=lambda: make_folder(self._directory, self.table, spec),
        )
        # With the first handler, so that the package's import takes less.
        from spectra_logging.drain import Drainer

        self._writer = Writer(
            self._appender,
            Drainer(
                self._directory,
                self.table,
                self.spec,
                self._opening(storage_options),
            ),
            StateFile(self._directory),
            flush_interval_seconds=flush_interval_seconds,
        )
        self._begin()
        super().__init__(level, shutdown_timeout_seconds)

    def _begin(self) -> None:
        self._process_id = os.getpid()
        self._append_only = False
        self._told_pending = 0
        self._told_dropped = ""
        # Bound once: every log call goes this way.
        is_emit_ours = type(self).emit is DeltaHandler.emit
        self._encode_familiar = self._encoder.encode_familiar if is_emit_ours else _take_none
        self._append = self._appender.append

    # -- logging -----------------------------------------------------------------------------

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record, unless a filter stops it; what is taken is safe from the process's end."""
        # No record becomes familiar before emit() has seen one like it and had nothing to do but
        # to journal it. So for these, this is all that there is to do.
        if not self.filters:
            line = self._encode_familiar(record)
            if line is not None:
                try:
                    self._append(line)
                except Exception as error:  # noqa: BLE001 - a log call must not raise
                    self._give_up(error)
                return True
        return super().handle(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Journal a record; when this returns, it is safe from the process's end."""
        if getattr(record, "process", None) != self._process_id:
            # No call site is familiar to a child: it comes here, whoever has forked it.
            catch_up_with_fork()
        is_ours = (record.thread or get_ident()) in worker_idents
        if is_ours and is_from_worker(record):
            # What our own thread and the libraries below it log would feed us with ourselves.
            self._appender.count_dropped("own_thread")
            return
        try:
            is_urgent = record.levelno >= self._flush_level
        except TypeError:
            is_urgent = level_of(record) >= self._flush_level
        encoder = self._encoder
        try:
            self._append(
                encoder.encode_familiar(record)
                or encoder.encode(record, becomes_familiar=not (is_urgent or is_ours))
            )
        except Exception as error:  # noqa: BLE001 - a log call must not raise
            self._give_up(error)
            return
        if is_urgent:
            self.start()  # it may not have been possible to start it with the segment
            self._writer.request_commit()

    def _bring_commit_forward(self) -> None:
        self._writer.bring_forward()

    def _give_up(self, error: Exception) -> None:
        self._appender.count_dropped("internal_error")
        tell(f"a record was dropped: {type(error).__name__}: {error}")

    def start(self) -> None:
        """Start the background thread now rather than with the first record.

        For programs whose first record may come at interpreter exit, where Python 3.12 and later
        start no threads: the record would wait in the journal for the next process. Without effect
        where the thread runs, and in a forked child that may not use the engine.
        """
        catch_up_with_fork()
        if not self._append_only:
            self._writer.ensure_started()

    def flush(self, timeout_seconds: float | None = None) -> bool:  # type: ignore[override]
        """Wait until every record emitted so far is in the table.

        After a fork that is also what the children have journalled. In a forked child of a process
        that had loaded an engine, which may not use it, this waits for another process to commit,
        and only when given a time-out.

        Args:
            timeout_seconds: How long to wait; by default ``shutdown_timeout_seconds``.

        Returns:
            Whether they are, but for those that :meth:`stats` counts as set aside or dropped. If
            not, they are journalled still.
        """
        return super().flush(timeout_seconds)

    def _deliver(self, timeout_seconds: float | None) -> bool:
        position = self._appender.position()
        may_be_left = self._writer.has_forked and not self._writer.stopped
        is_settled = self._appender.is_settled(position) and not may_be_left
        if timeout_seconds is None and not self._shutdown_timeout_seconds:
            # At exit, a commit that nobody waits for would be within the engine while Python takes
            # its threads down; before 3.14 that may end the process by SIGSEGV.
            return is_settled
        if not is_settled:
            self.start()
        if timeout_seconds is None:
            alone = self._append_only or not self._writer.running
            timeout_seconds = 0.0 if alone else self._shutdown_timeout_seconds
        settled = self._writer.wait_until_settled(position, timeout_seconds)
        # At exit Python 3.12 starts no thread: then nobody has looked for what children have left.
        looked = self._writer.running or self._append_only or not may_be_left
        return settled and looked

    def close(self) -> None:
        """Flush, end the background thread and give the journal up, within the shutdown time-out.

        What could not be committed stays journalled and is told on stderr.
        """
        super().close()

    def _end(self, timeout_seconds: float) -> None:
        self._writer.stop(timeout_seconds)
        pending = self._appender.figures().pending
        if self._writer.has_forked and self._gave_up_at_seconds:
            pending = max(pending, self._pending_of_all())
        self._appender.close()
        # logging closes handlers once more at exit: what was told once is not told again.
        dropped = why_dropped(self._appender.dropped(), self._appender.why_unwritable())
        if dropped and dropped != self._told_dropped:
            self._told_dropped = dropped
            tell(f"records for {self.table} were dropped: {dropped}")
        if pending and pending != self._told_pending and not self._append_only:
            self._told_pending = pending
            self._tell_pending(pending)

    def _tell_pending(self, pending: int) -> None:
        problem = (self._writer.last_error or "").rstrip(".")
        drain = drain_command(self.table, self._directory)
        tell(
            f"{pending} records are not yet in {self.table}{problem and f' ({problem})'}. "
            f"They are journalled in {self._directory}; the next process that logs to the table "
            f"with the same spec commits them, and so does: {drain}"
        )

    def _pending_of_all(self) -> int:
        """What waits in the journal, that of forked children included."""
        try:
            return journal_figures(self._directory).pending_rows
        except (ConfigurationError, OSError):
            return 0  # It can't be read now, and there may be nothing.

    def renew_storage_options(self, storage_options: Mapping[str, str]) -> None:
        """Reach the table's store by other options from the next commit on.

        For a token that is over before the process is.

        Args:
            storage_options: All of the options, as the constructor takes them.

        Raises:
            ConfigurationError: They hold nonsense.
        """
        self._writer.reopen(self._opening(storage_options))

    def _opening(self, storage_options: Mapping[str, str] | None) -> Callable[[], Lakehouse]:
        engine, options = self._engine, check_storage_options(storage_options)
        return lambda: lakehouse.open_lakehouse(engine, storage_options=options)

    def stats(self) -> HandlerStats:
        """What became of the records that this process gave the handler."""
        catch_up_with_fork()
        # When first asked for, so that the package's import takes less.
        from spectra_logging.stats import HandlerStats

        figures = self._appender.figures()
        choice = self._writer.choice
        return HandlerStats(
            emitted=figures.emitted,
            written=figures.written,
            pending=figures.pending,
            quarantined=figures.quarantined,
            dropped=figures.dropped,
            engine=choice.engine if choice else None,
            engine_reason=choice.reason if choice else None,
            delivery=self._writer.delivery,
            journal_directory=str(self._directory),
            last_error=self._writer.last_error,
            last_commit=self._writer.last_commit,
            left_behind=self._writer.left_behind,
            unrecorded_runs=self._writer.unrecorded_runs,
        )

    def _after_fork_in_child(self) -> None:
        super()._after_fork_in_child()
        self._begin()
        self._writer.after_fork_in_child()
        self._append_only = lakehouse.is_loaded()

    def _after_fork_in_parent(self) -> None:
        self._writer.has_forked = True
        # The child may not use the engine then, and leaves its records to this process, also where
        # that has logged nothing itself.
        if lakehouse.is_loaded() and not self._writer.stopped:
            self.start()

    def __repr__(self) -> str:
        level = logging.getLevelName(self.level)
        return f"<{type(self).__name__} {redact_text(self.table)} ({level})>"


# Behind the hooks of all that is imported above, since this may start the thread.
at_fork(after_in_child=append_early)
