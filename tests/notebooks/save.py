"""Run every notebook without a browser and save it with its outputs: ``python -m tests.notebooks.save``."""

from __future__ import annotations

import nbformat
from nbclient import NotebookClient

from tests.notebooks.test_headless import FOLDER, NOTEBOOKS, read


def main() -> None:
    """Execute the notebooks in place."""
    for path in NOTEBOOKS:
        notebook = read(path)
        NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": FOLDER}}).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # when each cell ran is of no interest, and differs each time
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
