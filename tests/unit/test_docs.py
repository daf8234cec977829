"""Pages that are written from the code say what the code says."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_of_events_is_that_of_the_definitions() -> None:
    """If it isn't: ``python docs/events.py``."""
    made = runpy.run_path(str(DOCS / "events.py"))["table"]()

    assert (DOCS / "events.md").read_text(encoding="utf-8") == made
