"""Runs the documentation's code blocks as tests, and can refuse skipped tests.

``pytest README.md docs`` runs every ``python`` block and every ``sh`` block of the documentation.
Blocks of one page share their names and one temporary folder, which is the working directory,
``SPECTRA_ROOT`` and the place of the journals.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sysconfig
import tempfile
from collections.abc import Generator
from typing import Any

import pytest
import structlog
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

EXPECTED_SKIPS = (
    "filters replace records since Python 3.12",
    "object stores are tried by tox -e stores",
    "Spark is tried by tox -e",
    "Spark Connect and Sail have no",
    "Spark Connect's own server",
    "Sail",
)
"""How the reasons begin of skips that the Python, tox's environment or a server makes right."""


def run_shell(example: Example) -> None:
    subprocess.run(["bash", "-euo", "pipefail", "-c", example.parsed], check=True, timeout=120)


def enter_page(namespace: dict[str, Any]) -> None:
    page = contextlib.ExitStack()
    folder = page.enter_context(tempfile.TemporaryDirectory())
    environment = pytest.MonkeyPatch()
    page.callback(environment.undo)
    # The commands of this interpreter's environment, which need not be activated.
    scripts = sysconfig.get_path("scripts")
    environment.setenv("PATH", f"{scripts}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    environment.setenv("SPECTRA_ROOT", folder)
    environment.setenv("SPECTRA_JOURNAL_DIRECTORY", os.path.join(folder, "journals"))
    environment.chdir(folder)
    page.callback(structlog.reset_defaults)
    page.callback(close_handlers, all_handlers())
    page.callback(logging.getLogger().setLevel, logging.getLogger().level)
    namespace["_page"] = page


def all_handlers() -> dict[logging.Logger, list[logging.Handler]]:
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    return {logger: logger.handlers[:] for logger in loggers}


def close_handlers(kept: dict[logging.Logger, list[logging.Handler]]) -> None:
    """Close what the page's blocks attached, while the page's folder is still there."""
    for logger, handlers in all_handlers().items():
        for handler in handlers:
            if handler not in kept.get(logger, []):
                logger.removeHandler(handler)
                handler.close()


def leave_page(namespace: dict[str, Any]) -> None:
    namespace["_page"].close()


pytest_collect_file = Sybil(
    parsers=[
        SkipParser(),
        PythonCodeBlockParser(),
        CodeBlockParser(language="sh", evaluator=run_shell),
    ],
    patterns=["README.md", "docs/*.md"],
    setup=enter_page,
    teardown=leave_page,
).pytest()


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure where ``SPECTRA_REFUSE_SKIPS`` is set, as on CI."""
    if not (report.skipped and os.environ.get("SPECTRA_REFUSE_SKIPS")):
        return
    if hasattr(report, "wasxfail") or report.nodeid.split("::")[0].endswith(".md"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(EXPECTED_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped, where everything can be had: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report
