"""Where ``Tables/…`` is: on this machine, and in Fabric with and without a mounted lakehouse."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectra_logging import DeltaHandler
from spectra_logging.errors import ConfigurationError
from spectra_logging.fabric import has_schemas
from spectra_logging.paths import (
    absolute_root,
    catalog_words,
    is_catalog_name,
    journals_root,
    resolve_table,
    table_below,
)
from spectra_logging.testing import FakeNotebookUtils
from spectra_stage.validation.suite import place_of

IN_FABRIC = {"defaultLakehouseId": "lake", "defaultLakehouseWorkspaceId": "space"}
NO_LAKEHOUSE = {"defaultLakehouseId": None, "defaultLakehouseName": None}
ONELAKE = "abfss://space@onelake.dfs.fabric.microsoft.com/lake"


@pytest.fixture(autouse=True)
def no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPECTRA_ROOT", raising=False)


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where Fabric would mount the default lakehouse."""
    folder = tmp_path / "lakehouse" / "default"
    folder.mkdir(parents=True)
    monkeypatch.setattr("spectra_logging.paths.MOUNTED_LAKEHOUSE", folder)
    monkeypatch.setattr("spectra_logging.fabric.MOUNTED_LAKEHOUSE", folder)
    return folder


def spark_with(**settings: str) -> Any:
    """What is asked of a Spark session: ``conf.get(key, default)``."""
    named = {f"trident.{key.replace('_', '.')}": value for key, value in settings.items()}
    return SimpleNamespace(conf=SimpleNamespace(get=named.get))


def test_on_any_machine_tables_are_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or below SPECTRA_ROOT, which may be an address too."""
    monkeypatch.chdir(tmp_path)
    assert resolve_table("Tables/log/t") == f"{tmp_path}/Tables/log/t"
    assert resolve_table("other/t") == f"{tmp_path}/other/t"
    monkeypatch.setenv("SPECTRA_ROOT", "root")
    assert resolve_table("Tables/log/t") == f"{tmp_path}/root/Tables/log/t"
    monkeypatch.setenv("SPECTRA_ROOT", "s3://bucket/lake/")
    assert resolve_table("Tables/log/t") == "s3://bucket/lake/Tables/log/t"


def test_a_path_with_dots_names_the_table_that_its_plain_path_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name processes meet at the journal; above a link is what is above where it leads."""
    (tmp_path / "notebooks" / "daily").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks")
    plain = f"{tmp_path}/lake/events"
    assert resolve_table("../lake/events") == plain
    assert resolve_table("daily/../../missing/../lake/events") == plain
    assert table_below("../lake", "events") == plain
    monkeypatch.setenv("SPECTRA_ROOT", "../lake")
    assert resolve_table("Tables/log/t") == f"{tmp_path}/lake/Tables/log/t"
    assert resolve_table("Tables/log/../log/t") == f"{tmp_path}/lake/Tables/log/t"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "today").symlink_to(tmp_path / "notebooks" / "daily")
    assert resolve_table("../elsewhere/today/../lake/t") == f"{tmp_path}/notebooks/lake/t"
    assert resolve_table("../elsewhere/today/t") == f"{tmp_path}/elsewhere/today/t"
    assert resolve_table("/../lake") == "/lake"


def test_a_root_may_be_below_the_user_s_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell expands ``--root=~/lake``, or what stands in a file of variables."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SPECTRA_ROOT", "~/lake")
    assert resolve_table("Tables/log/t") == f"{tmp_path}/lake/Tables/log/t"
    assert table_below("~/other", "Tables/log/t") == f"{tmp_path}/other/Tables/log/t"
    assert table_below("/lake", "~/other/t") == f"{tmp_path}/other/t"
    assert place_of("log.t", None, root="~/other") == f"{tmp_path}/other/Tables/log/t"


