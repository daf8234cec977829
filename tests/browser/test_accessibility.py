"""Every view, live and as it is kept, held against axe's rules (WCAG 2.2 A and AA, best practices) in both themes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.panel import button

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook
    from tests.browser.harness import Notebook, Theme

AXE = Path(__file__).parents[2] / "widgets/node_modules/axe-core/axe.min.js"
"""axe-core, which `make test` puts there: https://github.com/dequelabs/axe-core."""

SESSIONS = '''
import json
import llmkit as lk
import pandas as pd

PROSE = """# A heading

Some **text** with `code`, a [link](https://example.org) and a list:

- one
- two

| name | age |
| --- | --- |
| Ann | 30 |

> A quotation.

```python
print("hello")
```
"""
PEOPLE = json.dumps([{"name": f"Person {number}", "age": 20 + number} for number in range(4)])
PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}

@lk.tool(needs_approval=True)
def send_mail(to: str, body: str) -> str:
    """Send a mail."""
    return "sent"

@lk.tool(needs_approval=False)
def get_weather(city: str) -> pd.DataFrame:
    """Current weather for a city."""
    return pd.DataFrame({"city": [city], "temperature": [22]})

MAIL = [("send_mail", {"to": "ann@example.org", "body": "Hello"})]

def session(*answers, **options):
    return lk.Session(engine=lk.Scripted(list(answers), **options), ledger=None)

def weather(prompt):
    return PROSE if "<|tool|>" in prompt else lk.Answer(tool_calls=[("get_weather", {"city": "Tokyo"})])

endless = " ".join(f"word{number}" for number in range(100_000))
comparison = session(lambda prompt: PROSE).compare("Say {what}", what=["one", "two"], temperature=[0, 0.5])
comparison.wait()
agent = session(weather).complete("Weather?", tools=[get_weather], show=False)
agent.wait()
thoughts = session(lk.Answer(["The red fox ran off.", "The blue fox ran on."])).complete("Hi", logprobs=5, show=False)
thoughts.wait()
'''


@dataclass(frozen=True)
class View:
    """A cell, and what it shows.

    Parameters
    ----------
    name : str
        What it is.
    code : str
        The cell.
    shows : str
        CSS selector, within the cell's output, of the element that is checked. It is there when the view is ready.
    click : tuple of str
        Names of buttons to press in it beforehand, in order.
    """

    name: str
    code: str
    shows: str
    click: tuple[str, ...] = ()


STATIC = ".jp-OutputArea-output.jp-RenderedHTMLCommon"
VIEWS = (
    View(
        "run, streaming",
        "session(endless, tokens_per_second=30).complete('Go on')",
        ".llmkit-run[data-status=decoding]",
    ),
    View("run, done", "agent.show()", ".llmkit-run[data-status=done]"),
    View("run, kept", "agent", STATIC),
    View(
        "approval",
        "session(lk.Answer(tool_calls=MAIL)).complete('Mail', tools=[send_mail])",
        ".llmkit-run:has(.llmkit-run-card[data-status=pending])",
    ),
    View(
        "approval, edited",
        "session(lk.Answer(tool_calls=MAIL)).complete('Mail', tools=[send_mail])",
        ".llmkit-run:has(.llmkit-run-card[data-status=pending])",
        ("Edit",),
    ),
    View(
        "output, a table",
        "people = session(PEOPLE).complete('People', output=lk.Output.array(PERSON), show=False)\n"
        "people.wait()\npeople.show()",
        ".llmkit-run[data-status=done]",
    ),
    View("output, a table, kept", "people", STATIC),
    View(
        "output, a tree",
        "tree = session('{\"a\": {\"b\": [1, 2]}}').complete('Tree', output=lk.Output.json(), show=False)\n"
        "tree.wait()\ntree.show()",
        ".llmkit-run[data-status=done]",
    ),
    View("run, failed", "failed = session().complete('x', show=False)\nfailed.wait()\nfailed.show()", ".llmkit-run"),
    View("trace", "agent.timeline.show()", ".llmkit-timeline"),
    View("trace, kept", "agent.timeline", STATIC),
    View("grid", "comparison.show()", ".llmkit-grid"),
    View("grid, kept", "comparison", STATIC),
    View(
        "chat",
        "chat = session(lambda prompt: PROSE).chat(system='Be brief.')\nchat.send('Hi').wait()\nchat",
        ".llmkit-chat",
    ),
    View("playground", "session(lambda prompt: PROSE).playground()", ".llmkit-playground"),
    View("tokens", "thoughts.token_view().show()", ".llmkit-tokens"),
    View("tokens, kept", "from IPython.display import HTML\nHTML(thoughts.token_view().html)", STATIC),
)
RUN_AXE = """async () => {
    const { violations } = await axe.run({ include: [["[data-axe-view]"]] }, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        // Experimental: it takes what stands below a tree's branch for the branch's own text.
        rules: { "label-content-name-mismatch": { enabled: false } },
        resultTypes: ["violations"],
        elementRef: true,
    });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ element, failureSummary }) => ({
        view: element.closest("[data-axe-view]").dataset.axeView,
        rule: id,
        element: element.outerHTML.slice(0, 200),
        problem: failureSummary.replace(/\\s+/g, " ").slice(0, 300),
    })));
}"""


@pytest.mark.timeout(120)
def test_no_view_breaks_axe_s_rules_in_either_theme(open_notebook: OpenNotebook) -> None:
    """Issue 7: an accessibility pass over all widgets with axe, light and dark, no violation."""
    notebook = open_notebook([SESSIONS, *(view.code for view in VIEWS)])
    page = notebook.page
    page.set_viewport_size({"width": 1280, "height": 8000})  # what is scrolled out of sight isn't painted
    notebook.run_all()
    for index, view in enumerate(VIEWS, start=1):
        shown = notebook.output(index).locator(view.shows)
        expect(shown).to_be_visible()
        for name in view.click:
            button(shown, name).click()
        shown.evaluate("(element, name) => { element.dataset.axeView = name; }", view.name)
    # Lab's body clips and has no height of its own, for which axe takes all that is in it for hidden.
    page.add_style_tag(content="body { overflow: visible !important }")
    page.add_script_tag(path=AXE)
    violations = check(notebook)

    grid = notebook.output(next(index for index, view in enumerate(VIEWS, start=1) if view.name == "grid"))
    button(grid, "Judge…").click()
    dialog = page.locator("dialog")
    button(dialog, "temperature").click()
    expect(dialog).to_contain_text("1 of 2")
    page.evaluate("document.querySelectorAll('[data-axe-view]').forEach(view => delete view.dataset.axeView)")
    dialog.evaluate("element => { element.dataset.axeView = 'judging'; }")
    violations += check(notebook)
    assert not violations, "\n".join(violations)


def check(notebook: Notebook) -> list[str]:
    """Return what axe finds in the marked views, theme by theme."""
    themes: tuple[Theme, ...] = ("light", "dark")
    found = []
    for theme in themes:
        notebook.set_theme(theme)
        found += [f"{theme}: {json.dumps(violation)}" for violation in notebook.page.evaluate(RUN_AXE)]
    return found
