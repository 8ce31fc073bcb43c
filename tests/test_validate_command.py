"""`spectra validate`: what it says of real tables, what it writes, and what it ends with."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from spectra_stage.cli.app import app
from spectra_stage.tables import SOURCE_TABLES, table_path
from tests.stages import run_stage
from tests.test_report_formats import SCHEMA

UNMASKED = "an-unmasked-token-77"


@pytest.fixture
def lake(stage_root: Path) -> Path:
    """A lakehouse in which the Source stage has run."""
    run_stage()
    return stage_root


def unmask(lake: Path) -> None:
    """Leave a whole token where a masked one should be."""
    credentials = DeltaTable(str(lake / "Tables/source/credentials"))
    credentials.update(new_values={"credential_value": UNMASKED})


def validate(lake: Path, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["validate", "--root", str(lake), *arguments])


def test_what_the_stage_leaves_passes(lake: Path) -> None:
    """Exit code 0; the verdict is the first line, and each table has one for what passed."""
    found = validate(lake)
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].startswith("source passed: all ")
    assert [line.split()[0] for line in lines if "version" in line] == sorted(
        spec.name for spec in SOURCE_TABLES
    )
    assert found.stderr == ""


def test_a_failed_check_ends_with_1(lake: Path) -> None:
    """The check that fails is shown, the value that breaks it is not, in no form of the report."""
    unmask(lake)
    files = [f"--{form}={lake / form}" for form in ("junit", "json", "html")]
    found = validate(lake, *files)
    assert found.exit_code == 1
    assert "  failed   credential_value is masked" in found.stdout
    written = [(lake / form).read_text(encoding="utf-8") for form in ("junit", "json", "html")]
    assert UNMASKED not in "".join([found.output, *written])
    junit, data, page = written
    SCHEMA.validate(ET.fromstring(junit))
    assert len(ET.fromstring(junit).findall(".//failure")) == 1
    assert json.loads(data)["counts"]["failed"] == 1
    assert "<h1>Failed</h1>" in page


def test_a_table_that_is_missing_fails_once(lake: Path) -> None:
    """That it exists has failed; what depends on it is skipped, and only counted."""
    shutil.rmtree(lake / table_path(SOURCE_TABLES[0]))
    found = validate(lake)
    assert found.exit_code == 1
    assert found.stdout.count("  failed   the table exists\n") == 1
    assert "  skipped  " in found.stdout


@pytest.mark.parametrize("form", ["junit", "json", "html"])
def test_a_form_goes_to_stdout_in_place_of_the_text(lake: Path, form: str) -> None:
    """A dash as the file; what a program reads has nothing else in it."""
    found = validate(lake, f"--{form}", "-")
    assert found.exit_code == 0
    start = {"junit": "<?xml", "json": "{", "html": "<!DOCTYPE html>"}[form]
    assert found.stdout.startswith(start)
    assert "source passed" not in found.stdout.replace("<title>source passed", "")


def test_all_checks_are_listed_when_asked(lake: Path) -> None:
    """Each check is a line of its own."""
    counted = json.loads(validate(lake, "--json", "-").stdout)["counts"]["passed"]
    assert validate(lake, "--all").stdout.count("\n  passed   ") == counted > 50


def test_the_root_may_be_a_uri(lake: Path) -> None:
    """A store's address serves as a folder does."""
    found = CliRunner().invoke(app, ["validate", "--root", lake.as_uri(), "--json", "-"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["tables"][0]["place"] == f"{lake.as_uri()}/Tables/source/config"


def test_a_terminal_sees_the_table_that_is_looked_at(lake: Path) -> None:
    """On stderr, and gone at the end; what is piped on stdout has nothing of it."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "spectra_stage", "validate", "--root", str(lake)],
        # The process has no Spark session, whatever the tests around it run on.
        env={
            **os.environ,
            "TERM": "xterm",
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "SPECTRA_ENGINE": "deltalake",
        },
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as command:
        os.close(theirs)
        shown = b""
        # That nobody has the other end open any more is an error on Linux.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
        assert command.stdout is not None
        report = command.stdout.read().decode()
    assert command.returncode == 0
    assert b"source.portfolio, " in shown
    assert shown.endswith(b"\x1b[2K")
    assert "\x1b" not in report
    assert report.startswith("source passed")


@pytest.mark.parametrize("suite", ["prepare", "log"])
def test_the_other_stages_suites_are_there(lake: Path, suite: str) -> None:
    """What the stage leaves passes them too."""
    found = validate(lake, "--suite", suite)
    assert found.exit_code == 0, found.stdout
    assert found.stdout.startswith(f"{suite} passed: all ")


def test_several_suites_are_one_report(lake: Path) -> None:
    """The tables of all of them, in order."""
    found = validate(lake, "--suite", "source", "--suite", "log", "--json", "-")
    assert found.exit_code == 0
    told = json.loads(found.stdout)
    assert told["suite"] == "source, log"
    assert [table["table"] for table in told["tables"]][3:] == ["source.portfolio", "log.sourcelog"]


WARNING = "row_count: {minimum: 100, severity: warning}"
IMPOSSIBLE = "condition: {condition: no_such_function(full_path)}"
BROKEN = "row_count: {exactly: 7}"


@pytest.mark.parametrize(
    ("checks", "code", "outcome"),
    [
        ([], 0, "passed"),
        ([WARNING], 2, "warning"),
        ([BROKEN], 1, "failed"),
        ([WARNING, BROKEN], 1, "failed"),
        ([IMPOSSIBLE], 3, "error"),
        ([IMPOSSIBLE, BROKEN], 3, "error"),
    ],
)
def test_the_exit_code_is_the_worst_that_happened(
    lake: Path, checks: list[str], code: int, outcome: str
) -> None:
    """Of a suite in a file: a warning is no failure, and no verdict is worse than either."""
    lines = ["suite: own", "tables:", "  source.endpoints:", "    checks: ["]
    lines += [f"      {{{check}}}," for check in checks]
    (lake / "own.yaml").write_text("\n".join([*lines, "    ]"]), encoding="utf-8")
    found = validate(lake, "--suite", str(lake / "own.yaml"))
    assert found.exit_code == code, found.output
    assert found.stdout.startswith(f"own {outcome}: ")


OWN_MODULE = """
from spectra_stage.validation.suite import Suite, TableSuite

SUITE = Suite(name="own", tables=[TableSuite(table="source.endpoints")])

def make():
    return SUITE

NO_SUITE = 7
"""


def test_a_suite_may_be_python(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module's name and its suite's, or a function's that gives one."""
    (lake / "own_suites.py").write_text(OWN_MODULE, encoding="utf-8")
    monkeypatch.chdir(lake)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delitem(sys.modules, "own_suites", raising=False)
    for name in ("own_suites:SUITE", "own_suites:make"):
        found = validate(lake, "--suite", name)
        assert (found.exit_code, found.stdout.splitlines()[0]) == (0, "own passed: 1 check passed")
    for name, problem in {
        "own_suites:NO_SUITE": "is int, not a Suite",
        "own_suites:missing": "can't be imported: module 'own_suites' has no attribute 'missing'",
        "no_such_module:SUITE": "can't be imported: No module named 'no_such_module'",
    }.items():
        found = validate(lake, "--suite", name)
        assert found.exit_code == 3
        assert problem in found.stderr


RAISING_MODULES = {
    "raises_key": "SETTINGS = {}['SPECTRA']",
    "raises_syntax": "def make(:",
    "wants_more": "def make(root): ...",
    "ends_all": "import sys\nsys.exit(0)",
    "ends_later": "def make(): raise SystemExit",
}


@pytest.mark.parametrize(
    ("suite", "problem"),
    [
        ("raises_key:SUITE", "can't be imported: KeyError: 'SPECTRA'"),
        ("raises_syntax:make", "can't be imported: SyntaxError: "),
        ("ends_all:SUITE", "can't be imported: SystemExit: 0"),
        ("ends_later:make", "can't be made: SystemExit: "),
        ("wants_more:make", "can't be made: TypeError: make() missing 1 required positional"),
        (".wants_more:make", "can't be imported: TypeError: "),
    ],
)
def test_a_suite_whose_code_raises_could_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suite: str, problem: str
) -> None:
    """Which 3 says; 1 would say that a check failed."""
    for module, text in RAISING_MODULES.items():
        (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    found = validate(tmp_path, "--suite", suite)
    assert found.exit_code == 3
    assert f"suite={suite!r} {problem}" in found.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("form", [(), ("--json", "-")])
def test_a_pipe_that_nobody_reads_is_no_failed_check(
    lake: Path, form: tuple[str, ...], unbuffered: str
) -> None:
    """The code 1 would say so, of tables that hold what was promised."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "spectra_stage", "validate", "--root", str(lake), *form],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (3, b"spectra: [Errno 32] Broken pipe\n")


def test_a_file_that_can_not_be_written_takes_no_other_with_it(lake: Path) -> None:
    """The report is shown, the other files are written, and 3 says that something is missing."""
    junit, page = "/no/such/folder/junit.xml", lake / "report.html"
    found = validate(lake, "--junit", junit, "--html", str(page))
    assert found.exit_code == 3
    assert junit in found.stderr
    assert found.stdout.startswith("source passed")
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--suite", "nothing"], "suite='nothing' may be"),
        (["--suite", "/no/such/suite.yaml"], "suite /no/such/suite.yaml can't be read"),
        (["--suite", "log", "--suite", "log"], "has twice: log.sourcelog"),
        (["--engine", "duckdb"], "engine='duckdb' may be"),
        (["--storage-option", "key"], "--storage-option number 1 must be KEY=VALUE"),
        (["--junit", "-", "--json", "-"], "two of them name - (stdout)"),
        (["--html", "./report", "--json", "report"], "two of them name /"),
        (["--colour"], "--colour"),
        (["surplus"], "surplus"),
    ],
)
def test_what_can_not_run_ends_with_3(tmp_path: Path, arguments: list[str], problem: str) -> None:
    """Wrong usage too, since 2 says that there were warnings; stderr names the option."""
    found = validate(tmp_path, *arguments)
    assert found.exit_code == 3
    assert problem in found.stderr
    assert found.stdout == ""
