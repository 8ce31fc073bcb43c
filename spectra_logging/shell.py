"""Commands that a message tells, as the shell of this system takes them."""

from __future__ import annotations

import sys

__all__ = ["shell_word"]


def shell_word(text: str) -> str:
    """One word of a command, quoted where it has to be, to be pasted into a shell.

    Args:
        text: The word, such as a path.
    """
    if sys.platform == "win32":
        import subprocess

        return subprocess.list2cmdline([text])
    import shlex  # not needed by those for whom all goes well

    return shlex.quote(text)
