"""From a log call to a row of a Delta table, through ``DeltaHandler`` and a real table."""

from __future__ import annotations

import datetime as dt
import errno
import json
import logging
import logging.config
import os
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from spectra_logging.drain import drain_journals
from spectra_logging.errors import ConfigurationError, SpectraWarning
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.journal.locks import FileLock
from spectra_logging.paths import journal_folder_name
from spectra_logging.stats import HandlerStats
from spectra_logging.tables import ACTIVITY_LOG, EVENT_LOG, Column, TableSpec
from tests.handlers import attach
from tests.programs import run_program, wait_until
from tests.tables import column, read_rows, row_count

UTC = dt.timezone.utc
NO_CONDITION = "disabled"
"""An option's value that is refused, as a setting somewhere may hold it."""

DEMANDING = TableSpec(
    name="log.demanding",
    json_column="rest",
    columns=(
        Column(name="function", type="string", nullable=False),
        Column(name="line", type="integer", nullable=False),
        Column(name="process_id", type="long", nullable=False),
        Column(name="rest", type="string"),
    ),
)


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Where a table would be."""
    return str(tmp_path / "Tables" / "log" / "events")


def balanced(stats: HandlerStats) -> bool:
    """Whether the figures add up."""
    return stats.emitted == (
        stats.written + stats.pending + stats.quarantined + sum(stats.dropped.values())
    )


def test_copies_of_a_journal_cost_each_other_no_record(
    logger: logging.Logger, table: str, tmp_path: Path
) -> None:
    """Containers of one image, in which a process had logged, share its journal's numbers."""
    folders = [str(tmp_path / name) for name in ("image", "first", "second")]
    builder = attach(logger, table, journal_directory=folders[0])
    logger.info("in the image")
    builder.close()
    for folder in folders[1:]:
        shutil.copytree(folders[0], folder)
    handlers = [attach(logger, table, journal_directory=folder) for folder in folders[1:]]
    for number in range(3):
        for name, handler in zip(folders[1:], handlers, strict=True):
            handler.handle(logging.LogRecord("t", 20, "", 0, f"{name} {number}", (), None))
            assert handler.flush(30)
    logged = [f"{name} {number}" for name in folders[1:] for number in range(3)]
    assert sorted(column(table)) == sorted(["in the image", *logged])


def test_every_column_of_the_event_log_lands_with_its_value_and_type(
    logger: logging.Logger, table: str
) -> None:
    """Exact values, read back by DuckDB, and exact types, by delta-rs and Polars."""
    handler = attach(logger, table)
    before = dt.datetime.now(UTC)
    try:
        raise ValueError("out of stock")  # noqa: TRY301 - the traceback is to be logged
    except ValueError:
        logger.exception(
            "sold %d", 3, extra={"execution_id": "nb_1", "entity": "book", "trace_id": "a" * 32}
        )
    assert handler.flush(30)
    (row,) = read_rows(table)
    assert before - dt.timedelta(milliseconds=1) <= row.pop("recorded_at") <= dt.datetime.now(UTC)
    assert row.pop("exception").endswith("ValueError: out of stock")
    assert isinstance(row.pop("line"), int)
    assert json.loads(row.pop("context")) == {"entity": "book"}
    assert row == {
        "level": "ERROR",
        "logger": "tests.logger",
        "event": "sold 3",
        "execution_id": "nb_1",
        "module": "test_delta_handler",
        "function": "test_every_column_of_the_event_log_lands_with_its_value_and_type",
        "thread": threading.current_thread().name,
        "process_id": os.getpid(),
        "host": socket.gethostname(),
        "trace_id": "a" * 32,
        "span_id": None,
    }
    delta_types = {f.name: (f.type.type, f.nullable) for f in DeltaTable(table).schema().fields}
    assert delta_types == {c.name: (c.type, c.nullable) for c in EVENT_LOG.columns}
    frame = pl.read_delta(table)
    assert frame.schema["recorded_at"] == pl.Datetime("us", "UTC")
    assert frame.schema["line"] == pl.Int32


