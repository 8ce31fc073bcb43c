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
import tempfile
from collections.abc import Generator
from typing import Any

import pytest
import structlog
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

EXPECTED_SKIPS = (
    "cannot be shown as root",
    "only on Python 3.",
)
"""How the reasons of skips begin that no machine in use can avoid."""


def run_shell(example: Example) -> None:
    subprocess.run(["bash", "-euo", "pipefail", "-c", example.parsed], check=True, timeout=120)


def enter_page(namespace: dict[str, Any]) -> None:
    page = contextlib.ExitStack()
    folder = page.enter_context(tempfile.TemporaryDirectory())
    environment = pytest.MonkeyPatch()
    page.callback(environment.undo)
    environment.setenv("SPECTRA_ROOT", folder)
    environment.setenv("SPECTRA_JOURNAL_DIRECTORY", os.path.join(folder, "journals"))
    environment.chdir(folder)
    page.callback(structlog.reset_defaults)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    page.callback(restore_logging, handlers, level)
    namespace["_page"] = page


def restore_logging(handlers: list[logging.Handler], level: int) -> None:
    root = logging.getLogger()
    for handler in [h for h in root.handlers if h not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


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
