"""Forks: a child only appends when its parent had loaded an engine, and never hangs."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from spectra_logging.drain import drain_journals
from tests.programs import run_in, run_program
from tests.tables import column

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")


@pytest.mark.parametrize("ending", ["os._exit(0)", "sys.exit(0)", "raise SystemExit(0)"])
def test_a_child_forked_after_a_flush_keeps_its_records(tmp_path: Path, ending: str) -> None:
    """The engine has been used, so the child may not; its records are its parent's to commit."""
    table = tmp_path / "events"
    done = run_program(
        f"""
        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        logger.info("parent before")
        assert handler.flush(30)
        logger.info("parent pending")
        child = os.fork()
        if child == 0:
            for n in range(100):
                logger.info("child %d", n)
            assert handler.stats().emitted == 100
            assert not handler.flush()
            {ending}
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        logger.info("parent after")
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert Counter(column(table)) == Counter(
        ["parent before", "parent pending", "parent after", *(f"child {n}" for n in range(100))]
    )


def test_a_cleaner_of_old_files_costs_an_idle_child_no_record(tmp_path: Path) -> None:
    """The child has no thread of ours to keep its lock's file young: its parent's does."""
    table = tmp_path / "events"
    done = run_program(
        """
        from pathlib import Path

        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        logger.info("parent")
        assert handler.flush(30)
        (parent_ended, end_child), (child_logged, tell_parent) = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.close(end_child)
            logger.info("child")
            os.close(tell_parent)
            os.read(parent_ended, 1)
            os._exit(0)
        os.close(tell_parent)
        os.read(child_logged, 1)
        owners = list(Path(handler.stats().journal_directory).glob("*.owner"))
        for owner in owners:
            os.utime(owner, (0, 0))
        # Twice, as the round of the first may have begun before.
        assert handler.flush(30)
        assert handler.flush(30)
        assert len(owners) == 2
        assert all(owner.stat().st_mtime > 0 for owner in owners)
        os.close(end_child)
        os.waitpid(child, 0)
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(column(table)) == ["child", "parent"]


def test_a_fork_waits_for_what_our_thread_imports(tmp_path: Path) -> None:
    """The child inherits the import's locks, and what it imports itself would wait for ever."""
    table = tmp_path / "events"
    done = run_program(
        """
        from tests.imports import HeldImport

        held = HeldImport("deltalake")
        os.register_at_fork(before=held.let_go)
        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        logger.error("parent")
        assert held.reached.wait(30)
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            import deltalake
            logger.error("child")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert handler.flush(30)
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(column(table)) == ["child", "parent"]


def test_a_fork_waits_for_no_import_without_end_and_its_child_only_appends(tmp_path: Path) -> None:
    """Whoever forks may be what the import waits for."""
    table = tmp_path / "events"
    done = run_program(
        """
        from spectra_logging import forks
        from tests.imports import HeldImport

        forks.IMPORT_MAX_SECONDS = 0.1
        held = HeldImport("spectra_logging.lakehouse.auto")
        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        logger.error("parent")
        assert held.reached.wait(30)
        child = os.fork()
        if child == 0:
            logger.error("child")
            os._exit(threading.active_count() - 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        held.let_go()
        assert handler.flush(30)
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    drain_journals(str(table))
    assert sorted(column(table)) == ["child", "parent"]


def test_a_child_whose_parent_has_loaded_no_engine_drains_by_itself(tmp_path: Path) -> None:
    """As the workers of a server that forks before it logs."""
    table = tmp_path / "events"
    done = run_program(
        """
        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        children = []
        for number in range(3):
            child = os.fork()
            if child == 0:
                logger.info("child %d", number)
                done = handler.flush(30)
                logging.shutdown()
                os._exit(0 if done else 1)
            children.append(child)
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(column(table)) == ["child 0", "child 1", "child 2"]


def test_multiprocessing_s_forked_workers_log_into_the_parent_s_table(tmp_path: Path) -> None:
    """A pool under the fork start method, with the parent committing all the while."""
    table = tmp_path / "events"
    done = run_program(
        """
        import multiprocessing
        handler = DeltaHandler(table, flush_interval_seconds=0.02)
        logger.addHandler(handler)
        logger.info("parent")
        assert handler.flush(30)

        def work(number):
            for n in range(50):
                logger.info("%d/%d", number, n)

        with multiprocessing.get_context("fork").Pool(4) as pool:
            pool.map(work, range(8))
        """,
        table,
    )
    assert done.returncode == 0, done.stderr
    drain_journals(str(table))
    assert Counter(column(table)) == Counter(
        ["parent", *(f"{i}/{n}" for i in range(8) for n in range(50))]
    )


def test_a_parent_that_logs_nothing_commits_for_a_child_that_may_not(tmp_path: Path) -> None:
    """The parent has loaded the engine for something else; the child's flush waits for it."""
    table = tmp_path / "events"
    done = run_program(
        """
        import deltalake
        handler = DeltaHandler(table, flush_interval_seconds=0.05)
        logger.addHandler(handler)
        child = os.fork()
        if child == 0:
            logger.info("child")
            os._exit(0 if handler.flush(30) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert column(table) == ["child"]


def test_a_parent_s_flush_takes_what_ended_children_have_left(tmp_path: Path) -> None:
    """A pool's workers end without a flush; the parent has nothing of its own to commit."""
    table = tmp_path / "events"
    done = run_program(
        """
        import multiprocessing
        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        logger.info("parent")
        assert handler.flush(30)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.map(logger.info, ["a", "b", "c"])
        assert handler.flush(30)
        assert handler.stats().left_behind == 3
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(column(table)) == ["a", "b", "c", "parent"]


@pytest.mark.parametrize("shutdown_timeout_seconds", [0, 0.5])
def test_a_parent_s_end_tells_what_children_have_left_and_no_table_took(
    tmp_path: Path, shutdown_timeout_seconds: float
) -> None:
    """It may have logged nothing itself, and its children's ends say nothing."""
    table = tmp_path / "events"
    table.write_text("not a table")
    done = run_program(
        """
        import deltalake
        logging.getLogger("spectra_logging").disabled = True
        logger.addHandler(DeltaHandler(table, shutdown_timeout_seconds=float(arguments[0])))
        child = os.fork()
        if child == 0:
            logger.info("child")
            os._exit(0)
        os.waitpid(child, 0)
        """,
        table,
        str(shutdown_timeout_seconds),
    )
    assert done.stderr.count(f"1 records are not yet in {table}") == 1
    table.unlink()
    drain_journals(str(table))
    assert column(table) == ["child"]


def test_a_parent_that_can_start_no_thread_at_its_end_tells_what_children_have_left(
    tmp_path: Path,
) -> None:
    """Python 3.12 and later refuse new threads then, and this parent has had no need of one."""
    table = tmp_path / "events"
    done = run_program(
        """
        handler = DeltaHandler(table)
        logger.addHandler(handler)
        child = os.fork()
        if child == 0:
            logger.info("child")
            os._exit(0)
        os.waitpid(child, 0)

        def refuse(_thread):
            raise RuntimeError("can't create new thread at interpreter shutdown")

        threading.Thread.start = refuse
        """,
        table,
    )
    assert done.returncode == 0
    assert done.stderr.count(f"1 records are not yet in {table}") == 1
    drain_journals(str(table))
    assert column(table) == ["child"]


def test_a_fork_starts_no_thread_for_a_handler_that_is_closed(tmp_path: Path) -> None:
    """Nor for one of a process that has loaded no engine, whose children commit by themselves."""
    table = tmp_path / "events"
    done = run_program(
        """
        def fork_once():
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)

        handler = DeltaHandler(table)
        fork_once()
        assert threading.active_count() == 1
        logger.addHandler(handler)
        logger.info("parent")
        logger.removeHandler(handler)
        handler.close()
        fork_once()
        assert handler.flush()
        assert not [t for t in threading.enumerate() if t.name == "spectra-logging-writer"]
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert column(table) == ["parent"]


def test_a_lock_that_another_thread_holds_at_a_fork_is_free_in_the_child(tmp_path: Path) -> None:
    """Each that a log call, its figures or a flush may take, held at that very moment."""
    table = tmp_path / "events"
    done = run_program(
        """
        import contextlib
        from spectra_logging import executors, register_secret
        from spectra_logging.redaction import registry

        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        logger.info("parent")
        appender, writer = handler._appender, handler._writer
        locks = [
            appender._lock, appender._ledger._dropped_lock, writer._changed.lock,
            writer._worker._start_lock, registry._registering, executors._lock,
        ]
        held, go_on = threading.Event(), threading.Event()

        def hold():
            with contextlib.ExitStack() as stack:
                for lock in locks:
                    stack.enter_context(lock)
                held.set()
                go_on.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            register_secret("correct-horse")
            logger.info("child")
            assert handler.stats().emitted == 1
            assert handler.flush(15)
            executors.worker_logger(table, "worker").info("child, too")
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        go_on.set()
        thread.join()
        assert status == 0, status
        assert handler.flush(30)
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(column(table)) == ["child", "child, too", "parent"]


def test_a_fork_while_threads_hold_the_locks_does_not_hang_the_child(tmp_path: Path) -> None:
    """Twenty forks in the midst of logging and committing by other threads."""
    table = tmp_path / "events"
    done = run_program(
        """
        handler = DeltaHandler(table, flush_interval_seconds=0.001)
        logger.addHandler(handler)
        stop = threading.Event()
        count = 0

        def flood():
            global count
            while not stop.is_set():
                logger.info("parent %d", count)
                count += 1
                time.sleep(0)

        thread = threading.Thread(target=flood)
        thread.start()
        while handler.stats().written == 0:
            time.sleep(0.01)
        for number in range(20):
            child = os.fork()
            if child == 0:
                logger.info("child %d", number)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop.set()
        thread.join()
        print(count)
        """,
        table,
    )
    assert done.returncode == 0, done.stderr
    drain_journals(str(table))
    expected = [
        *(f"parent {n}" for n in range(int(done.stdout))),
        *(f"child {n}" for n in range(20)),
    ]
    assert Counter(column(table)) == Counter(expected)


LOGS_AT_THE_FORK = """
import logging, os, sys
logger = logging.getLogger("program")
os.register_at_fork(after_in_child=lambda: logger.warning("child, at the fork"))
from spectra_logging import DeltaHandler

handler = DeltaHandler(sys.argv[1], flush_interval_seconds=3600)
logger.addHandler(handler)
logger.warning("parent")
for number in range(3):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    logger.warning("parent, after the fork")
stats = handler.stats()
assert (stats.emitted, stats.pending) == (4, 4), stats
assert handler.flush(30)
"""


def test_what_another_library_s_hook_logs_in_the_child_is_stored_over_nothing(
    tmp_path: Path,
) -> None:
    """Such a hook comes first where it was registered before this package was imported."""
    table = tmp_path / "events"
    quiet = "ignore:This process:DeprecationWarning"
    done = run_in(tmp_path, sys.executable, "-W", quiet, "-c", LOGS_AT_THE_FORK, table)
    assert (done.returncode, done.stderr) == (0, "")
    assert Counter(column(table)) == {
        "parent": 1,
        "parent, after the fork": 3,
        "child, at the fork": 3,
    }


@pytest.mark.parametrize(
    "before",
    ["", "logger.info('before')", "logging.logProcesses = False; logger.info('before')"],
)
def test_a_child_of_whose_fork_python_hears_nothing_keeps_its_records(
    tmp_path: Path, before: str
) -> None:
    """As uWSGI forks its workers; nor do they store over what their parent stores meanwhile."""
    table = tmp_path / "events"
    done = run_program(
        f"""
        import ctypes

        def log(words):
            for n in range(3):
                logger.info("%s %d", words, n)

        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        {before}
        if "before" in {before!r}:
            log("parent early")
            # A thread that waits for the GIL at such a fork may hang the child, whoever's it is.
            handler._writer.stop(30)
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            log("child")
            assert handler.stats().emitted == 3
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        log("parent late")
        assert handler.flush(30)
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    drain_journals(str(table))
    said = ["child", "parent late", *(["parent early"] if before else [])]
    expected = [f"{words} {n}" for words in said for n in range(3)]
    assert Counter(column(table)) == Counter([*expected, *(["before"] if before else [])])


def test_a_child_of_whose_fork_python_hears_nothing_commits_by_itself(tmp_path: Path) -> None:
    """A worker of uWSGI's is a process like any other, where its master has logged nothing."""
    table = tmp_path / "events"
    done = run_program(
        """
        import ctypes

        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            logger.info("child")
            os._exit(0 if handler.flush(30) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """,
        table,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert column(table) == ["child"]
