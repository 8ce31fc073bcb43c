"""An import that is under way while a program forks."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__ = ["HeldImport"]


class HeldImport:
    """Holds the import of a module until it is let go, then for half a second or until a fork ends.

    Args:
        name: The module's name.

    Attributes:
        reached: Set when somebody imports it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.reached, self._go_on, self._forked = (threading.Event() for _ in range(3))
        sys.meta_path.insert(0, self)
        os.register_at_fork(after_in_parent=self._forked.set)

    def let_go(self) -> None:
        """Have the import go on."""
        self._go_on.set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as it is, whose execution is held: while it is looked for, no fork begins."""
        spec = PathFinder.find_spec(name, path, target) if name == self._name else None
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            loader.exec_module = self._held(loader.exec_module)
        return spec

    def _held(self, execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def wait_and_execute(module: ModuleType) -> None:
            self.reached.set()
            self._go_on.wait(30)
            self._forked.wait(0.5)  # nothing to wait for, where the fork waits for the import
            execute(module)

        return wait_and_execute
