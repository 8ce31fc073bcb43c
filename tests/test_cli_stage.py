"""`spectra source`, `spectra prepare` and `spectra ready`: what they do, say and end with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from spectra_logging.drain import drain_journals
from spectra_logging.errors import SpectraError
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.session import NotebookSession
from spectra_logging.tables import Column, TableSpec
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.catalog import load_catalog
from spectra_stage.cli.app import app
from spectra_stage.cli.source import run_session
from spectra_stage.tables import PREPARE_TABLES, table_path
from tests.programs import run_program
from tests.stages import RECORD, record_rows, set_up, source

pytestmark = pytest.mark.usefixtures("fresh_logging")


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSourceSystem]:
    """A running source system, its token in the environment variable ZEPHYR_TOKEN."""
    with FakeSourceSystem() as system:
        monkeypatch.setenv("ZEPHYR_TOKEN", system.token)
        yield system


@pytest.fixture
def arguments(tmp_path: Path, system: FakeSourceSystem) -> list[str]:
    """`spectra source run` with all it needs."""
    catalog = tmp_path / "catalog.json"
    catalog.write_text(json.dumps([RECORD, RECORD]), encoding="utf-8")
    return [
        *("source", "run", "--root", str(tmp_path), "--source-system", "zephyr"),
        *("--base-url", system.base_url, "--catalog", str(catalog)),
        *("--token-variable", "ZEPHYR_TOKEN"),
    ]


def run_command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command in a process of its own."""
    done = run_program(
        "from spectra_stage.__main__ import main\n"
        "sys.argv = ['spectra', table, *arguments]\n"
        "sys.exit(main())\n",
        *arguments,
    )
    return done.returncode, done.stdout, done.stderr


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def test_a_run_leaves_the_tables_and_says_so(tmp_path: Path, arguments: list[str]) -> None:
    """Exit code 0; stdout has the execution id, stderr the endpoint that was left out."""
    code, out, err = run_command(*arguments)
    assert code == 0, err
    (row,) = record_rows(tmp_path)
    assert out.startswith(f"Success: {row['execution_id']}\ncapabilities: configTablesCreated, ")
    assert "endpoint left out: record 2: GET /project/details is record 1 already" in err
    assert len(source(tmp_path, "endpoints")) == 1


def test_a_run_says_what_its_validation_found(arguments: list[str]) -> None:
    """Only where one was asked for: else nobody would know whether it was made."""
    assert "validation" not in invoke(*arguments).stdout
    told = invoke(*arguments, "--validate").stdout.splitlines()[-1]
    assert told == "validation: passed, all 63 checks passed"


def test_a_run_tells_programs_all_of_it(tmp_path: Path, arguments: list[str]) -> None:
    """One line of JSON on stdout, whatever comes on stderr."""
    code, out, _ = run_command(*arguments, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["execution_id"] == record_rows(tmp_path)[0]["execution_id"]
    assert told["status"] == "Success"
    assert told["errors"]["total_errors"] == 0


def test_a_run_that_fails_ends_with_1_and_shows_no_token(
    tmp_path: Path, arguments: list[str], system: FakeSourceSystem
) -> None:
    """The error is one line on stderr and in the JSON; one Failed row is in the activity log."""
    token, system.token = system.token, "another-token"
    code, out, err = run_command(*arguments, "--json")
    assert code == 1
    (line,) = err.splitlines()
    assert line.startswith("spectra: GET http://127.0.0.1")
    assert "401" in line
    assert json.loads(out)["errors"]["errors_by_type"] == {"AuthenticationError": 1}
    assert [row["status"] for row in record_rows(tmp_path)] == ["Failed"]
    assert token not in out + err


def test_a_run_whose_record_is_late_is_recorded_as_the_success_it_was(
    tmp_path: Path, system: FakeSourceSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command ends with an error, and the row that waits in the journal is the run's only."""
    set_up(monkeypatch, tmp_path, BASE_URL=system.base_url, API_TOKEN=system.token)
    in_the_way = tmp_path / "Tables/log"
    in_the_way.parent.mkdir()
    in_the_way.touch()
    session = NotebookSession("example", record_timeout_seconds=0.1).load_context(bootstrap=True)
    with pytest.raises(SpectraError, match="its record is not in the activity log yet"):
        run_session(session, load_catalog([RECORD]), {})
    assert session.result["status"] == "Success"
    in_the_way.unlink()
    drain_journals(str(in_the_way / "sourcelog"))
    assert [row["status"] for row in record_rows(tmp_path)] == ["Success"]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"--token-variable": "NOWHERE"}, "--token-variable: the environment variable NOWHERE is"),
        ({"--catalog": "/no/such.json"}, "endpoint catalogue /no/such.json can't be read"),
        ({"--base-url": "example.com"}, "BASE_URL is 'example.com'"),
        ({"--contract-version": "1"}, "contract_version='1' must be three numbers"),
        ({"--duplicates": "keep"}, "duplicates='keep' may be drop or refuse"),
        ({"--engine": "duckdb"}, "--engine='duckdb' may be"),
    ],
)
def test_an_option_that_can_not_work_ends_with_2(
    arguments: list[str], changed: dict[str, str], problem: str
) -> None:
    """The message names the option and what it may be."""
    code, out, err = run_command(*arguments, *[part for pair in changed.items() for part in pair])
    assert code == 2, err
    assert problem in err
    assert "Traceback" not in err
    assert out == ""


