"""What people do with llmkit outside of JupyterLab: in Notebook 7 and in marimo."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING

import nbformat
from playwright.sync_api import expect

from tests.browser.panel import button
from tests.source_path import kernel_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.browser.harness import Server

SESSION = '''
import llmkit as lk

handled = []

@lk.tool(needs_approval=True)
def send_mail(to: str) -> str:
    """Send a mail."""
    handled.append(to)
    return "sent"

def answer(prompt):
    if "<|tool|>" in prompt:
        return "It is sent."
    if "mail" in prompt:
        return lk.Answer(tool_calls=[("send_mail", {"to": "ann"})])
    return " ".join(f"w{number}" for number in range(5000))

session = lk.Session(engine=lk.Scripted([answer], tokens_per_second=60), ledger=None)
'''
STREAM = "run = session.complete('Go on')"
BY_CODE = """
import threading

asked = threading.Event()
by_code = session.complete('a mail', tools=[send_mail], on_approval_request=lambda event: asked.set())
asked.wait(20)
request = by_code.pending_approvals[0]
by_code.approvals.decide(lk.Decision(request.call.id, request.digest, "allow", by="code"))
by_code.wait()
print('heard', handled)
"""


def test_notebook_7_streams_stops_approves_while_a_cell_waits_and_saves(server: Server, browser: Browser) -> None:
    """Issue 7: the same code works in Notebook 7."""
    wait = "mail = session.complete('a mail', tools=[send_mail])\nmail.wait(); print('heard', handled)"
    path = server.write_notebook("notebook-7.ipynb", [SESSION, STREAM, wait])
    page = browser.new_page()
    page.goto(server.url(path.name).replace("/lab/tree/", "/notebooks/"))
    cells = page.locator(".jp-Notebook .jp-Cell")
    cells.first.locator(".cm-content").click()
    for _ in range(3):
        page.keyboard.press("Shift+Enter")

    live = cells.nth(1).locator("section.llmkit-run")
    expect(live).to_contain_text("w3 w4")
    expect(live).to_have_attribute("data-status", "decoding")
    button(live, "Stop").click()
    expect(cells.nth(1)).to_contain_text("Cancelled")
    expect(live).to_have_count(0)

    button(cells.nth(2), "Approve").click()
    expect(cells.nth(2)).to_contain_text("heard ['ann']")
    expect(cells.nth(2)).to_contain_text("allowed by you")
    expect(cells.nth(2).locator("section.llmkit-run")).to_have_count(0)
    with page.expect_response(lambda answer: answer.request.method == "PUT" and path.name in answer.url):
        page.keyboard.press("Control+s")
    saved = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    kinds = {kind for cell in saved.cells for output in cell.outputs for kind in output.get("data", {})}
    assert kinds == {"text/html", "text/markdown", "text/plain"}
    page.close()


def test_marimo_shows_runs_live_and_a_click_approves(tmp_path: Path, browser: Browser) -> None:
    """Issue 7: in marimo a run shows itself, as a cell's last value or not, streams, stops and asks."""
    cells = [
        SESSION,
        STREAM,
        "session.complete('a mail', tools=[send_mail])",
        BY_CODE,
        "session.compare('{what} mail', what=['one', 'two'])",
    ]
    with marimo(tmp_path, cells) as address:
        page = browser.new_page()
        page.goto(address)
        shown = page.locator(".marimo-cell")
        live = shown.nth(1).locator("section.llmkit-run")
        expect(live).to_contain_text("w3 w4")
        expect(live).to_have_count(1)
        button(live, "Stop").click()
        expect(live).to_have_attribute("data-status", "cancelled")

        mail = shown.nth(2).locator("section.llmkit-run")
        expect(mail).to_have_count(1)
        expect(shown.nth(3)).to_contain_text("heard ['ann']")
        button(mail, "Approve").click()
        expect(mail).to_contain_text("allowed by you")
        expect(mail).to_have_attribute("data-status", "done")
        expect(shown.nth(4).locator("section.llmkit-grid")).to_have_count(1)
        page.close()


@contextmanager
def marimo(folder: Path, cells: Sequence[str]) -> Iterator[str]:
    """Serve a marimo notebook whose cells run as it opens, and return its address."""
    (folder / "marimo").mkdir()
    (folder / "marimo/marimo.toml").write_text("[runtime]\nauto_instantiate = true\n")
    bodies = "\n".join(f"@app.cell\ndef _({NEEDS if index else ''}):\n{body(cell)}" for index, cell in enumerate(cells))
    (folder / "notebook.py").write_text(f"import marimo\n\napp = marimo.App()\n\n{bodies}")
    command = [sys.executable, "-m", "marimo", "edit", "notebook.py", "--headless", "--no-token", "--skip-update-check"]
    private = {"XDG_CONFIG_HOME": str(folder), "HOME": str(folder), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **kernel_path(), **private},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            yield next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=20)


NEEDS = "lk, session, send_mail, handled"


def body(cell: str) -> str:
    """Return a cell as the body of marimo's function for it, which gives what other cells need."""
    gives = f"return {NEEDS}," if "lk.Session" in cell else "return"
    return textwrap.indent(f"{cell.strip()}\n{gives}\n", "    ")