def test_every_column_of_the_activity_log_lands_with_its_value_and_type(
    logger: logging.Logger, table: str
) -> None:
    """Each column given through ``extra`` comes back as it was given."""
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    given: dict[str, Any] = {}
    for spec_column in ACTIVITY_LOG.columns:
        if spec_column.name not in ("event", "level", "recorded_at", "host", "process_id"):
            given[spec_column.name] = {
                "string": f"value of {spec_column.name}",
                "timestamp": moment,
                "double": 1.25,
                "long": 2**40,
            }[spec_column.type]
    given["metadata"] = {"a": 1}
    handler = attach(logger, table, spec="activity")
    logger.info("record", extra=given)
    assert handler.flush(30)
    (row,) = read_rows(table)
    assert json.loads(row.pop("metadata")) == given.pop("metadata")
    assert row.pop("recorded_at").tzinfo is not None
    assert row == {
        **given,
        "event": "record",
        "level": "INFO",
        "host": socket.gethostname(),
        "process_id": os.getpid(),
    }
    delta_types = {f.name: (f.type.type, f.nullable) for f in DeltaTable(table).schema().fields}
    assert delta_types == {c.name: (c.type, c.nullable) for c in ACTIVITY_LOG.columns}


def test_records_of_ten_threads_land_once_each(logger: logging.Logger, table: str) -> None:
    """Every record of every thread, with its own thread's name."""
    handler = attach(logger, table)

    def work(number: int) -> None:
        for n in range(100):
            logger.info("%d/%d", number, n)

    threads = [threading.Thread(target=work, args=(i,), name=f"worker {i}") for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handler.flush(30)
    rows = read_rows(table)
    assert sorted(row["event"] for row in rows) == sorted(
        f"{i}/{n}" for i in range(10) for n in range(100)
    )
    assert all(row["thread"] == f"worker {row['event'].split('/')[0]}" for row in rows)


def test_the_figures_add_up_at_every_stage(logger: logging.Logger, table: str) -> None:
    """Pending becomes written; the last commit says what it was."""
    handler = attach(logger, table)
    assert handler.stats().emitted == 0
    logger.info("one")
    logger.info("two")
    stats = handler.stats()
    assert (stats.emitted, stats.pending, stats.written) == (2, 2, 0)
    assert handler.flush(30)
    stats = handler.stats()
    assert (stats.emitted, stats.pending, stats.written) == (2, 0, 2)
    assert stats.engine == "deltalake"
    assert stats.last_error is None
    assert stats.last_commit is not None
    assert stats.last_commit.rows == 2
    logger.info("three")
    assert balanced(handler.stats())


def test_the_figures_add_up_while_records_flow(logger: logging.Logger, table: str) -> None:
    """A thread that asks all the time never sees a record twice or not at all."""
    handler = attach(logger, table, flush_interval_seconds=0.01)
    done = threading.Event()

    def work() -> None:
        for n in range(3000):
            logger.info("%d", n)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    last_written = 0
    while not done.is_set():
        stats = handler.stats()
        assert balanced(stats)
        assert stats.written >= last_written
        last_written = stats.written
    thread.join()
    assert handler.flush(30)
    assert handler.stats().written == row_count(table) == 3000


def test_a_record_at_the_flush_level_is_committed_without_waiting(
    logger: logging.Logger, table: str
) -> None:
    """The interval is an hour, and yet the error lands, with what came before it."""
    handler = attach(logger, table, flush_level="ERROR")
    logger.info("before")
    logger.error("now")
    deadline = time.monotonic() + 30
    while handler.stats().pending and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert column(table) == ["before", "now"]


def test_a_record_is_committed_when_the_interval_has_passed(
    logger: logging.Logger, table: str
) -> None:
    """Without anybody asking."""
    handler = attach(logger, table, flush_interval_seconds=0.05)
    logger.info("once")
    deadline = time.monotonic() + 30
    while handler.stats().pending and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert column(table) == ["once"]


def test_one_flush_is_one_commit(logger: logging.Logger, table: str) -> None:
    """However many records it is for."""
    handler = attach(logger, table)
    for n in range(1000):
        logger.info("%d", n)
    assert handler.flush(30)
    assert DeltaTable(table).version() == 1, "version 0 made the table, 1 holds the rows"


def test_filters_apply_and_may_replace_the_record(logger: logging.Logger, table: str) -> None:
    """As for any handler."""
    handler = attach(logger, table)
    handler.addFilter(lambda record: "secret" not in record.getMessage())
    logger.info("public")
    logger.info("secret")
    assert handler.flush(30)
    assert column(table) == ["public"]


def test_handle_says_whether_a_record_was_taken(logger: logging.Logger, table: str) -> None:
    """By a bool, as a subclass's own may that the standard library's types are held to."""
    handler = attach(logger, table)
    handler.addFilter(lambda record: record.getMessage() != "secret")
    taken: list[bool] = [
        handler.handle(logging.makeLogRecord({"msg": text})) for text in ("public", "secret")
    ]
    assert taken == [True, False]


def test_records_that_are_familiar_pass_filters_and_an_emit_of_a_subclass_too(
    logger: logging.Logger, table: str
) -> None:
    """What comes again and again from one call site takes no way around either."""

    class Numbering(DeltaHandler):
        numbered = 0

        def emit(self, record: logging.LogRecord) -> None:
            self.numbered += 1
            record.number = self.numbered
            super().emit(record)

    plain, numbering = attach(logger, table), Numbering(table)
    logger.addHandler(numbering)
    for n in range(4):
        if n == 2:
            plain.addFilter(lambda record: vars(record)["n"] != 2)
        logger.info("sold", extra={"n": n})
    assert numbering.numbered == 4
    assert plain.stats().emitted == 3
    assert plain.flush(30)
    assert numbering.flush(30)
    numbering.close()
    contexts = [json.loads(row["context"]) for row in read_rows(table)]
    numbered = sorted(c["n"] for c in contexts if "number" in c)
    assert (numbered, len(contexts)) == ([0, 1, 2, 3], 7)


def test_a_level_below_the_handler_s_is_not_handled(logger: logging.Logger, table: str) -> None:
    """Level by name, as in a configuration file."""
    handler = attach(logger, table, level="WARNING")
    logger.info("low")
    logger.warning("high")
    assert handler.flush(30)
    assert column(table) == ["high"]


def test_a_dict_config_of_plain_values_builds_it(table: str) -> None:
    """As read from YAML or JSON; applying it twice closes the first handler and loses nothing."""
    config = json.loads(
        json.dumps(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {
                    "delta": {
                        "class": "spectra_logging.DeltaHandler",
                        "table": table,
                        "flush_interval_seconds": 3600,
                        "level": "INFO",
                    }
                },
                "loggers": {"tests.config": {"handlers": ["delta"], "level": "DEBUG"}},
            }
        )
    )
    logging.config.dictConfig(config)
    logging.getLogger("tests.config").info("first")
    logging.config.dictConfig(config)
    logging.getLogger("tests.config").info("second")
    config["handlers"], config["loggers"] = {}, {"tests.config": {"handlers": []}}
    logging.config.dictConfig(config)
    assert column(table) == ["first", "second"]


