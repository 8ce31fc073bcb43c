"""The data dictionary in the documentation says what the specs say."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def test_the_data_dictionary_is_up_to_date() -> None:
    """docs/tables.md is what `python docs/data_dictionary.py` would write now."""
    made = runpy.run_path(str(DOCS / "data_dictionary.py"))["page"]()
    assert (DOCS / "tables.md").read_text(encoding="utf-8") == made
