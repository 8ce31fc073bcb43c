"""Forks: a child only appends when its parent had loaded an engine, and never hangs."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from spectra_logging.drain import drain_journals
from tests.programs import run_program
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


def test_a_child_forked_while_the_engine_is_loaded_only_appends(tmp_path: Path) -> None:
    """The parent's thread holds the import's locks, which in the child nobody ever lets go."""
    table = tmp_path / "events"
    done = run_program(
        """
        import sys
        import threading
        from importlib.machinery import PathFinder

        reached, go_on = threading.Event(), threading.Event()

        class SlowToLoad:
            def find_spec(self, name, path=None, target=None):
                if name != "spectra_logging.lakehouse.auto":
                    return None
                spec = PathFinder.find_spec(name, path)
                load = spec.loader.exec_module

                def wait_and_load(module):
                    reached.set()
                    go_on.wait(30)
                    load(module)

                spec.loader.exec_module = wait_and_load
                return spec

        sys.meta_path.insert(0, SlowToLoad())
        handler = DeltaHandler(table, flush_interval_seconds=3600)
        logger.addHandler(handler)
        logger.error("parent")
        assert reached.wait(30)
        child = os.fork()
        if child == 0:
            logger.error("child")
            os._exit(threading.active_count() - 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        go_on.set()
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
