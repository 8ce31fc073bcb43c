"""What `import spectra_logging` offers, and what it costs."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import spectra_logging
import spectra_stage

HEAVY = {"arro3", "deltalake", "duckdb", "opentelemetry", "pyarrow", "pyspark", "requests", "typer"}


def modules_of(package: ModuleType) -> list[str]:
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    return [package.__name__, *(module.name for module in found)]


LATER = {
    "ctypes",
    "spectra_logging.drain",
    "spectra_logging.handlers.discord",
    "spectra_logging.lakehouse.base",
    "spectra_logging.lakehouse.spark_session",
}
"""With the first handler, the first engine, or the first who asks for it."""


def loaded_by_importing(module: str) -> set[str]:
    """The modules that a fresh interpreter has loaded when it has imported one."""
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    return set(json.loads(loaded))


@pytest.mark.parametrize("module", ["spectra_logging", "spectra_stage"])
def test_importing_the_package_loads_no_engine_and_no_http_client(module: str) -> None:
    """A fresh interpreter that imports the package has loaded none of the heavy packages."""
    loaded = loaded_by_importing(module)
    assert HEAVY.isdisjoint(name.partition(".")[0] for name in loaded)


def test_importing_the_package_leaves_what_only_a_handler_needs_to_the_handler() -> None:
    """The import's time creeps up unseen: it is the sum of many small modules."""
    loaded = loaded_by_importing("spectra_logging") - loaded_by_importing("structlog")
    assert LATER.isdisjoint(loaded)


LOGGING_UNDER_AUDIT = """
import json, logging, sys

hooks = []
sys.addaudithook(lambda event, _: hooks.append(event) if event == "sys.addaudithook" else None)

from spectra_logging import DeltaHandler, DiscordHandler, NotebookSession

handler = DeltaHandler(sys.argv[1])
logging.getLogger().addHandler(handler)
logging.getLogger().addHandler(DiscordHandler())
logging.getLogger("shop").warning("order %d placed", 1)
assert handler.flush(60), handler.stats()
print(json.dumps(hooks))
"""


def test_logging_to_a_table_adds_no_audit_hook(tmp_path: Path) -> None:
    """An audit hook runs for each `sys._getframe`, so for every log call; nothing loads one."""
    hooks = subprocess.run(
        [sys.executable, "-c", LOGGING_UNDER_AUDIT, str(tmp_path / "events")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert json.loads(hooks) == []


def test_all_lists_exactly_the_public_names() -> None:
    """`__all__` equals the public names that are not submodules, each once."""
    public = {
        name
        for name in dir(spectra_logging)
        if not name.startswith("_")
        and not isinstance(getattr(spectra_logging, name), ModuleType)
        and name != "annotations"
    }
    listed = spectra_logging.__all__
    assert set(listed) == public | {name for name in listed if name.startswith("__")}
    assert len(listed) == len(set(listed))


def test_a_name_that_is_not_there_is_refused_by_type_checkers_too() -> None:
    """Some names are imported when asked for; mypy, which tests are held to, knows of no others."""
    with pytest.raises(ImportError):
        from spectra_logging import DeltaHandlr  # type: ignore[attr-defined] # noqa: F401


@pytest.mark.parametrize("name", [*modules_of(spectra_logging), *modules_of(spectra_stage)])
def test_every_listed_name_can_be_imported(name: str) -> None:
    """No module's `__all__` names something that the module lacks."""
    module = importlib.import_module(name)
    assert [
        listed for listed in getattr(module, "__all__", []) if not hasattr(module, listed)
    ] == []