def test_refused_duplicates_end_with_1(arguments: list[str]) -> None:
    """The catalogue's problem is the message."""
    code, _, err = run_command(*arguments, "--duplicates", "refuse")
    assert code == 1
    assert "record 2: GET /project/details is record 1 already" in err


def test_the_catalogue_is_kept_when_asked(tmp_path: Path, arguments: list[str]) -> None:
    """The second run's file is read, and not written."""
    assert invoke(*arguments).exit_code == 0
    (tmp_path / "catalog.json").write_text("[]", encoding="utf-8")
    assert invoke(*arguments, "--keep-catalog").exit_code == 0
    assert len(source(tmp_path, "endpoints")) == 1


def test_prepare_says_what_it_does(tmp_path: Path) -> None:
    """A plan, the run and the run after it."""
    planned = invoke("prepare", "--root", str(tmp_path), "--plan")
    assert planned.exit_code == 0
    assert planned.stdout.splitlines() == [
        "prepare._schema      created",
        "prepare._endpoints   created",
        "prepare._statusMap   created",
    ]
    assert "nothing was changed" in planned.stderr
    assert not (tmp_path / "Tables").exists()
    done = json.loads(invoke("prepare", "--root", str(tmp_path), "--json").stdout)
    assert done["changed"]
    assert [table["created"] for table in done["tables"]] == [True] * 3
    again = invoke("prepare", "--root", str(tmp_path))
    assert {line.split(maxsplit=1)[1] for line in again.stdout.splitlines()} == {"nothing to do"}


def test_prepare_ends_with_1_at_a_conflict(tmp_path: Path) -> None:
    """The difference is on stderr."""
    spec = TableSpec(name="x.y", columns=(Column(name="entity", type="long"),))
    open_lakehouse().ensure(str(tmp_path / table_path(PREPARE_TABLES[0])), spec)
    code, _, err = run_command("prepare", "--root", str(tmp_path))
    assert code == 1
    assert "column entity is long there, not string" in err


def test_a_root_may_be_a_uri(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are at the URI, and no folder of its name is made in the working directory."""
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    lake = tmp_path / "lake"
    root = ("--root", lake.as_uri())
    assert invoke(*arguments, *root).exit_code == 0
    told = json.loads(invoke("prepare", *root, "--json").stdout)
    assert not told["changed"]
    assert [table["path"] for table in told["tables"]] == [
        f"{lake.as_uri()}/{table_path(spec)}" for spec in PREPARE_TABLES
    ]
    assert invoke("ready", *root, "--source-system", "zephyr").exit_code == 0
    assert len(record_rows(lake)) == 1
    assert list(working.iterdir()) == []


def test_ready_ends_with_0_or_5(tmp_path: Path, arguments: list[str]) -> None:
    """Each condition with its finding; 5 before a run, 0 after it, for another contract 5."""
    asked = ("ready", "--root", str(tmp_path), "--source-system", "zephyr")
    before = invoke(*asked)
    assert before.exit_code == 5
    assert "not ready" in before.stdout
    assert "missing: source.config" in before.stdout
    assert invoke(*arguments).exit_code == 0
    after = invoke(*asked, "--json")
    assert after.exit_code == 0
    told = json.loads(after.stdout)
    assert told["ready"]
    assert told["execution_id"] == record_rows(tmp_path)[0]["execution_id"]
    assert {condition["ok"] for condition in told["conditions"]} == {True}
    assert invoke(*asked, "--contract-version", "4.0.0").exit_code == 5
