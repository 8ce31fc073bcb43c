"""Forks: what each module has to do at one, also where whoever forks tells Python nothing of it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

__all__ = ["at_fork", "catch_up_with_fork"]

_Hook = Callable[[], None]

IMPORT_MAX_SECONDS = 10.0
"""The longest that a fork waits for what our threads import."""

_OUR_PACKAGES = {"spectra_logging", "spectra_stage"}

_child_hooks: list[_Hook] = []
_process_id = os.getpid()
_is_forking = False
_is_catching_up = False
_catching_up = threading.RLock()


def at_fork(
    *,
    before: _Hook = lambda: None,
    after_in_parent: _Hook = lambda: None,
    after_in_child: _Hook = lambda: None,
) -> None:
    """Have functions called at each fork, as :func:`os.register_at_fork` does."""
    _child_hooks.append(after_in_child)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=before, after_in_parent=after_in_parent, after_in_child=after_in_child
        )


def catch_up_with_fork() -> None:
    """Do what is due in a forked child, if it is one and has not been told.

    uWSGI's master forks its workers by the system's own call, and unless it is asked to, it has
    none of the functions called that are registered with Python.
    """
    global _is_catching_up  # noqa: PLW0603 - a fact about the process
    if os.getpid() == _process_id or _is_forking:
        return
    with _catching_up:
        # A finaliser or a signal handler may come in the middle of it.
        if os.getpid() == _process_id or _is_catching_up:
            return
        _is_catching_up = True
        try:
            for hook in _child_hooks:
                hook()
        finally:
            _is_catching_up = False
            _note_process()


def _before_fork() -> None:
    global _is_forking  # noqa: PLW0603 - a fact about the process
    _wait_for_our_imports()
    _is_forking = True


def _wait_for_our_imports() -> None:
    """Let our other threads finish what they import, such as an engine.

    The child inherits the lock of each module that is being imported, and not the thread that holds
    it: whatever imports the module there waits for ever, the program's own code too.
    """
    deadline = time.monotonic() + IMPORT_MAX_SECONDS
    here = threading.get_ident()
    while time.monotonic() < deadline and any(
        _is_import_of_ours(frame)
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - documented
        if ident != here
    ):
        time.sleep(0.001)


def _is_import_of_ours(frame: FrameType | None) -> bool:
    is_import = False
    while frame is not None:
        is_import |= frame.f_code.co_filename == "<frozen importlib._bootstrap>"
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if is_import and package in _OUR_PACKAGES:
            return True
        frame = frame.f_back
    return False


def _note_process() -> None:
    global _process_id, _is_forking
    _process_id, _is_forking = os.getpid(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_note_process, after_in_child=_note_process
    )
