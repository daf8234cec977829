"""Take the README's pictures from the real thing: ``python -m tests.browser.picture``, or ``… panel`` for one of them.

A real model answers in a real JupyterLab; the pictures are taken while an answer streams, and while a call waits.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.harness import Notebook, PageErrors, Server, launch_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.harness import Theme

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Picture:
    """A picture: a cell that makes a session and one that uses it, and when to take it.

    Parameters
    ----------
    name : str
        ``docs/<name>-<theme>.png`` is where it goes.
    cells : tuple of str
        The two cells.
    status : str
        The run's status then.
    moment : str
        A JavaScript expression that is true then.
    height : int
        Of the page, in pixels.
    """

    name: str
    cells: tuple[str, str]
    status: str
    moment: str
    height: int


PICTURES = (
    Picture(
        "run",
        (
            "import llmkit as lk\n\nsession = lk.Session(seed=4)",
            'run = session.complete("Write a letter from a lighthouse keeper to the sea.", max_output_tokens=400)',
        ),
        "decoding",
        "document.querySelector('.llmkit-run-answer')?.innerText.length > 420",
        560,
    ),
    Picture(
        "panel",
        (
            """import llmkit as lk

session = lk.Session()

@lk.tool
def get_weather(city: str) -> dict:
    \"""Current weather for a city.\"""
    return {"temperature": 22, "condition": "sunny"}""",
            """run = session.complete("What's the weather in Tokyo?", tools=[get_weather])""",
        ),
        "approval",
        "document.activeElement.matches('.llmkit-run-card')",
        640,
    ),
    Picture(
        "grid",
        (
            "import llmkit as lk\n\nsession = lk.Session(seed=4, max_output_tokens=220)",
            """session.compare("Explain {topic} to {who}.", topic=["gravity", "a rainbow"],
                who=["a child", "a physicist"], temperature=[0, 0.8])""",
        ),
        "decoding",
        "[...document.querySelectorAll('.llmkit-grid-text')].every(text => text.innerText.length > 330)",
        760,
    ),
)


def main() -> None:
    """Write those pictures that the command line names, or all, in both themes."""
    wanted = [picture for picture in PICTURES if picture.name in (sys.argv[1:] or [picture.name])]
    server = Server(Path(tempfile.mkdtemp(prefix="llmkit-picture-")))
    server.wait_until_running()
    try:
        with launch_browser() as browser:
            for picture in wanted:
                for theme in ("light", "dark"):
                    take(server, browser, picture, theme)
    finally:
        server.stop()


def take(server: Server, browser: Browser, picture: Picture, theme: Theme) -> None:
    """Take one picture, in a theme."""
    name = f"{picture.name}-{theme}.ipynb"
    server.write_notebook(name, picture.cells)
    page = browser.new_page(viewport={"width": 1000, "height": picture.height}, device_scale_factor=2)
    notebook = Notebook(server, page, name, PageErrors())
    notebook.set_theme(theme)
    notebook.command("application:toggle-left-area")
    notebook.run_cell(0)
    page.wait_for_function("() => document.body.innerText.includes('ready')")
    notebook.run_cell(1)
    live = notebook.output(1).locator("section:is(.llmkit-run, .llmkit-grid)")
    expect(live).to_have_attribute("data-status", picture.status, timeout=30_000)
    page.wait_for_function(f"() => {picture.moment}")
    DOCS.mkdir(exist_ok=True)
    page.locator(".jp-Notebook").screenshot(path=DOCS / f"{picture.name}-{theme}.png")
    page.close()
    for session in server.api("sessions"):
        server.api(f"sessions/{session['id']}", "DELETE")


if __name__ == "__main__":
    main()