@pytest.mark.parametrize("given", ["cfg://store.put", f"ext://{__name__}.NO_CONDITION"])
def test_a_dict_config_s_references_stand_for_storage_options_too(table: str, given: str) -> None:
    """A store's secret is in no file of configuration, which names the setting that holds it."""
    delta = {
        "class": "spectra_logging.DeltaHandler",
        "table": table,
        "storage_options": {"conditional_put": given},
    }
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"delta": delta},
        "store": {"put": NO_CONDITION},
    }
    with pytest.raises(ValueError, match="delta") as refused:
        logging.config.dictConfig(config)
    assert "='disabled' takes from S3" in str(refused.value.__cause__)


def test_two_handlers_on_one_table_do_not_disturb_each_other(
    logger: logging.Logger, table: str
) -> None:
    """Both land their records once; each counts its own."""
    one, two = attach(logger, table), attach(logger, table)
    logger.info("twice")
    assert one.flush(30)
    assert two.flush(30)
    assert column(table) == ["twice", "twice"]
    assert one.stats().written == two.stats().written == 1


def test_what_a_process_left_is_committed_by_the_next(logger: logging.Logger, table: str) -> None:
    """A handler whose table could not be reached leaves its records to the next one."""
    Path(table).parent.mkdir(parents=True)
    Path(table).write_text("a file where the table should be")
    first = attach(logger, table, shutdown_timeout_seconds=0.2)
    logger.info("left")
    assert not first.flush(0.2)
    logger.removeHandler(first)
    first.close()
    Path(table).unlink()
    second = attach(logger, table)
    logger.info("new")
    assert second.flush(30)
    assert column(table) == ["left", "new"]
    assert (second.stats().emitted, second.stats().written) == (1, 1)


