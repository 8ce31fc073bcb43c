"""What the distribution installs, and what it does not."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import spectra_logging


def requirements(*, extra: str | None = None) -> set[str]:
    """Names of the distributions that the base install, or one extra, asks for."""
    names = set()
    for requirement in metadata.requires("spectra-logging") or []:
        specifier, _, marker = requirement.partition(";")
        wanted = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        if (wanted.group(1) if wanted else None) == extra:
            name = re.match(r"[\w.-]+", specifier)
            assert name is not None
            names.add(name.group().lower())
    return names


def test_the_base_install_is_small() -> None:
    """The base install names the packages it needs, and never Spark, pandas or pyarrow."""
    assert requirements() == {
        "arro3-core",
        "arro3-io",
        "deltalake",
        "msgspec",
        "platformdirs",
        "requests",
        "structlog",
    }


def test_the_readme_names_what_the_base_install_requires() -> None:
    """Who weighs a dependency up asks what comes with it, and the wheel's users add it by hand."""
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    named = re.search(r"It requires\s(.*?), and neither", readme, re.DOTALL)
    assert named is not None
    assert set(re.findall(r"`([\w-]+)`", named.group(1))) == requirements()


def test_the_command_line_is_an_extra() -> None:
    """What only the `spectra` command needs comes with the extra `cli`."""
    assert requirements(extra="cli") == {"pyyaml", "rich", "typer"}


def test_no_required_distribution_brings_spark_pandas_or_pyarrow() -> None:
    """What the required distributions themselves always require holds none of the three either."""
    seen: set[str] = set()
    waiting = requirements()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for requirement in metadata.requires(name) or []:
            match = re.match(r"[\w.-]+", requirement)
            if ";" not in requirement and match and match.group().lower() not in seen:
                waiting.add(match.group().lower())
    assert seen.isdisjoint({"pyspark", "pandas", "pyarrow"})


def test_both_packages_say_that_they_are_typed() -> None:
    """A type checker of the user's reads our annotations: `py.typed` is installed."""
    root = Path(spectra_logging.__file__).parent.parent
    for package in ("spectra_logging", "spectra_stage"):
        assert (root / package / "py.typed").is_file()


def test_the_version_is_the_distributions_own() -> None:
    """`__version__` and the installed metadata agree."""
    assert spectra_logging.__version__ == metadata.version("spectra-logging")
