"""What people do with a chat, in a real JupyterLab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.panel import button

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from tests.browser.conftest import OpenNotebook
    from tests.browser.harness import Notebook

SESSION = """
import llmkit as lk

called = []

@lk.tool
def set_light(room: str) -> str:
    "Switch on the light of a room."
    called.append(room)
    return "on"

def answer(prompt):
    said = prompt.rsplit("<|user|>", 1)[-1].split("<|end|>")[0].strip()
    if "<|tool|>" in prompt.rsplit("<|user|>", 1)[-1]:
        return "The **light** is on."
    if "light" in said:
        return lk.Answer(tool_calls=[("set_light", {"room": "hall <b>"})])
    if "count" in said:
        return " ".join(str(number) for number in range(3000))
    return f"You said *{said}* <img src=x onerror='window.hacked=1'>"

session = lk.Session(engine=lk.Scripted([answer], tokens_per_second=120), ledger=None)
"""
ASK = "chat = session.chat(system='Be brief.', tools=[set_light])"


def chat(notebook: Notebook, cell: int) -> Locator:
    """Return the live chat under a cell."""
    return notebook.output(cell).locator("section.llmkit-chat")


def expect_idle(live: Locator) -> None:
    """Wait until nothing is being written."""
    expect(live).to_have_attribute("data-status", "idle")


def test_a_chat_is_led_by_keyboard_branches_and_survives_a_reload(open_notebook: OpenNotebook) -> None:
    """Issue 7: send, stop, edit and resend, branches, regenerate, a reload in mid-stream, a tool with approval."""
    notebook = open_notebook([SESSION, ASK, "print(called, len(chat.turns))"])
    page = notebook.page
    notebook.run_cell(0)
    notebook.run_cell(1)
    live = chat(notebook, 1)
    message = live.get_by_role("textbox", name="Message")
    answers = live.locator(".llmkit-chat-answer")

    message.click()
    page.keyboard.type("ddhello")  # two d would delete the cell, were these the notebook's keys
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("there")
    page.keyboard.press("Enter")
    expect(answers).to_contain_text("You said ddhello")
    expect(answers.locator("em")).to_contain_text("there")
    expect(message).to_be_focused()
    expect(message).to_have_value("")
    expect_idle(live)

    kept = notebook.output(1).locator("[class*='llmkit-chat-kept']")
    expect(kept).to_contain_text("You said ddhello")  # the transcript, which the live view hides
    expect(kept).to_be_hidden()

    page.keyboard.type("count")
    page.keyboard.press("Enter")
    expect(answers.nth(1)).to_contain_text("12 13")
    notebook.save()
    saved = notebook.read_saved().cells[1].outputs[1].data
    assert "You said *ddhello" in saved["text/markdown"]
    assert "<img" not in saved["text/html"]
    notebook.reload()
    expect(answers.nth(1)).to_contain_text("0 1 2 3")
    expect(answers.nth(1)).to_contain_text("59 60")
    button(live.locator(".llmkit-chat-composer"), "Stop").click()
    expect(answers.nth(1)).to_contain_text("Cancelled")
    expect_idle(live)

    button(live.locator(".llmkit-chat-user").nth(1), "Edit").click()
    page.keyboard.press("Control+A")
    page.keyboard.type("instead")
    page.keyboard.press("Enter")
    expect(answers.nth(1)).to_contain_text("You said instead")
    expect_idle(live)
    button(answers.nth(1), "Regenerate").click()
    expect(answers.nth(1).locator(".llmkit-chat-place")).to_have_text("2/2")
    expect_idle(live)
    button(live.locator(".llmkit-chat-user").nth(1), "Previous branch").click()
    expect(answers.nth(1)).to_contain_text("59 60")
    page.keyboard.press("Enter")  # the arrow to the other side has the focus now
    expect(answers.nth(1)).to_contain_text("You said instead")

    message.click()
    page.keyboard.type("light")
    page.keyboard.press("Enter")
    card = live.locator(".llmkit-run-card")
    expect(card).to_have_attribute("data-status", "pending")
    expect(live).to_contain_text("A tool call waits for your decision.")
    expect(message).to_be_focused()
    button(card, "Approve").click()
    expect(answers.nth(2).locator("strong")).to_have_text("light")
    expect_idle(live)
    notebook.run_cell(2)
    assert notebook.text(2) == "['hall <b>'] 9"
    assert page.evaluate("window.hacked") is None
