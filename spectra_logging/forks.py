"""Forks: what each module has to do at one, also where whoever forks tells Python nothing of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

__all__ = ["at_fork", "catch_up_with_fork"]

_Hook = Callable[[], None]

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
    _is_forking = True


def _note_process() -> None:
    global _process_id, _is_forking
    _process_id, _is_forking = os.getpid(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_note_process, after_in_child=_note_process
    )
