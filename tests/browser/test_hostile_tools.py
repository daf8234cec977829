"""Tool calls, results and prints that mean harm, in the panel and in the saved notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.panel import button, cards, expect_statuses, unfold, wait_for_end

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.conftest import OpenNotebook
    from tests.browser.harness import Notebook, Server

HOSTILE = r'''
import base64
import pandas as pd
from typing import Any
from IPython.display import HTML, display
import llmkit as lk

bad = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
odd = "\u202egnp\u2066\u200b\x1b[31m\x00\x7f"

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

class Html:
    def _repr_html_(self): return bad
    def __str__(self): return bad + odd

def failing():
    raise ValueError(bad + odd)

OUTPUTS = {
    "markup": lambda: {bad: bad, odd: [bad, odd]},
    "megabyte": lambda: "B" * 1_000_000,
    "lines": lambda: [bad] * 100_000,
    "tree": lambda: tree(500),
    "object": Html,
    "frame": lambda: pd.DataFrame({bad: [odd, bad] * 500, odd: range(1000)}),
    "picture": lambda: base64.b64decode(PIXEL),
    "error": failing,
}

@lk.tool
def fetch(what: str, text: str = "", tree: Any = None) -> Any:
    """Fetch <img src=x onerror="window.hacked=3"> anything."""
    print(bad, odd)
    display(HTML(bad))
    return OUTPUTS[what]()

def tree(depth):
    root = "leaf"
    for _ in range(depth):
        root = {"branch": [root]}
    return root

calls = [
    {"what": "markup", "text": bad + "\n" + odd},
    {"what": "megabyte", "text": "A" * 1_000_000},
    {"what": "lines", "text": ("line" * 100 + "<b>\n") * 1_000},
    {"what": "tree", "tree": tree(30)},
    {"what": "object", "text": odd * 500},
    {"what": "frame", "tree": list(range(2_000))},
    {"what": "picture"},
    {"what": "error", "text": "\\" * 5_000},
]
answer = lk.Answer(bad + odd, tool_calls=[*[("fetch", call) for call in calls], (bad + odd, {bad: odd})])
session = lk.Session(engine=lk.Scripted([answer], context_length=10**7), ledger=None)
'''
HIDDEN = "\u202e\u2066\u200b\x1b\x00\x7f"
WATCH_TASKS = """() => {
    window.tasks = [0];
    const note = list => window.tasks.push(...list.getEntries().map(entry => entry.duration));
    new PerformanceObserver(note).observe({entryTypes: ["longtask"]});
}"""


def test_hostile_calls_and_results_stay_text(open_notebook: OpenNotebook, server: Server) -> None:
    """Markup, control characters, bidi, a megabyte, deep nesting: shown, bounded, and nothing of it runs, ever."""
    notebook = open_notebook([HOSTILE, "run = session.complete('Hi', tools=[fetch])"])
    notebook.run_cell(0)
    notebook.page.evaluate(WATCH_TASKS)
    notebook.run_cell(1)
    expect_statuses(notebook, 1, *["pending"] * 8, "invalid")
    shown = cards(notebook, 1)
    for card in shown.all()[:8]:
        for more in card.get_by_role("button", name="more characters").all()[:1]:
            more.click()
    expect(shown.first).to_contain_text('<img src=x onerror="window.hacked=1">')
    expect(shown.first).to_contain_text(r"\u202egnp\u2066\u200b\u001b")
    expect(shown.nth(8)).to_contain_text('<img src=x onerror="window.hacked=1">')
    expect_harmless(notebook, shown)
    for card in shown.all()[:7]:
        button(card, "Approve").click()
    expect_statuses(notebook, 1, *["done"] * 7, "pending", "invalid")
    for card in shown.all()[:7]:
        card.locator(".llmkit-run-card-head").click()
        card.get_by_text("Printed").click()
    expect(shown.nth(5).get_by_role("row")).to_have_count(51)
    expect(shown.nth(6).get_by_role("img")).to_be_visible()
    expect_harmless(notebook, shown)
    button(shown.nth(7), "Approve").click()
    wait_for_end(notebook, 1)
    longest = notebook.page.evaluate("Math.max(...window.tasks)")
    print(f"longest task {longest:.0f} ms")
    assert longest < 2_000
    unfold(notebook, 1)
    expect_harmless(notebook, notebook.output(1).locator("details"))

    notebook.save()
    assert notebook.path.stat().st_size < 2_000_000
    for session in server.api("sessions"):
        server.api(f"sessions/{session['id']}", "DELETE")
    notebook.page.goto(server.url(notebook.name))
    expect(notebook.output(1)).to_contain_text("Done")
    unfold(notebook, 1)
    expect(notebook.output(1).get_by_role("row")).to_have_count(21)
    expect(notebook.output(1).get_by_role("button")).to_have_count(0)
    expect_harmless(notebook, notebook.output(1).locator("details"))


def expect_harmless(notebook: Notebook, texts: Locator) -> None:
    """Check that nothing ran, no element came of a text but the one picture, and nothing in these texts is hidden."""
    assert notebook.page.evaluate("window.hacked") is None
    output = notebook.output(1)
    assert output.locator("script, b, iframe, object, embed, a").count() == 0
    sources = [image.get_attribute("src") or "" for image in output.locator("img").all()]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not set(HIDDEN) & set("".join(texts.all_inner_texts()))
