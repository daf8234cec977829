"""A journey through the token view in a real JupyterLab: look at a token, branch, compare, keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook

HOSTILE = '<img src=x onerror="window.hacked=1">'
TEXTS = [f"The red fox {HOSTILE} ran off.", "The red dog sat down.", "The blue fox ran on."]
SESSION = f"""\
import llmkit as lk

session = lk.Session(engine=lk.Scripted([lk.Answer({TEXTS!r})], tokens_per_second=200), ledger=None, temperature=0)
run = session.complete("Hi", logprobs=5, show=False)
run.token_view()"""
TREE = "print(*[each.text for each in run.tree], sep='|')"


def test_an_answer_is_branched_by_click_and_by_keyboard_and_kept(open_notebook: OpenNotebook) -> None:
    """Alternatives show on hover; a click and Enter branch; what is kept is text, and nothing in it runs."""
    notebook = open_notebook([SESSION, TREE])
    page = notebook.page
    notebook.run_cell(0)
    view = notebook.output(0).locator(".llmkit-tokens")
    lanes, popup = view.locator(".llmkit-tokens-lane"), view.locator(".llmkit-tokens-popup")
    first = lanes.first.locator(".llmkit-tokens-token")
    expect(lanes.first).to_contain_text(HOSTILE)

    first.nth(1).hover()
    expect(popup).to_contain_text("67 %")
    expect(popup.locator("[data-id]")).to_have_count(2)
    page.mouse.move(0, 0)
    expect(popup).to_be_hidden()

    first.nth(1).click()
    popup.get_by_text("blue").click()
    expect(lanes).to_have_count(2)
    expect(lanes.nth(1)).to_contain_text("The blue fox ran on.")
    expect(lanes.nth(1)).to_contain_text("token 1: “blue” 33 %")

    first.first.focus()
    for key in ("ArrowRight", "ArrowRight", "Enter", "ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(lanes).to_have_count(3)
    expect(lanes.nth(2)).to_contain_text("The red dog sat down.")
    assert page.locator(".jp-Notebook .jp-Cell").count() == 2, "keys stay in the view"

    notebook.run_cell(1)
    assert notebook.text(1) == "|".join([TEXTS[0], TEXTS[2], TEXTS[1]])
    view.get_by_role("button", name="Entropy").click()
    view.get_by_role("button", name="Keep").click()
    expect(view).to_be_hidden()
    expect(notebook.output(0)).to_contain_text("Entropy at each token")
    notebook.save()
    (saved,) = notebook.read_saved().cells[0].outputs[-1:]
    assert sorted(saved.data) == ["text/html", "text/plain"]
    assert "The blue fox ran on." in saved.data["text/plain"]
    assert page.evaluate("window.hacked") is None
