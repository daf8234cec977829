"""What people do with a playground, in a real JupyterLab."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook
    from tests.browser.harness import Notebook

HOSTILE = 'say <img src=x onerror="window.hacked=1"> $x$'


def test_a_playground_runs_stops_reproduces_survives_a_reload_and_is_saved(open_notebook: OpenNotebook) -> None:
    """Issue 7: prompt, settings by their own names, run history, code that reproduces the run; by keyboard."""
    notebook = open_notebook(
        [
            """
import llmkit as lk
words = ' '.join(f'w{number}' for number in range(300))
session = lk.Session(engine=lk.Scripted([words, lk.Answer(['a b', 'b a'])], tokens_per_second=60), ledger=None)
""",
            "playground = session.playground('first')\nplayground",
            "print(len(playground.runs), playground.settings, playground.run.request.settings.temperature)",
        ]
    )
    page = notebook.page
    notebook.run_cell(0)
    notebook.run_cell(1)
    live = notebook.output(1).locator("section.llmkit-playground")
    expect(live).to_have_count(1)
    prompt = live.get_by_label("Prompt")
    prompt.click()
    page.keyboard.press("ControlOrMeta+Enter")
    expect(live.locator(".llmkit-run-answer")).to_contain_text("w12")
    live.get_by_role("button", name="Stop", exact=True).first.click()
    expect(live.locator(".llmkit-playground-run")).to_contain_text("stopped")

    prompt.press("ControlOrMeta+a")
    page.keyboard.type(f"dd {HOSTILE}")  # Lab's `d d` would delete the cell
    live.get_by_label("top_p", exact=True).fill("3")
    page.keyboard.press("ControlOrMeta+Enter")
    expect(live.locator(".llmkit-playground-control", has_text="top_p")).to_contain_text("less than or equal to 1")
    live.get_by_role("button", name="Unset top_p").click()
    live.get_by_label("temperature, slider").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ControlOrMeta+Enter")
    expect(live.locator(".llmkit-playground-run")).to_have_count(2)
    expect(live.locator(".llmkit-run")).to_have_attribute("data-status", "done")
    live.locator(".llmkit-playground-run").last.click()
    expect(prompt).to_have_value("first")
    expect(live.locator(".llmkit-run-answer")).to_contain_text("w12")
    live.locator(".llmkit-playground-run").first.click()
    expect(prompt).to_have_value(f"dd {HOSTILE}")
    live.get_by_label("seed", exact=True).fill("123")
    notebook.save()
    notebook.reload()
    expect(prompt).to_have_value(f"dd {HOSTILE}")
    expect(live.get_by_label("seed", exact=True)).to_have_value("123")
    expect(live.get_by_label("temperature", exact=True)).to_have_value("0.75")
    expect(live.locator(".llmkit-playground-run")).to_have_count(2)
    expect(live.locator(".llmkit-run")).to_have_attribute("data-status", "done")
    notebook.run_cell(2)
    assert notebook.text(2) == "2 {'temperature': 0.75, 'seed': 123} 0.75"
    notebook.save()
    (kept,) = [each for each in saved(notebook)["cells"][1]["outputs"] if "text/markdown" in each["data"]]
    assert "<img" not in "".join(kept["data"]["text/html"])
    for form in kept["data"].values():
        assert "session.complete(" in "".join(form)
        assert "temperature 0.75" in "".join(form) or "temperature=0.75" in "".join(form)
    expect(notebook.output(1).locator("[class*=llmkit-playground-kept]")).to_be_hidden()
    assert page.evaluate("window.hacked") is None


def saved(notebook: Notebook) -> Any:
    """Return the notebook as it is on disk."""
    return json.loads((notebook.server.folder / notebook.name).read_text())
