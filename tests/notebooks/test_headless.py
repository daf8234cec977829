"""Every notebook runs without a browser, waits for nobody, and reads well when it is saved.

The same notebooks also run under nbval, which collects them directly (``--nbval-lax``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request: pytest.FixtureRequest) -> Any:
    notebook = read(request.param)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": FOLDER}}).execute()
    return notebook


def data_of(notebook: Any) -> list[dict[str, str]]:
    return [output.data for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]


def test_it_runs_and_leaves_no_dangling_widget(executed: Any) -> None:
    """CONTRACT 31: nobody is there, and nothing hangs."""
    assert data_of(executed)
    assert not [data for data in data_of(executed) if WIDGET in data]


def test_runs_are_there_as_text_and_html(executed: Any) -> None:
    shown = [data for data in data_of(executed) if "text/html" in data and "Answer of" in data["text/html"]]
    assert shown
    for data in shown:
        assert data["text/plain"].strip()
        assert data["text/markdown"].strip()
        assert "tokens/s" in data["text/html"]


def test_nbconvert_makes_a_page_of_it(executed: Any) -> None:
    page, _ = HTMLExporter().from_notebook_node(executed)  # type: ignore[no-untyped-call]
    assert "Answer of" in page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_saved_notebook_has_its_outputs_and_names_no_machine(path: Path) -> None:
    """What GitHub shows without running anything."""
    notebook = read(path)
    assert data_of(notebook)
    assert not re.search(r"(/home/|/Users/|/root/|/work/|/tmp/)", path.read_text(encoding="utf-8"))
