"""Several calls at once: what comes back, what is raised, and where they run."""

from __future__ import annotations

import threading

import pytest

from spectra_logging.feedback import as_worker, worker_idents
from spectra_logging.parallel import call_all, usable_cores


def test_calls_run_side_by_side_and_answer_in_order() -> None:
    """Each waits for the other, which one after the other would never do."""
    barrier = threading.Barrier(3)
    calls = [lambda n=n: (n, barrier.wait(30) >= 0) for n in range(3)]
    assert call_all(calls) == [(0, True), (1, True), (2, True)]
    assert call_all([]) == []


def test_the_first_error_is_raised_when_all_have_ended() -> None:
    """No call is still at work when its caller goes on."""
    ended = threading.Event()
    begun = threading.Event()

    def fails() -> None:
        begun.wait(30)
        raise KeyError("the first")

    def goes_on() -> None:
        begun.set()
        ended.set()
        raise ValueError("the second")

    with pytest.raises(KeyError):
        call_all([fails, goes_on])
    assert ended.is_set()


def test_a_worker_s_helpers_are_workers_while_they_run() -> None:
    """What they log must not be fed to the handler whose work they do."""
    helpers: list[int] = []

    def is_worker() -> bool:
        helpers.append(threading.get_ident())
        return helpers[-1] in worker_idents

    ident = threading.get_ident()
    assert call_all([is_worker] * 2) == [False, False]
    with as_worker():
        assert call_all([is_worker] * 2) == [True, True]
        assert ident in worker_idents
        assert worker_idents.keys().isdisjoint(set(helpers) - {ident})


def test_without_threads_the_calls_are_made_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the interpreter's exit, where a flush still has to commit."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert call_all([threading.get_ident] * 3) == [threading.get_ident()] * 3


def test_at_least_one_core_can_be_used() -> None:
    """Whatever the machine says."""
    assert usable_cores() >= 1