def test_a_journal_that_nobody_owns_can_be_drained_by_hand(
    logger: logging.Logger, table: str
) -> None:
    """``drain_journals`` commits it, once."""
    Path(table).parent.mkdir(parents=True)
    Path(table).write_text("a file where the table should be")
    handler = attach(logger, table, shutdown_timeout_seconds=0.1)
    logger.info("left")
    logger.removeHandler(handler)
    handler.close()
    Path(table).unlink()
    report = drain_journals(table)
    assert (report.rows, report.batches, report.quarantined) == (1, 1, 0)
    assert drain_journals(table).rows == 0
    assert column(table) == ["left"]


def test_a_drain_by_hand_does_the_table_s_upkeep(
    logger: logging.Logger, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all programs are killed before they drain, no other process would do it."""
    monkeypatch.setattr("spectra_logging.drain.UPKEEP_EVERY_VERSIONS", 1)
    handler = attach(logger, table, shutdown_timeout_seconds=0.0)
    logger.info("left")
    handler.close()
    assert drain_journals(table).rows == 1
    assert Path(table, "_delta_log", "_last_checkpoint").exists()


def test_a_table_that_conflicts_is_told_and_the_records_are_kept(
    logger: logging.Logger, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning lists the difference; once the table is out of the way the records land."""
    write_deltalake(table, pl.DataFrame({"event": [1], "level": ["x"]}))
    handler = attach(logger, table)
    logger.info("kept")
    assert not handler.flush(0.5)
    wait_until(lambda: handler.stats().last_error is not None)
    stats = handler.stats()
    assert stats.pending == 1
    assert stats.last_error is not None
    assert "SchemaConflictError" in stats.last_error
    assert "event" in stats.last_error
    assert "stay journalled" in caplog.text
    os.rename(table, table + ".old")
    assert handler.flush(30)
    assert column(table) == ["kept"]
    assert handler.stats().last_error is None


def test_a_table_that_vanishes_is_made_again(logger: logging.Logger, table: str) -> None:
    """Somebody who clears a folder does not stop the log."""
    handler = attach(logger, table)
    logger.info("one")
    assert handler.flush(30)
    os.rename(table, table + ".old")
    logger.info("two")
    assert handler.flush(30)
    assert column(table) == ["two"]


def test_an_object_store_that_can_not_be_reached_keeps_the_records(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the log call nor the exit waits for it; the error names it, and no password."""
    handler = attach(
        logger,
        "s3://bucket.example.com/log/events",
        shutdown_timeout_seconds=0.2,
        storage_options={
            "AWS_ENDPOINT_URL": "http://store:correct-horse@127.0.0.1:9",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "key",
            "max_retries": "0",
            "retry_timeout": "1s",
        },
    )
    logger.info("kept")
    handler.flush(5)
    stats = handler.stats()
    assert stats.pending == 1
    assert stats.last_error is not None
    assert "s3://bucket.example.com/log/events" in stats.last_error
    logger.removeHandler(handler)
    handler.close()
    told = capsys.readouterr().err
    assert "1 records are not yet in s3://bucket.example.com/log/events" in told
    assert "http://store:***@127.0.0.1:9" in stats.last_error
    assert "correct-horse" not in told + caplog.text + stats.last_error


def test_a_journal_folder_that_can_not_be_written_is_told_and_another_serves(
    logger: logging.Logger, table: str
) -> None:
    """No user can make folders in /proc, root neither."""
    with pytest.warns(SpectraWarning, match="journal_directory='/proc/journals' can't be written"):
        handler = attach(logger, table, journal_directory="/proc/journals")
    logger.info("kept")
    assert handler.flush(30)
    assert column(table) == ["kept"]


def test_where_no_folder_can_be_written_to_the_error_names_the_option(
    table: str, tmp_path: Path
) -> None:
    """As in a container whose file system is read-only; dictConfig reports it at once."""
    done = run_program(
        """
        import resource
        from spectra_logging.errors import ConfigurationError
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        try:
            DeltaHandler(table, journal_directory=arguments[0])
        except ConfigurationError as error:
            print(error)
        """,
        table,
        tmp_path / "journals",
    )
    assert done.returncode == 0, done.stderr
    assert f"journal_directory={str(tmp_path / 'journals')!r} can't be written to" in done.stdout
    assert "neither can a folder for temporary files" in done.stdout


def test_a_temporary_folder_that_another_user_has_made_is_no_place_for_a_journal(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name can be foreseen, and who owns it reads what is in it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"spectra-logging-{os.getuid()}").mkdir()
    # Only root could give it away.
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigurationError, match="it is another user's"):
        DeltaHandler(table, journal_directory="/proc/journals")
    assert list(tmp_path.glob("*/*")) == []


def test_a_temporary_folder_for_a_journal_is_its_user_s_alone(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was made before, by whatever release, and is open to others."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"spectra-logging-{os.getuid()}" / journal_folder_name(table, "events")
    folder.mkdir(parents=True)
    for path in (folder, folder.parent):
        path.chmod(0o777)
    with pytest.warns(SpectraWarning, match="journalled in"):
        handler = DeltaHandler(table, journal_directory="/proc/journals")
    assert handler.stats().journal_directory == str(folder)
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700] * 2


@pytest.mark.parametrize("name", ["s" * 130 + "/" + "t" * 130, "t" * 255])
def test_a_table_s_name_may_be_as_long_as_its_file_system_has_it(
    logger: logging.Logger, tmp_path: Path, name: str
) -> None:
    """The journal's folder is named for the table, and tells two such tables apart all the same."""
    tables = [str(tmp_path / name), str(tmp_path / name[:-1])]
    folders = set()
    for table in tables:
        handler = attach(logger, table)
        logger.info("kept")
        assert handler.flush()
        folders.add(handler.stats().journal_directory)
        logger.removeHandler(handler)
        handler.close()
    assert len(folders) == 2
    assert [len(read_rows(table)) for table in tables] == [1, 1]


def test_a_journal_folder_on_a_share_without_locks_is_told_and_another_serves(
    logger: logging.Logger, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each record would be dropped there, as no process could show that it lives."""
    share, acquire = tmp_path / "share", FileLock.acquire

    def acquire_elsewhere(lock: FileLock, timeout_seconds: float = 0.0) -> bool:
        if lock.path.is_relative_to(share):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        return acquire(lock, timeout_seconds)

    monkeypatch.setattr(FileLock, "acquire", acquire_elsewhere)
    with pytest.warns(SpectraWarning, match=os.strerror(errno.ENOLCK)):
        handler = attach(logger, table, journal_directory=str(share))
    logger.info("kept")
    assert handler.flush(30)
    assert column(table) == ["kept"]
    (folder,) = share.iterdir()
    assert [path.name for path in folder.iterdir()] == ["journal.json"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("spec", "nonsense", "spec='nonsense' is not known; spec may be activity, events or"),
        ("spec", EVENT_LOG, "spec=the TableSpec 'log.events' itself is no name; spec may be"),
        ("spec", ["events"], "spec=['events'] is no name; spec may be activity, events or"),
        ("spec", "spectra_logging.tables:load_spec", "is a function"),
        ("spec", "no.such.module:SPEC", "can't be loaded"),
        ("spec", ".relative:SPEC", "can't be loaded"),
        ("journal_directory", 5, "journal_directory=5 must be a folder's path"),
        ("journal_directory", "~no-such-user/j", "'~no-such-user/j' begins with ~"),
        ("engine", "sqlite", "engine='sqlite'"),
        ("level", "LOUD", "level='LOUD'"),
        ("flush_level", 1.5, "flush_level=1.5"),
        ("flush_interval_seconds", 0, "flush_interval_seconds=0 must be a number of seconds, more"),
        ("flush_interval_seconds", "5", "flush_interval_seconds='5'"),
        ("block_timeout_seconds", -1, "block_timeout_seconds=-1"),
        ("shutdown_timeout_seconds", float("nan"), "shutdown_timeout_seconds=nan"),
        ("journal_max_bytes", 1000, "journal_max_bytes=1000 must be a whole number of bytes"),
        ("when_full", "explode", "when_full='explode' may be drop_oldest, drop_newest, block"),
        ("storage_options", {"key": 1}, "storage_options['key'] is of type int"),
        ("storage_options", "key=1", "storage_options must be a mapping"),
    ],
)
def test_nonsense_is_refused_at_construction(
    table: str, option: str, value: object, said: str
) -> None:
    """The message names the option, the value and what it may be."""
    with pytest.raises(ConfigurationError) as refused:
        DeltaHandler(table, **{option: value})  # type: ignore[arg-type]
    assert said in str(refused.value)


@pytest.mark.parametrize("table", ["", "  ", "s3://", None, "bad\0path"])
def test_a_table_that_is_no_place_is_refused(table: str) -> None:
    """With what a table may be."""
    with pytest.raises(ConfigurationError, match="table may be a path"):
        DeltaHandler(table)


def test_a_table_at_the_home_of_nobody_is_refused() -> None:
    """By a message that names it."""
    with pytest.raises(ConfigurationError, match="table='~no-such-user/t' begins with ~"):
        DeltaHandler("~no-such-user/t")


def test_construction_starts_no_thread_and_loads_no_engine(table: str) -> None:
    """Importing and configuring must leave a process free to fork."""
    before = threading.active_count()
    handler = DeltaHandler(table)
    assert threading.active_count() == before
    assert handler.stats().engine is None
    handler.close()


@pytest.mark.parametrize("level", [None, "ERROR", "40"])
def test_a_record_whose_level_is_no_number_lands(
    logger: logging.Logger, table: str, level: Any
) -> None:
    """``makeLogRecord`` leaves it ``None`` when the other side has sent none."""
    handler = attach(logger, table)
    for name in ("ERROR", "unheard of"):
        sent = {"name": "tests", "msg": f"from {name}", "levelname": name, "levelno": level}
        handler.handle(logging.makeLogRecord(sent))
    assert handler.flush(30)
    assert column(table) == ["from ERROR", "from unheard of"]


@pytest.mark.parametrize(
    ("odd", "landed"),
    [
        ({"name": None}, {"logger": "unknown"}),
        ({"name": 5}, {"logger": "5"}),
        ({"levelname": None}, {"level": "NOTSET"}),
        ({"levelname": ["INFO"]}, {"level": '["INFO"]'}),
        ({"lineno": "?"}, {"line": None, "context": '{"lineno":"?"}'}),
        ({"process": "web-1"}, {"process_id": None, "context": '{"process":"web-1"}'}),
        ({"process": 1 << 40}, {"process_id": None, "context": '{"process":1099511627776}'}),
        ({"threadName": 7, "funcName": 8, "module": 9}, {"thread": "7", "function": "8"}),
    ],
)
def test_a_record_of_odd_attributes_lands(
    logger: logging.Logger, table: str, odd: dict[str, object], landed: dict[str, object]
) -> None:
    """As another process or a filter may make it: the table would refuse such a row."""
    handler = attach(logger, table)
    for _ in range(2):
        sent = {"name": "tests", "msg": "sold", "levelname": "INFO", "levelno": logging.INFO}
        handler.handle(logging.makeLogRecord({**sent, **odd}))
    assert handler.flush(30)
    assert handler.stats().quarantined == 0
    for row in read_rows(table):
        assert landed.items() <= row.items()
    assert row_count(table) == 2


def test_a_record_without_what_columns_demand_lands(logger: logging.Logger, table: str) -> None:
    """The columns of a spec of one's own, which a record fills itself, may forbid null."""
    handler = attach(logger, table, spec=f"{__name__}:DEMANDING")
    handler.handle(logging.makeLogRecord({"msg": "sold", "lineno": None, "process": None}))
    assert handler.flush(30)
    (row,) = read_rows(table, order_by="rest")
    assert (row["function"], row["line"], row["process_id"]) == ("", 0, 0)
