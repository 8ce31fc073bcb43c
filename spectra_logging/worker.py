"""A background thread whose whole life is owned: late start, fork, exit.

Handlers that do their slow part elsewhere share this: the Delta writer runs on one, and so does
whatever sends over a network.
"""

from __future__ import annotations

import _thread
import logging
import math
import queue
import threading
import time
import weakref
from collections.abc import Callable

from spectra_logging.feedback import as_worker, log_from_worker
from spectra_logging.forks import at_fork

__all__ = ["POLL_SECONDS", "Signal", "Worker"]

POLL_SECONDS = 0.02
"""How soon those who wait for a worker look again."""

_LONGEST_WAIT_SECONDS = 3600.0
"""Python's waits overflow where they are asked for centuries; a round too many is no harm."""


class Worker:
    """Calls a function again and again on a daemon thread of its own.

    The thread starts with :meth:`ensure_started`, not with construction: importing and configuring
    must not start threads, and a process that forks before it logs has none to lose. A forked child
    has no thread until it asks for one itself.

    Args:
        name: The thread's name.
        do_round: One round of work; returns the seconds until the next, unless woken before.
            What it raises is told to the logger ``spectra_logging`` and the thread goes on.
    """

    def __init__(self, name: str, do_round: Callable[[], float]) -> None:
        self._name = name
        self._do_round = do_round
        self._begin()
        _workers.add(self)

    def _begin(self) -> None:
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        # An Event would deadlock when a signal handler or a finaliser in the middle of set() sets
        # it; a SimpleQueue's put() is made for that.
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        # One a thread: a thread told to stop stays so, also when another has been started since.
        self._stopping = threading.Event()
        self._next_round_at_seconds = math.inf  # unless the thread waits for it

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended, told to or not."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def running(self) -> bool:
        """Whether the thread is alive and has not been told to stop."""
        return self.alive and not self._stopping.is_set()

    @property
    def stopped(self) -> bool:
        """Whether it has been told to stop, and has not been started since."""
        return self._stopping.is_set()

    def ensure_started(self) -> bool:
        """Start the thread unless it runs.

        Returns:
            Whether it runs now. ``False`` at interpreter exit, where Python refuses new threads.
        """
        if self.running:
            return True
        if not self._start_lock.acquire(blocking=False):
            return True  # somebody else, or this thread further down its stack, is at it
        try:
            if self.running:
                return True
            if type(self._wakes) is not queue.SimpleQueue:
                # gevent has replaced it since, as where gunicorn loads a program before it forks
                # workers of gevent's: the thread is a greenlet then, and to wait for the old one
                # would stop the whole process.
                self._wakes = queue.SimpleQueue()
            stopping = threading.Event()
            thread = threading.Thread(
                target=self._run, args=(stopping,), name=self._name, daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread, self._stopping = thread, stopping
            return True
        finally:
            self._start_lock.release()

    def wake(self) -> None:
        """Begin the next round at once."""
        if self._wakes.empty():
            self._wakes.put(None)

    def wake_by(self, at_seconds: float) -> None:
        """Have a round begun by that moment, starting the thread for it; early is no harm.

        To wake a thread that waits takes as long as much of a log call. So it is left to wait where
        it will not wait for longer anyway, or for a moment only.

        Args:
            at_seconds: The moment, on the monotonic clock.
        """
        waits_for_longer = self._next_round_at_seconds > at_seconds + POLL_SECONDS
        if waits_for_longer and not self._is_woken() and self.ensure_started():
            self.wake()

    def _is_woken(self) -> bool:
        """Whether a thread that runs has still to hear of a wake."""
        return self._thread is not None and not self._wakes.empty() and not self._stopping.is_set()

    def stop(self, timeout_seconds: float) -> bool:
        """End the thread after the round it is in.

        Returns:
            Whether it has ended within the time-out; if not, it ends by itself later.
        """
        thread = self._thread
        self._stopping.set()
        self.wake()
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(0.0, min(timeout_seconds, _LONGEST_WAIT_SECONDS)))
        return not thread.is_alive()

    def _run(self, stopping: threading.Event) -> None:
        with as_worker():
            while not stopping.is_set():
                delay_seconds = self._run_round()
                if not stopping.is_set():
                    self._wait(delay_seconds)

    def _wait(self, seconds: float) -> None:
        """Wait until woken, once for however many wakes there were since the last wait."""
        self._next_round_at_seconds = time.monotonic() + seconds
        try:
            self._wakes.get(timeout=min(seconds, _LONGEST_WAIT_SECONDS))
            while True:
                self._wakes.get_nowait()
        except queue.Empty:
            pass
        finally:
            self._next_round_at_seconds = math.inf

    def _run_round(self) -> float:
        try:
            return self._do_round()
        except (KeyboardInterrupt, SystemExit):
            # Meant for the program, and raised in the main thread it reaches it.
            _thread.interrupt_main()
        except BaseException:  # noqa: BLE001 - Rust panics derive from BaseException
            log_from_worker(logging.ERROR, f"{self._name}: a round failed", exc_info=True)
        return 1.0


class Signal:
    """Tells those who wait for a worker that it got on.

    Attributes:
        lock: Guards what the waiters and the worker share, if they need a lock.
    """

    def __init__(self) -> None:
        # A signal handler that flushes may come while its own thread holds it.
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)

    def notify(self) -> None:
        """Wake those who wait."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until notified, or that long."""
        with self._changed:
            self._changed.wait(seconds)


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for worker in list(_workers):
        worker._begin()  # noqa: SLF001 - the registry belongs to the class


at_fork(after_in_child=_after_fork_in_child)
