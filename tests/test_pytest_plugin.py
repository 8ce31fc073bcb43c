"""The pytest plugin: each check a test, run as a user runs pytest, in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from deltalake import DeltaTable

from spectra_logging.testing import FakeSourceSystem
from spectra_stage.validation.suites import source_suite
from tests import stages

CHECKS = sum(len(table.checks) for table in source_suite().tables)
UNMASKED = "an-unmasked-token-77"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lakehouse in which the Source stage has run; not to be changed."""
    root = tmp_path_factory.mktemp("stage")
    with pytest.MonkeyPatch.context() as monkeypatch, FakeSourceSystem() as system:
        stages.set_up(monkeypatch, root, BASE_URL=system.base_url, API_TOKEN=system.token)
        monkeypatch.setenv("SPECTRA_JOURNAL_DIRECTORY", str(root / "journals"))
        monkeypatch.setenv("SPECTRA_ENGINE", "deltalake")
        stages.run_stage()
    return root


@pytest.fixture
def lake(stage: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    shutil.copytree(stage / "Tables", tmp_path / "Tables")
    return tmp_path


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project's own settings, so that ours are out of sight."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return folder


def run_pytest(project: Path, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and output of pytest, in a process and folder of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, arguments)],
        cwd=project,
        # The process has no Spark session, whatever the tests around it run on.
        env={
            **os.environ,
            "COLUMNS": "200",
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "SPECTRA_ENGINE": "deltalake",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def outcomes(output: str) -> dict[str, int]:
    """The counts in pytest's last line."""
    last = output.strip().splitlines()[-1]
    return {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|skipped)", last)}


def test_each_check_is_a_test(project: Path, lake: Path) -> None:
    """As many tests as checks, all passed, under ids that name suite, table and check."""
    code, output = run_pytest(project, "--spectra-root", lake, "-v")
    assert code == 0, output
    assert outcomes(output) == {"passed": CHECKS}
    assert "source::source.config::config_key is unique PASSED" in output
    assert "source::source.portfolio::contract_version matches (0-9)+" in output


def test_collecting_looks_at_no_table(project: Path) -> None:
    """The tests are known from the suite alone."""
    code, output = run_pytest(
        *(project, "--spectra-root", "/no/such/folder", "--spectra-suite", "prepare"),
        *("--collect-only", "-q"),
    )
    assert code == 0
    assert "prepare::prepare._schema::the table exists\n" in output


def test_a_plan_looks_at_no_table(project: Path) -> None:
    """What would be run is shown, and nothing is: here, there is not even such an engine."""
    code, output = run_pytest(
        *(project, "--spectra-root", project, "--spectra-engine", "none"),
        *("--spectra-suite", "prepare", "--setup-plan"),
    )
    assert code == 0
    assert "prepare::prepare._schema::the table exists\n" in output


def test_checks_that_say_the_same_are_tests_of_different_names(project: Path) -> None:
    """Such as one that warns early and one that fails late; a test can be named for each."""
    (project / "own.yaml").write_text(
        "tables: {a.b: {checks: [not_null: {column: c, tolerance: 1%, severity: warning}, "
        "not_null: {column: c, tolerance: 5%}]}}",
        encoding="utf-8",
    )
    _, output = run_pytest(
        project, "--spectra-root", project, "--spectra-suite", "own.yaml", "--collect-only", "-q"
    )
    assert "own::a.b::c is never null\n" in output
    assert "own::a.b::c is never null (2)\n" in output


def test_a_broken_check_fails_its_test_alone(project: Path, lake: Path) -> None:
    """The failure is the finding with its figures, without the value and without a traceback."""
    DeltaTable(str(lake / "Tables/source/credentials")).update(
        new_values={"credential_value": UNMASKED}
    )
    junit = project / "junit.xml"
    code, output = run_pytest(project, "--spectra-root", lake, f"--junit-xml={junit}")
    assert code == 1
    assert outcomes(output) == {"failed": 1, "passed": CHECKS - 1}
    shown = output.partition("= FAILURES =")[2]
    assert "source.credentials, credential_value is masked" in shown
    assert "violations 1 of 1 row (100 %)" in shown
    assert "Traceback" not in shown
    assert ".py" not in shown
    assert UNMASKED not in output + junit.read_text(encoding="utf-8")
    assert len(ET.parse(junit).findall(".//failure")) == 1


def test_names_of_suites_and_tables_are_shown_as_those_of_checks(project: Path) -> None:
    """Without secrets, and in characters that XML has: pytest writes them as they are."""
    (project / "odd.yaml").write_text(
        'suite: "a\\x07 [b] password=in-a-name-88"\ntables: {"t.\\x1b[c]": {}}', encoding="utf-8"
    )
    junit = project / "junit.xml"
    options = ("--spectra-suite", "odd.yaml", f"--junit-xml={junit}")
    code, output = run_pytest(project, "--spectra-root", project, *options)
    assert code == 1
    assert "in-a-name-88" not in output + junit.read_text(encoding="utf-8")
    (case,) = ET.parse(junit).findall(".//testcase")
    assert case.get("classname") == r"a\x07 (b) password=***.t.\x1b(c)"


def test_a_missing_table_fails_once_and_skips_the_rest(project: Path, lake: Path) -> None:
    """The reason of the skip is the finding."""
    shutil.rmtree(lake / "Tables/source/config")
    code, output = run_pytest(project, "--spectra-root", lake, "-rs")
    assert code == 1
    assert outcomes(output)["failed"] == 1
    assert outcomes(output)["skipped"] >= 7
    assert "the table is missing" in output


OWN_SUITE = """
suite: own
tables:
  source.endpoints:
    checks:
      - row_count: {minimum: 100, severity: warning}
      - condition: {condition: no_such_function(full_path), name: "it is [sound]"}
"""


@pytest.fixture
def own_suite(project: Path) -> tuple[str, Path]:
    """The option for a suite of the project's own, one of whose checks warns and one can't be."""
    (project / "own.yaml").write_text(OWN_SUITE, encoding="utf-8")
    return "--spectra-suite", project / "own.yaml"


def test_a_check_that_can_not_be_made_is_an_error(
    project: Path, lake: Path, own_suite: tuple[str, Path]
) -> None:
    """Pytest counts it as an error and no failure, and shows what the engine said."""
    code, output = run_pytest(project, "--spectra-root", lake, *own_suite)
    assert code == 1
    assert "1 passed" not in output.splitlines()[-1]
    assert output.splitlines()[-1].count("1 error") == 1
    assert "ERROR at setup of source.endpoints, it is [sound]" in output
    assert "no_such_function" in output


def test_a_warning_passes_and_is_told(
    project: Path, lake: Path, own_suite: tuple[str, Path]
) -> None:
    """A warning of pytest's, which -W turns into a failure."""
    asked = ("--spectra-root", lake, *own_suite, "-k", "rows")
    code, output = run_pytest(project, *asked)
    assert code == 0
    assert "CheckWarning: there are at least 100 rows" in output
    strict = "error::spectra_stage.pytest_plugin.CheckWarning"
    assert run_pytest(project, *asked, "-W", strict)[0] == 1


def test_a_suite_that_is_none_is_wrong_usage(project: Path) -> None:
    """Pytest ends as with any option that can't work, and names those there are."""
    code, output = run_pytest(project, "--spectra-root", ".", "--spectra-suite", "nothing")
    assert code == 4
    assert "--spectra-suite: suite='nothing' may be source, prepare, log" in output


def test_an_engine_that_is_none_is_told_by_every_check(project: Path) -> None:
    """The checks are errors: nothing passes that could not be looked at."""
    code, output = run_pytest(
        *(project, "--spectra-root", ".", "--spectra-suite", "prepare"),
        *("--spectra-engine", "duckdb"),
    )
    assert code == 1
    assert outcomes(output) == {}
    assert "engine='duckdb' may be" in output


def test_checks_are_selected_like_other_tests(project: Path, lake: Path) -> None:
    """By -k and by their marker, beside a project's own tests, whose fixtures give the report."""
    own = """
        def test_own(spectra_report, spectra_lakehouse, spectra_root):
            assert spectra_report.valid
            assert spectra_lakehouse.exists(f"{spectra_root}/Tables/source/endpoints")
    """
    (project / "test_own.py").write_text(textwrap.dedent(own), encoding="utf-8")
    root = ("--spectra-root", lake)
    assert outcomes(run_pytest(project, *root)[1]) == {"passed": CHECKS + 1}
    assert outcomes(run_pytest(project, *root, "-m", "not spectra")[1]) == {"passed": 1}
    assert outcomes(run_pytest(project, *root, "-k", "config_key and unique")[1]) == {"passed": 1}


def test_checks_are_named_by_the_ids_that_pytest_prints(project: Path, lake: Path) -> None:
    """One, or those of a table, alone or beside a file's tests; on xdist's workers as well."""
    (project / "test_own.py").write_text("def test_own(): pass\n", encoding="utf-8")
    asked = (project, "--spectra-root", lake)
    listed = run_pytest(*asked, "--collect-only", "-q")[1].splitlines()
    ids = [line for line in listed if line.startswith("source::")]
    assert len(ids) == CHECKS
    of_table = "source::source.config"
    table = [told for told in ids if told.startswith(f"{of_table}::")]
    assert outcomes(run_pytest(*asked, *ids)[1]) == {"passed": CHECKS}
    assert outcomes(run_pytest(*asked, table[0])[1]) == {"passed": 1}
    assert outcomes(run_pytest(*asked, table[0], of_table)[1]) == {"passed": len(table)}
    assert outcomes(run_pytest(*asked, table[0], "test_own.py")[1]) == {"passed": 2}
    assert outcomes(run_pytest(*asked, "-n", "2", *table[:2])[1]) == {"passed": 2}


def test_an_id_of_no_check_is_wrong_usage(project: Path) -> None:
    """As that of any other test."""
    told = "source::source.config::the table exits"
    code, output = run_pytest(project, "--spectra-root", ".", told)
    assert code == 4
    assert f"not found: {told}\n" in output


def test_fixtures_serve_a_lakehouse_of_the_tests_own(project: Path, lake: Path) -> None:
    """Without an option there are no tests but the project's; its fixture says where to look."""
    own = f"""
        import pytest

        @pytest.fixture(scope="session")
        def spectra_root():
            return {str(lake)!r}

        def test_own(spectra_report):
            assert spectra_report.valid
    """
    (project / "test_own.py").write_text(textwrap.dedent(own), encoding="utf-8")
    code, output = run_pytest(project)
    assert (code, outcomes(output)) == (0, {"passed": 1}), output


def test_a_relative_root_is_where_pytest_began(project: Path, lake: Path) -> None:
    """A test that goes to another folder takes the checks with it no more than itself."""
    shutil.copytree(lake / "Tables", project / "Tables")
    own = "import os\n\ndef pytest_runtest_setup(item):\n    os.chdir('/')\n"
    (project / "conftest.py").write_text(own, encoding="utf-8")
    code, output = run_pytest(project, "--spectra-root", ".")
    assert (code, outcomes(output)) == (0, {"passed": CHECKS}), output


def test_the_tables_are_looked_at_once(project: Path, lake: Path) -> None:
    """All tests of a process share one report: what happens to a table meanwhile changes none."""
    removal = f"""
        import shutil

        def pytest_runtest_teardown(item):
            shutil.rmtree({str(lake / "Tables")!r}, ignore_errors=True)
    """
    (project / "conftest.py").write_text(textwrap.dedent(removal), encoding="utf-8")
    code, output = run_pytest(project, "--spectra-root", lake)
    assert (code, outcomes(output)) == (0, {"passed": CHECKS}), output


def test_workers_share_the_checks(project: Path, lake: Path) -> None:
    """Under pytest-xdist each check is one test still."""
    shutil.rmtree(lake / "Tables/source/config")
    code, output = run_pytest(project, "--spectra-root", lake, "-n", "2")
    assert code == 1
    assert sum(outcomes(output).values()) == CHECKS
    assert outcomes(output)["failed"] == 1


def test_who_does_not_use_it_pays_nothing(project: Path) -> None:
    """A run without the options loads the plugin's own module, and nothing that it may need."""
    own = """
        import json, sys

        def test_own():
            print("loaded", json.dumps([n for n in sys.modules if n.startswith("spectra_")]))
            heavy = {"structlog", "requests", "deltalake", "arro3", "rich", "typer", "msgspec"}
            assert heavy.isdisjoint(sys.modules)
    """
    (project / "test_own.py").write_text(textwrap.dedent(own), encoding="utf-8")
    code, output = run_pytest(project, "-s")
    assert code == 0, output
    (loaded,) = re.findall(r"loaded (.*)", output)
    assert json.loads(loaded) == ["spectra_stage", "spectra_stage.pytest_plugin"]
