"""What people do with a comparison, in a real JupyterLab."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.conftest import OpenNotebook
    from tests.browser.harness import Notebook

HOSTILE = '**bold** <img src=x onerror="window.hacked=1"> <script>window.hacked=2</script>'


def grid(notebook: Notebook, cell: int) -> Locator:
    """Return the live grid under a cell."""
    return notebook.output(cell).locator("section.llmkit-grid")


def place(notebook: Notebook, cell: int, index: int) -> Locator:
    """Return one place in it."""
    return grid(notebook, cell).locator(f"[data-cell='{index}']")


def test_a_grid_streams_stops_asks_again_compares_and_survives_a_reload(open_notebook: OpenNotebook) -> None:
    """Issue 6: every cell streams and can be stopped and asked again; two are compared; a reload loses nothing."""
    notebook = open_notebook(
        [
            """
import llmkit as lk
say = lambda prompt: ' '.join(f'{prompt.split()[-1][:1]}{number}' for number in range(360))
session = lk.Session(engine=lk.Scripted([say], tokens_per_second=80, slots=8), ledger=None)
""",
            "c = session.compare('Say {what} and {how}', what=['xx', 'yy'], how=['aa<b>', 'bb'])\nc",
            "c.wait(); print([len(cell.text.split()) for cell in c.cells])",
            "c.show()",
        ]
    )
    page = notebook.page
    notebook.run_cell(0)
    notebook.run_cell(1)
    for index in range(4):
        expect(place(notebook, 1, index)).to_contain_text("15")
    place(notebook, 1, 0).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("s")
    expect(place(notebook, 1, 2)).to_contain_text("Stopped")
    page.keyboard.press("r")
    expect(place(notebook, 1, 2)).to_contain_text("Answering")
    page.keyboard.press("d")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("d")
    expect(page.locator("dialog del").first).to_have_text(re.compile("a"))
    expect(page.locator("dialog ins").first).to_have_text(re.compile("b"))
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    notebook.save()
    notebook.reload()
    expect(grid(notebook, 1)).to_contain_text("4 of 4 done")
    notebook.run_cell(2)
    assert "[360, 360, 360, 360]" in notebook.text(2)
    place(notebook, 1, 2).focus()
    page.keyboard.press("Enter")
    expected = [f"a{number}" for number in range(360)]
    assert page.locator("dialog .llmkit-grid-whole").inner_text().split() == expected
    assert page.locator("dialog .llmkit-grid-title").inner_text().split() == ["what", "yy", "how", "aa<b>"]
    page.keyboard.press("Escape")


def test_a_saved_comparison_reopens_as_a_table_and_its_votes_are_blind(
    open_notebook: OpenNotebook, server: Any
) -> None:
    """Issue 6: the saved notebook is readable without its kernel; judging hides what is what until the end."""
    notebook = open_notebook(
        [
            f"""
import llmkit as lk
session = lk.Session(engine=lk.Scripted([{HOSTILE!r}]), ledger='votes.db')
""",
            "c = session.compare('Say {what}', what=['<i>one</i>', 'two'], temperature=[0, 0.5])\nc",
            "c.show()",
            "print(len(c.votes), set(c.votes['verdict']) <= {'a', 'b', 'tie'})",
        ]
    )
    page = notebook.page
    notebook.run_cell(0)
    notebook.run_cell(1)
    expect(grid(notebook, 1)).to_have_count(0)
    expect(notebook.output(1).locator("td")).to_have_count(4)
    notebook.save()
    notebook.run_cell(2)
    grid(notebook, 2).get_by_role("button", name="Judge…").click()
    page.get_by_role("button", name="temperature").last.click()
    expect(page.locator("dialog")).to_contain_text("1 of 2")
    assert "0.5" not in page.locator("dialog").inner_text()
    page.keyboard.press("2")
    expect(page.locator("dialog")).to_contain_text("2 of 2")
    page.keyboard.press("0")
    expect(page.locator("dialog")).to_contain_text("0.5")
    page.keyboard.press("Escape")
    notebook.run_cell(3)
    assert notebook.text(3) == "2 True"
    for session in server.api("sessions"):
        server.api(f"sessions/{session['id']}", "DELETE")
    page.goto(server.url(notebook.name))
    expect(notebook.output(1).locator("td strong")).to_have_count(4)
    expect(notebook.output(1)).to_contain_text("<i>one</i>")
    expect(notebook.output(1)).to_contain_text("4 cells")
    assert notebook.output(1).locator("img, script, i").count() == 0
    assert page.evaluate("window.hacked") is None