@pytest.mark.parametrize("found", [None, Path("~/.local/state/spectra-logging")])
def test_journals_of_a_user_without_a_home_are_refused(
    monkeypatch: pytest.MonkeyPatch, found: Path | None
) -> None:
    """Else they would be in the working directory, and lost to a process that changes it.

    As where a container runs under a number that no user has; older platformdirs give a ``~`` out.
    """

    def state_path(_name: str) -> Path:
        if found is None:
            raise RuntimeError("could not determine the home directory")
        return found

    monkeypatch.delenv("SPECTRA_JOURNAL_DIRECTORY", raising=False)
    monkeypatch.setattr("platformdirs.user_state_path", state_path)
    with pytest.raises(ConfigurationError, match=r"no home .* journal_directory"):
        journals_root()


def test_below_a_root_an_address_is_written_as_everywhere() -> None:
    """A suite's table is the one that a handler logs to, also where that is ``dbfs:/…``."""
    assert place_of("log.t", None, root="dbfs:/lake/") == "dbfs:///lake/Tables/log/t"
    assert table_below("dbfs:/lake", "Tables/log/t") == "dbfs:///lake/Tables/log/t"
    assert table_below("dbfs:/lake", "/tmp/t") == "/tmp/t"


@pytest.mark.parametrize("scheme", ["dbfs", "file", "hdfs"])
def test_an_address_may_go_without_an_authority(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """As Databricks and Hadoop write it; it is no folder called ``dbfs:``."""
    assert resolve_table(f"{scheme}:/logs/t/") == f"{scheme}:///logs/t"
    assert resolve_table(f"{scheme}:///logs/t") == f"{scheme}:///logs/t"
    monkeypatch.setenv("SPECTRA_ROOT", f"{scheme}:/lake")
    assert resolve_table("Tables/log/t") == f"{scheme}:///lake/Tables/log/t"


def test_a_table_may_be_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever ``open`` takes for one; what looks like a catalog's name is a folder's then."""
    monkeypatch.chdir(tmp_path)
    assert resolve_table(Path("Tables/log/t")) == f"{tmp_path}/Tables/log/t"
    assert resolve_table(Path("log.events")) == f"{tmp_path}/log.events"


def test_a_path_made_of_a_uri_is_refused() -> None:
    """The bucket would be the table's first folder: pathlib makes one slash of two."""
    with pytest.raises(ConfigurationError, match=r"table=PosixPath\('s3:/b/t'\) .* as text"):
        resolve_table(Path("s3://b/t"))
    with pytest.raises(ConfigurationError, match=r"root=PosixPath\('s3:/lake'\) .* as text"):
        absolute_root(Path("s3://lake"))


def test_in_fabric_they_are_in_the_default_lakehouse(mounted: Path) -> None:
    """By OneLake's address, also where it is mounted: a mount can't keep writers apart."""
    with FakeNotebookUtils(context=IN_FABRIC):
        assert resolve_table("Tables/log/t") == f"{ONELAKE}/Tables/log/t"
        assert resolve_table(f"{mounted}/Tables/log/t") == f"{ONELAKE}/Tables/log/t"
        assert resolve_table("/elsewhere/t") == "/elsewhere/t"
        assert DeltaHandler("Tables/log/t").table == f"{ONELAKE}/Tables/log/t"


def test_a_root_at_the_mount_is_the_default_lakehouse_too(
    mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table has one name, whoever names it, and the mount can't keep two writers apart."""
    monkeypatch.setenv("SPECTRA_ROOT", str(mounted))
    with FakeNotebookUtils(context=IN_FABRIC):
        assert resolve_table("Tables/log/t") == f"{ONELAKE}/Tables/log/t"
        assert table_below(mounted, "Tables/log/t") == f"{ONELAKE}/Tables/log/t"
    assert resolve_table("Tables/log/t") == f"{mounted}/Tables/log/t"


def test_a_lakehouse_of_the_notebooks_own_workspace_is_found_too() -> None:
    """Older runtimes don't say whose workspace the default lakehouse is in."""
    context = {**IN_FABRIC, "defaultLakehouseWorkspaceId": None, "currentWorkspaceId": "space"}
    with FakeNotebookUtils(context=context):
        assert resolve_table("Tables/t") == f"{ONELAKE}/Tables/t"


def test_without_notebookutils_spark_tells_the_default_lakehouse() -> None:
    """By its trident settings, as a job without a mount has them."""
    spark = spark_with(workspace_id="space", lakehouse_id="lake")
    assert resolve_table("Tables/log/t", spark) == f"{ONELAKE}/Tables/log/t"
    with FakeNotebookUtils(context={**NO_LAKEHOUSE, "defaultLakehouseWorkspaceId": None}):
        assert resolve_table("Tables/log/t", spark) == f"{ONELAKE}/Tables/log/t"


def test_a_mount_serves_where_nobody_tells_the_address(mounted: Path) -> None:
    """Better than the working directory, which ends with the notebook."""
    assert resolve_table("Tables/log/t") == f"{mounted}/Tables/log/t"


def test_a_notebook_without_a_lakehouse_writes_where_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no default lakehouse to be below."""
    monkeypatch.chdir(tmp_path)
    with FakeNotebookUtils(context=NO_LAKEHOUSE):
        assert resolve_table("Tables/log/t") == f"{tmp_path}/Tables/log/t"


def test_spectra_root_is_heeded_in_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody has set on purpose comes before what is found out."""
    monkeypatch.setenv("SPECTRA_ROOT", "/somewhere")
    with FakeNotebookUtils(context=IN_FABRIC):
        assert resolve_table("Tables/log/t") == "/somewhere/Tables/log/t"


@pytest.mark.parametrize(
    ("table", "is_name"),
    [
        ("log.events", True),
        ("main.log.events", True),
        ("space.lake.log.events", True),
        ("a.b.c.d.e", False),
        ("events", False),
        ("./log.events", False),
        ("log.events/", False),
        ("s3://b/t", False),
        ("`my-catalog`.log.events", True),
        ("`a.b`.`c``d`", True),
        ("my-catalog.log.events", False),
        ("delta.`/tmp/t`", False),
        ("``.events", False),
    ],
)
def test_a_catalog_name_is_two_to_four_words(table: str, is_name: bool) -> None:
    """It is kept as it is, since only Spark knows where it leads."""
    assert is_catalog_name(table) is is_name
    if is_name:
        assert resolve_table(table) == table


def test_words_of_a_catalog_name_may_stand_in_backticks() -> None:
    """As in SQL, and a dot within them is none between words."""
    assert catalog_words("main.log.events") == ["main", "log", "events"]
    assert catalog_words("`my-catalog`.`a.b`.`c``d`") == ["my-catalog", "a.b", "c`d"]


def test_a_path_that_is_no_utf_8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a journal nor an engine can name it; a working folder's name may be of any bytes."""
    lake = os.fsdecode(b"/d\xe9")
    with pytest.raises(ConfigurationError, match=r"table='/d\\udce9/t' is no UTF-8"):
        DeltaHandler(f"{lake}/t")
    monkeypatch.setenv("SPECTRA_ROOT", lake)
    with pytest.raises(ConfigurationError, match="PYTHONUTF8=1"):
        resolve_table("Tables/log/t")
    with pytest.raises(ConfigurationError, match="is no UTF-8"):
        table_below(None, f"file://{lake}/t")


def test_an_unfinished_address_is_refused() -> None:
    """The message names what a table may be."""
    with pytest.raises(ConfigurationError, match="table may be a path"):
        resolve_table("abfss://")


class TestSchemas:
    @pytest.mark.parametrize("there", [True, False])
    def test_are_told_by_the_lakehouses_properties(self, there: bool) -> None:
        """One that keeps schemas has a default one."""
        with FakeNotebookUtils(has_schemas=there):
            assert has_schemas() is there

    def test_are_told_by_the_mount(self, mounted: Path) -> None:
        """There is a schema dbo that nobody can remove."""
        assert has_schemas() is None
        (mounted / "Tables").mkdir()
        assert has_schemas() is False
        (mounted / "Tables" / "dbo").mkdir()
        assert has_schemas() is True

    def test_are_not_guessed(self) -> None:
        """Outside Fabric, or where it refuses to tell, nobody knows."""
        assert has_schemas() is None
        with FakeNotebookUtils(context=NO_LAKEHOUSE):
            assert has_schemas() is None
