"""How a process ends: bounded, with its records in the table or journalled and told."""

from __future__ import annotations

import shlex
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from spectra_logging.drain import drain_journals
from spectra_stage.cli.app import app
from tests.programs import run_program
from tests.tables import column


@pytest.fixture
def silent_server() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for connection in taken:
            connection.close()


ENDINGS = {
    "by itself": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an uncaught exception": ("raise RuntimeError('boom')", 1),
    "an atexit hook that logs": ("atexit.register(logger.info, 'at exit')", 0),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_logged_lands_however_the_program_ends(tmp_path: Path, ending: str) -> None:
    """No flush and no close by the program; its exit code stays its own."""
    table = tmp_path / "events"
    source, code = ENDINGS[ending]
    done = run_program(
        f"""
        logger.addHandler(DeltaHandler(table, flush_interval_seconds=3600))
        logger.info("logged")
        {source}
        """,
        table,
    )
    assert done.returncode == code
    assert "spectra_logging" not in done.stderr
    assert column(table) == ["logged", *(["at exit"] if "atexit" in ending else [])]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_exit_does_not_wait_for_a_table_that_does_not_answer(
    tmp_path: Path, silent_server: str, ending: str
) -> None:
    """It ends within its shutdown time-out and says what stays journalled."""
    source, code = ENDINGS[ending]
    done = run_program(
        f"""
        logger.addHandler(DeltaHandler(
            table, flush_interval_seconds=3600, shutdown_timeout_seconds=0.5,
            storage_options={{
                "AWS_ENDPOINT_URL": arguments[0], "AWS_ALLOW_HTTP": "true", "AWS_REGION": "x",
                "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
            }},
        ))
        logger.info("kept")
        {source}
        """,
        "s3://bucket/events",
        silent_server,
        timeout_seconds=20.0,
    )
    assert done.returncode == code
    count = 2 if "atexit" in ending else 1
    assert done.stderr.count(f"{count} records are not yet in s3://bucket/events") == 1
    assert "spectra log drain s3://bucket/events" in done.stderr


def test_a_program_whose_only_handler_is_ours_is_told_what_its_table_lacks(tmp_path: Path) -> None:
    """At once and at its end, also where `dictConfig` has disabled the loggers it does not name."""
    table = tmp_path / "events"
    write_deltalake(str(table), pl.DataFrame({"event": [1]}))
    done = run_program(
        """
        import logging.config
        logging.config.dictConfig({
            "version": 1,
            "handlers": {"delta": {"class": "spectra_logging.DeltaHandler", "table": table}},
            "root": {"level": "INFO", "handlers": ["delta"]},
        })
        logging.info("kept")
        (delta,) = logging.getLogger().handlers
        assert not delta.flush(10)
        print("it runs", file=sys.stderr)
        """,
        table,
    )
    assert done.returncode == 0, done.stderr
    running, _, ending = done.stderr.partition("it runs\n")
    assert running.count("column event is long there, not string") == 1
    assert "1 records are not yet in" in ending
    assert "column event is long there, not string" in ending


def test_a_full_disk_is_told_with_the_table_and_the_journal_that_are_concerned(
    tmp_path: Path,
) -> None:
    """The system's own words name neither; a limit of the process's stands in for such a disk."""
    source = """
        import resource
        handler = DeltaHandler(table, flush_interval_seconds=3600, shutdown_timeout_seconds=0.0)
        logger.addHandler(handler)
        logger.info("kept")
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        while handler.stats().last_error is None:
            handler.flush(0.1)
        print(handler.stats().journal_directory)
    """
    table = str(tmp_path / "events")
    result = run_program(source, table)
    told = f"{table}, journal {result.stdout.strip()}: OSError: [Errno 27] File too large; "
    assert told in result.stderr


def test_what_the_system_says_is_told_where_records_can_not_be_journalled(tmp_path: Path) -> None:
    """A folder may be sound, and the process have all the files open that it may have."""
    source = """
        import resource
        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most[1]))
        logger.info("lost")
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
    """
    result = run_program(source, str(tmp_path / "events"))
    told = "can't be written to, or was removed (1), the system says [Errno 24] Too many open files"
    assert told in result.stderr


def test_what_waits_in_a_folder_of_its_own_is_told_with_that_folder(tmp_path: Path) -> None:
    """The command that is told finds the records: pasted, it drains them."""
    (tmp_path / "events").write_text("not a table")
    done = run_program(
        """
        logger.addHandler(DeltaHandler(
            table, journal_directory=arguments[0], flush_interval_seconds=3600,
            shutdown_timeout_seconds=0.0,
        ))
        logger.info("kept")
        """,
        tmp_path / "events",
        tmp_path / "my journals",
    )
    (tmp_path / "events").unlink()
    command = shlex.split(done.stderr.partition("so does: ")[2])
    assert command[:3] == ["spectra", "log", "drain"]
    drained = CliRunner().invoke(app, command[1:])
    assert drained.exit_code == 0, drained.output
    assert column(tmp_path / "events") == ["kept"]


def test_an_exit_that_is_to_take_no_time_begins_no_commit(tmp_path: Path) -> None:
    """Python would take down its thread in the midst of the engine, and the process may crash."""
    table = tmp_path / "events"
    done = run_program(
        """
        handler = DeltaHandler(table, flush_interval_seconds=3600, shutdown_timeout_seconds=0)
        logger.addHandler(handler)
        logger.info("kept")
        (writer,) = [each for each in threading.enumerate() if each.daemon]
        assert not handler.flush()
        while not handler._writer._worker._wakes.empty():
            time.sleep(0)  # the thread has heard what there was to hear
        logging.shutdown()
        writer.join()
        assert handler.stats().engine is None
        """,
        table,
    )
    assert done.returncode == 0, done.stderr
    assert "1 records are not yet in" in done.stderr
    drain_journals(str(table))
    assert column(table) == ["kept"]


def test_the_first_record_of_a_process_may_be_logged_at_its_exit(tmp_path: Path) -> None:
    """Newer Pythons start no threads then; the record is kept, without a traceback."""
    table = tmp_path / "events"
    done = run_program(
        """
        logger.addHandler(DeltaHandler(table, flush_interval_seconds=3600))
        atexit.register(logger.info, "late")
        """,
        table,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    drain_journals(str(table))
    assert column(table) == ["late"]


def test_a_record_logged_after_the_handlers_were_closed_is_kept(tmp_path: Path) -> None:
    """An atexit hook that was registered before logging's own runs after it."""
    table = tmp_path / "events"
    done = run_program(
        """
        logger.addHandler(DeltaHandler(table, flush_interval_seconds=3600))
        logger.info("early")
        logging.shutdown()
        logger.info("late")
        """,
        table,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    drain_journals(str(table))
    assert column(table) == ["early", "late"]


def test_reconfiguring_before_the_engine_is_loaded_does_not_wait_in_vain(tmp_path: Path) -> None:
    """The engine's package asks for logging's lock when it is imported, and dictConfig holds it.

    Waited for in vain, the record would be told on stderr as one that is not in the table yet.
    """
    table = tmp_path / "events"
    done = run_program(
        """
        import logging.config
        config = {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"delta": {"class": "spectra_logging.DeltaHandler", "table": table}},
            "root": {"level": "INFO", "handlers": ["delta"]},
        }
        logging.config.dictConfig(config)
        logger.info("first")
        logging.config.dictConfig(config)
        logger.info("second")
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert column(table) == ["first", "second"]
