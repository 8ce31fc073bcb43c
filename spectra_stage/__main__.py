"""``python -m spectra_stage``, which is the command ``spectra``."""

from __future__ import annotations

import sys

__all__ = ["main"]

EXIT_EXTRA_MISSING = 3
EXIT_INTERRUPTED = 130


def main() -> int:
    """Run the command line; returns its exit code.

    0: done. 1: it failed, and stderr says why. 2: wrong usage. 3: the extra ``cli`` is missing.
    4: ``drain`` found the journal in use. 5: ``ready`` found something missing. 6: ``discord test``
    found no webhook. 130: interrupted.
    ``validate`` has its own: 1 a check failed, 2 warnings, 3 no verdict, or it could not run.
    """
    try:
        return _run()
    except KeyboardInterrupt:
        # All that is imported, and the commands made of it, takes a second, of which nobody wants
        # to read. From then on typer sees to it.
        return EXIT_INTERRUPTED


def _run() -> int:
    try:
        from spectra_stage.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"typer", "rich"}:
            raise
        sys.stderr.write(
            f"spectra: {error.name} is not installed. The command needs the extra 'cli':\n"
            "  python -m pip install 'spectra-logging[cli]'\n"
        )
        return EXIT_EXTRA_MISSING
    return run()


if __name__ == "__main__":
    sys.exit(main())
