from __future__ import annotations

import nbformat
from nbclient import NotebookClient

CELLS = (
    "%load_ext llmkit\nimport llmkit as lk\nsession = lk.Session(engine=lk.Scripted(['Because.']), ledger=None)",
    "%llm What's it?",
    "%%llm --temperature 0 -o run\nWhy?",
    "print(run.text)\nsession.close()",
)


def test_a_notebook_shows_each_answer_once() -> None:
    """CONTRACT 31: nobody is there, and nothing hangs."""
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call]

    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()

    shown = [[each for each in cell.outputs if "data" in each] for cell in notebook.cells]
    assert [len(outputs) for outputs in shown[1:3]] == [1, 1]
    assert all("Because." in outputs[0]["data"]["text/html"] for outputs in shown[1:3])
    assert notebook.cells[3].outputs[0]["text"] == "Because.\n"
