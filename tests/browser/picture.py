"""Take the README's pictures from the real thing: ``python -m tests.browser.picture``.

A real model answers in a real JupyterLab; the picture is taken while the answer streams.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.harness import Notebook, PageErrors, Server, launch_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.harness import Theme

DOCS = Path(__file__).parents[2] / "docs"
CELLS = [
    "import llmkit as lk\n\nsession = lk.Session(seed=4)",
    'run = session.complete("Write a letter from a lighthouse keeper to the sea.", max_output_tokens=400)',
]


def main() -> None:
    """Write ``docs/run-light.png`` and ``docs/run-dark.png``."""
    server = Server(Path(tempfile.mkdtemp(prefix="llmkit-picture-")))
    server.wait_until_running()
    try:
        with launch_browser() as browser:
            for theme in ("light", "dark"):
                take(server, browser, theme)
    finally:
        server.stop()


def take(server: Server, browser: Browser, theme: Theme) -> None:
    """Take one picture, in a theme."""
    name = f"picture-{theme}.ipynb"
    server.write_notebook(name, CELLS)
    page = browser.new_page(viewport={"width": 1000, "height": 560}, device_scale_factor=2)
    notebook = Notebook(server, page, name, PageErrors())
    notebook.set_theme(theme)
    notebook.command("application:toggle-left-area")
    notebook.run_cell(0)
    page.wait_for_function("() => document.body.innerText.includes('ready')")
    notebook.run_cell(1)
    live = notebook.output(1).locator("section.llmkit-run")
    expect(live).to_have_attribute("data-status", "decoding")
    page.wait_for_function("() => document.querySelector('.llmkit-run-answer')?.innerText.length > 420")
    DOCS.mkdir(exist_ok=True)
    page.locator(".jp-Notebook").screenshot(path=DOCS / f"run-{theme}.png")
    page.close()
    for session in server.api("sessions"):
        server.api(f"sessions/{session['id']}", "DELETE")


if __name__ == "__main__":
    main()
