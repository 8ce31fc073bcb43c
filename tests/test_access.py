"""Tables that are there and can't be read: which error each way of it is."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake

from spectra_logging.errors import (
    TableForbiddenError,
    TableNotFoundError,
    TableUnavailableError,
    TableUnreadableError,
)
from spectra_logging.lakehouse import open_lakehouse

NOBODY = 65534


@contextmanager
def store_that_answers(
    status: int, hear: Callable[[str], None] = lambda _: None
) -> Iterator[dict[str, str]]:
    """An object store that answers everything so; gives the options to reach it.

    ``hear`` is told who asks, as each request says it.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hear(self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_PUT = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "not-a-key",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": "us-east-1",
            "max_retries": "0",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, TableForbiddenError), (403, TableForbiddenError), (500, TableUnavailableError)],
)
def test_a_store_that_refuses_is_told_from_one_that_fails(
    status: int, error: type[Exception]
) -> None:
    """A refusal is no use to retry with the same credentials; a failure is."""
    with store_that_answers(status) as options:
        lakehouse = open_lakehouse("deltalake", storage_options=options)
        with pytest.raises(error, match="s3://bucket/table"):
            lakehouse.version("s3://bucket/table")


def test_a_credential_of_the_environment_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program whose environment gets another key while it runs asks with that from then on."""
    heard: list[str] = []
    with store_that_answers(403, heard.append) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        lakehouse = open_lakehouse("deltalake")
        for key in ("first-key", "second-key"):
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
            heard.clear()
            with pytest.raises(TableForbiddenError):
                lakehouse.schema("s3://bucket/table")
            assert heard
            assert all(f"Credential={key}/" in each for each in heard)


def test_a_folder_without_permission_is_forbidden(tmp_path: Path) -> None:
    """Whoever may not list the log can't tell whether there is a table."""
    table = tmp_path / "table"
    write_deltalake(table, pl.DataFrame({"n": [1]}))
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    (table / "_delta_log").chmod(0o000)
    program = f"""
import os
from spectra_logging.errors import TableForbiddenError
from spectra_logging.lakehouse import open_lakehouse
lakehouse = open_lakehouse("deltalake")
lakehouse.exists("/nowhere")
if os.getuid() == 0:
    os.setuid({NOBODY})
try:
    lakehouse.version({str(table)!r})
except TableForbiddenError as error:
    assert "Permission denied" in str(error)
    print("forbidden")
"""
    try:
        told = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        )
    finally:
        (table / "_delta_log").chmod(0o755)
    assert told.stdout == "forbidden\n"


def entry(table: Path, version: int) -> Path:
    return table / "_delta_log" / f"{version:020}.json"


def spoil_the_log(table: Path) -> None:
    entry(table, 1).write_text("no JSON\n")


def remove_the_first_entry(table: Path) -> None:
    entry(table, 0).unlink()


def ask_for_a_newer_reader(table: Path) -> None:
    log = entry(table, 0)
    log.write_text(log.read_text().replace('"minReaderVersion":1', '"minReaderVersion":9'))


@pytest.mark.parametrize("damage", [spoil_the_log, remove_the_first_entry, ask_for_a_newer_reader])
def test_a_table_whose_log_is_damaged_or_newer_is_unreadable(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """It is told from a missing table, in one line without a backtrace."""
    table = tmp_path / "table"
    for number in range(2):
        write_deltalake(table, pl.DataFrame({"n": [number]}), mode="append")
    damage(table)
    with pytest.raises(TableUnreadableError) as caught:
        open_lakehouse("deltalake").version(str(table))
    assert str(table) in str(caught.value)
    assert not {"\n", "<unknown>"} & set(str(caught.value).split())


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_bytes(b"no Parquet")])
def test_a_table_whose_data_is_damaged_is_unreadable(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """The log can be read, and a query can't be answered."""
    table = tmp_path / "table"
    write_deltalake(table, pl.DataFrame({"n": [1]}))
    for file in table.glob("*.parquet"):
        damage(file)
    lakehouse = open_lakehouse("deltalake")
    assert lakehouse.version(str(table)) == 0
    with pytest.raises(TableUnreadableError):
        lakehouse.query("SELECT sum(n) FROM t", {"t": str(table)})


def test_an_empty_folder_is_neither(tmp_path: Path) -> None:
    """Where there is nothing to read there is no table."""
    (tmp_path / "_delta_log").mkdir()
    with pytest.raises(TableNotFoundError):
        open_lakehouse("deltalake").version(str(tmp_path))
