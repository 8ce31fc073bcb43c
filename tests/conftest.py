"""Fixtures that every test may need."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def journals(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for this test's journals, also for the processes it starts."""
    folder = tmp_path_factory.mktemp("journals")
    monkeypatch.setenv("SPECTRA_JOURNAL_DIRECTORY", str(folder))
    return folder
