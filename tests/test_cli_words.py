"""What commands show, whatever the terminal, and quote from outside: no terminal obeys it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from deltalake import DeltaTable

from spectra_logging import DeltaHandler
from spectra_logging.testing import DiscordAnswer, FakeDiscord, FakeSourceSystem
from tests.discords import TOKEN
from tests.stages import RECORD, run_stage, set_up

OBEYED = "\x9b2J\x07"
SHOWN = r"\x9b2J\x07"


def spectra(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "spectra_stage", *map(str, arguments)],
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **variables},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert not {"\x9b", "\x07"} & set(done.stdout + done.stderr)
    return done


class Forbids(BaseHTTPRequestHandler):
    """A server that refuses with a reason of its own."""

    def do_GET(self) -> None:
        self.send_response(418, OBEYED)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_screen_of_no_known_width_shows_all(tmp_path: Path) -> None:
    """Rich takes a ``COLUMNS`` of 0 for a screen that has room for nothing."""
    done = spectra(
        *("ready", "--source-system", "zephyr", "--root", tmp_path), COLUMNS="0", FORCE_COLOR="1"
    )
    assert done.returncode == 5
    assert "not ready" in done.stdout


def test_a_servers_reason_is_escaped(tmp_path: Path) -> None:
    """A source system words its own refusal, and `source run` ends with it."""
    (tmp_path / "catalog.json").write_text(json.dumps([RECORD]), encoding="utf-8")
    server = HTTPServer(("127.0.0.1", 0), Forbids)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        done = spectra(
            *("source", "run", "--source-system", "zephyr", "--root", tmp_path),
            *("--base-url", f"http://127.0.0.1:{server.server_port}"),
            *("--catalog", tmp_path / "catalog.json"),
            API_TOKEN=TOKEN,
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done.returncode == 1
    assert f"418 {SHOWN}" in done.stderr


def test_what_discord_answers_is_escaped() -> None:
    """In the one line that says what became of the message."""
    with FakeDiscord(token=TOKEN) as discord:
        discord.first_answers.append(DiscordAnswer(status=403, body={"message": OBEYED}))
        done = spectra(
            *("discord", "test", "--api-base-url", discord.api_base_url),
            DISCORD_WEBHOOK_URL=discord.webhook_url,
        )
    assert done.returncode == 1
    assert done.stderr.count(SHOWN) == 1


def test_a_files_text_is_escaped(tmp_path: Path) -> None:
    """A catalogue may be somebody else's, and a wrong one is quoted."""
    wrong = {"http_method": OBEYED, "full_path": OBEYED}
    (tmp_path / "catalog.json").write_text(json.dumps([wrong]), encoding="utf-8")
    done = spectra(
        *("source", "run", "--source-system", "zephyr", "--base-url", "http://127.0.0.1:9"),
        *("--catalog", tmp_path / "catalog.json", "--root", tmp_path),
        API_TOKEN=TOKEN,
    )
    assert done.returncode == 1
    assert SHOWN in done.stderr


def test_a_levels_name_is_escaped(tmp_path: Path) -> None:
    """Records of another process's name their level as they like, and `log stats` lists them."""
    handler = DeltaHandler(str(tmp_path))
    sent = {"name": "shop", "levelname": OBEYED, "levelno": 35, "msg": "said"}
    handler.handle(logging.makeLogRecord(sent))
    assert handler.flush(30)
    handler.close()
    done = spectra("log", "stats", tmp_path)
    assert f"rows_by_level    {SHOWN} 1" in done.stdout


def test_a_tables_text_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ready` shows what the source tables say."""
    with FakeSourceSystem() as system:
        set_up(monkeypatch, tmp_path, BASE_URL=system.base_url, API_TOKEN=system.token)
        run_stage()
    portfolio = DeltaTable(str(tmp_path / "Tables/source/portfolio"))
    portfolio.update(new_values={"auth_status": OBEYED})
    done = spectra("ready", "--source-system", "zephyr", "--root", tmp_path)
    assert done.returncode == 5
    assert f"source.portfolio says auth_status {SHOWN}" in done.stdout
