"""README.md and docs/ name what the code has, and nothing that it lacks."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

import spectra_logging.errors
import spectra_stage.errors
from spectra_logging import DeltaHandler, DiscordHandler, NotebookSession
from spectra_logging.journal.roller import SEGMENT_BYTES
from spectra_logging.tables import SCALAR_TYPES
from spectra_stage.cli.app import app
from spectra_stage.sdk import SourceStageHelpers
from spectra_stage.source import RetryPolicy

ROOT = Path(__file__).parent.parent
FOLDERS = ("spectra_logging", "spectra_stage", "tests", "benchmarks", "examples", "docs")
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")))
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def rows_of(page: str) -> list[list[str]]:
    """The cells of each row of a page's tables."""
    lines = (line.strip() for line in text_of(page).splitlines())
    return [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")
    ]


def in_words(default: object) -> str:
    """A default as the tables of options show it."""
    if isinstance(default, (bool, str)):
        return f"`{default}`"
    assert isinstance(default, (int, float))
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if default and default % size == 0:
            return f"{default // size:g} {unit}"
    return f"{default:g}"


@pytest.mark.parametrize(
    ("handler", "page"), [(DeltaHandler, "docs/handlers.md"), (DiscordHandler, "docs/discord.md")]
)
def test_every_option_of_a_handler_is_in_its_table_with_its_default(
    handler: type, page: str
) -> None:
    """A row may tell of several, with one default or with theirs in turn."""
    options = inspect.signature(handler).parameters
    listed: dict[str, str] = {}
    for first, *others in rows_of(page):
        names = re.findall(r"`(\w+)`", first)
        if len(others) == 2 and set(names) <= set(options):
            defaults = others[0].split(", ")
            listed.update(zip(names, defaults * (len(names) // len(defaults)), strict=True))
    assert set(listed) == set(options)
    for name, option in options.items():
        if option.default not in (None, inspect.Parameter.empty):
            assert listed[name] == in_words(option.default), name


def test_what_a_process_takes_of_the_journal_is_what_the_page_says() -> None:
    """It decides how many processes a journal has room for."""
    (row,) = (row for row in rows_of("docs/handlers.md") if row[0] == "`journal_max_bytes`")
    assert f"Each process that logs holds {in_words(SEGMENT_BYTES)} of it" in row[2]


def test_every_type_of_a_column_is_where_columns_are_declared() -> None:
    """In that part of the page, since words such as `date` are all over."""
    begun = text_of("docs/handlers.md").partition("## Columns of your own")[2]
    section = begun.partition("\n## ")[0]
    assert [name for name in SCALAR_TYPES if f"`{name}`" not in section] == []


def test_every_argument_that_a_run_is_started_with_is_on_the_page_of_sessions() -> None:
    """Those that a notebook's own code is to heed among them."""
    (row,) = (row for row in rows_of("docs/notebooks.md") if "`session.params`" in row[0])
    _, *names = inspect.signature(NotebookSession.load_context).parameters
    assert [name for name in names if f"`{name}`" not in row[1]] == ["debug"]
    assert "load_context(debug=True)" in text_of("docs/notebooks.md")


def test_every_setting_of_the_source_stage_is_on_its_page() -> None:
    """As a keyword; and what is tried again, with the numbers that there are."""
    page = text_of("docs/source-stage.md")
    stage = inspect.signature(SourceStageHelpers.execute_source_stage)
    settings = set(stage.parameters) - {"session", "spark"}
    assert [name for name in sorted(settings) if f"`{name}`" not in page] == []
    assert f"`{RetryPolicy()}`" in page


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The commands that run something, each with what to type for it."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
    else:
        for each in below.values():
            yield from commands(each, f"{name} {each.name}")


@pytest.mark.parametrize(("name", "command"), [*commands(get_command(app), "spectra")])
def test_every_command_and_option_is_in_the_documentation(name: str, command: Any) -> None:
    """Of an option and its opposite, one is enough."""
    pages = text_of("docs/cli.md") + text_of("docs/validation-reports.md")
    assert f"`{name}" in pages
    for option in command.params:
        if option.param_type_name == "option":
            spellings = "|".join((*option.opts, *option.secondary_opts))
            assert re.search(rf"(?:{spellings})(?![\w-])", pages), spellings


@pytest.mark.parametrize("module", [spectra_logging.errors, spectra_stage.errors])
def test_every_error_is_in_the_documentation(module: ModuleType) -> None:
    """In its prose: an example may catch one that no page tells of."""
    pages = "\n".join(map(prose_of, PAGES))
    assert [name for name in module.__all__ if f"`{name}`" not in pages] == []


FOREIGN_VARIABLES = {"COLUMNS", "CURL_CA_BUNDLE", "OTEL_PYTHON_CONTEXT"}
"""Those that terminals, requests and OpenTelemetry have, and that are heeded as these do it."""

READS = re.compile(r"(?:environ(?:\.get)?|variables\.get\w*)[(\[]\s*\"([A-Z][A-Z_]+)\"")


def test_every_variable_that_the_code_reads_is_in_the_documentation() -> None:
    """Of the environment, and of Fabric's Variable Library."""
    files = (file for package in FOLDERS[:2] for file in (ROOT / package).rglob("*.py"))
    read = {name for file in files for name in READS.findall(file.read_text(encoding="utf-8"))}
    assert {"SPECTRA_ROOT", "API_TOKEN"} <= read
    pages = "\n".join(map(prose_of, PAGES))
    assert [name for name in sorted(read - FOREIGN_VARIABLES) if f"`{name}`" not in pages] == []


@each_page
def test_every_file_of_ours_that_a_page_names_is_there(page: Path) -> None:
    """By its path, or by the end of it."""
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*")]
    ours = [f"/{file.relative_to(ROOT).as_posix()}" for file in files]
    named = re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|css|md))`", prose_of(page))
    others = {"gunicorn.conf.py", "myshop/tables.py"}
    missing = [name for name in named if not any(file.endswith(f"/{name}") for file in ours)]
    assert set(missing) <= others


def anchors(page: Path) -> set[str]:
    """What a page's headings are linked by."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@each_page
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    """Links into the web are left to their owners."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if link.startswith("https://"):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_example_is_linked() -> None:
    """Else nobody finds it."""
    pages = "\n".join(map(prose_of, PAGES))
    examples = (ROOT / "examples").glob("*.py")
    assert [file.name for file in examples if f"(../examples/{file.name})" not in pages] == []


@each_page
def test_every_name_that_an_example_imports_from_us_is_there(page: Path) -> None:
    """Also where nothing runs it, since it takes a workspace, a cluster or Celery."""
    for _, language, code in FENCED.findall(page.read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(code)) if language == "python" else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spectra_"):
                module = importlib.import_module(node.module or "")
                names = [name.name for name in node.names if name.name != "*"]
                assert [name for name in names if not hasattr(module, name)] == []
