"""What people see of structured output: a table that grows, the text behind it, and the table again in what is kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.panel import button, panel

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook

PEOPLE = [
    {"name": f"Person {number} <img src=x onerror=alert(1)>", "age": 20 + number, "tags": ["a", None]}
    for number in range(400)
]
SESSION = f"""
import llmkit as lk

session = lk.Session(engine=lk.Scripted([{json.dumps(PEOPLE)!r}], tokens_per_second=500), ledger=None)
person = {{"type": "object", "properties": {{"name": {{"type": "string"}}, "age": {{"type": "integer"}}}}}}
"""
ASK = """run = session.complete("List people.", output=lk.Output.array(person))"""


def test_an_array_of_objects_grows_as_a_table(open_notebook: OpenNotebook) -> None:
    """CONTRACT 51: partial objects stream while decoding."""
    notebook = open_notebook([SESSION, ASK])
    notebook.run_cell(0)
    notebook.run_cell(1)
    output = notebook.output(1)
    live = panel(notebook, 1)
    table = live.get_by_role("grid")
    expect(table.locator("tr[data-index='3']")).to_contain_text("Person 3 <img src=x onerror=alert(1)>")
    expect(live).to_have_attribute("data-status", "decoding")
    expect(table.locator("thead th")).to_have_text(["#", "name", "age", "tags"])

    table.focus()
    table.press("Control+Home")
    table.press("ArrowDown")
    table.press("Enter")
    expect(live.get_by_role("tree")).to_contain_text("age21")
    button(live, "JSON").click()
    expect(live.locator("pre")).to_contain_text('[{"name": "Person 0')
    button(live, "JSON").click()

    expect(table.locator("tr[data-index='32']")).to_be_attached()
    button(live, "Stop").click()
    expect(live).to_have_count(0)
    expect(output).to_contain_text("Cancelled")
    expect(output.locator("tbody tr")).to_have_count(30)
    expect(output).to_contain_text("more row")
    expect(output.locator("img")).to_have_count(0)
