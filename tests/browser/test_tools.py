"""What people do with tool calls: read them, decide on them, and find the decisions again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.panel import button, cards, expect_statuses, panel, press, wait_for_end

if TYPE_CHECKING:
    from tests.browser.conftest import OpenNotebook
    from tests.browser.harness import Notebook

WEATHER = '''
import llmkit as lk

session = lk.Session(temperature=0)  # the same call each time
handled = []

@lk.tool
def get_weather(city: str) -> dict:
    """Current weather for a city."""
    handled.append(city)
    return {"temperature": 22, "condition": "sunny"}
'''
ASK = """run = session.complete("What's the weather in Tokyo?", tools=[get_weather])"""
RESULT = """
import json
(result,) = run.tool_results
print(json.dumps([handled, result.to_dict()]))
"""
DECISIONS = """
import json
columns = ["tool", "verdict", "decided_by", "edited", "reason", "shown_arguments", "executed_arguments", "refusal"]
print(session.approvals[columns].to_json(orient="values"))
"""
WORDS = 150
MAIL = ("send_mail", {"to": "ann@example.org", "body": " ".join(f"w{number}" for number in range(WORDS))})
TOOLS = '''
import llmkit as lk

handled = []

@lk.tool
def get_weather(city: str) -> str:
    """Current weather for a city."""
    handled.append(city)
    return "sunny"

@lk.tool
def send_mail(to: str, body: str) -> str:
    """Send a mail."""
    handled.append(to)
    return "sent"
'''


def scripted(*steps: list[tuple[str, dict[str, Any]]], rate: int | None = None) -> str:
    """Return a cell that defines two tools, and a session whose model makes these calls, run by run."""
    engine = f"lk.Scripted([lk.Answer(tool_calls=calls) for calls in {list(steps)!r}], tokens_per_second={rate})"
    return f"{TOOLS}\nsession = lk.Session(engine={engine}, ledger=None)\ntools = [get_weather, send_mail]"


def printed(notebook: Notebook, cell: int) -> Any:
    """Run a cell that prints JSON, and return that."""
    notebook.run_cell(cell)
    return json.loads(notebook.text(cell))


def decisions(notebook: Notebook, cell: int) -> list[list[Any]]:
    """Run a cell of :data:`DECISIONS` and return its rows, with the arguments read."""
    return [
        [*row[:5], *(argument and json.loads(argument) for argument in row[5:7]), row[7]]
        for row in printed(notebook, cell)
    ]


def test_the_weather_in_tokyo_approved_edited_and_denied(open_notebook: OpenNotebook) -> None:
    """CONTRACT 25, 26, 27, 30: a real model's call runs as shown, as edited, or not at all; the record says which."""
    notebook = open_notebook([WEATHER, ASK, RESULT, DECISIONS])
    notebook.run_cell(0)
    expect(notebook.output(0)).to_contain_text("ready")
    card = cards(notebook, 1)

    notebook.run_cell(1)
    expect_statuses(notebook, 1, "pending")
    expect(card).to_contain_text("get_weather")
    expect(card).to_contain_text("Current weather for a city.")
    expect(card).to_contain_text('city"Tokyo"')
    button(card, "Approve").click()
    wait_for_end(notebook, 1)
    expect(notebook.output(1)).to_contain_text("allowed by you")
    handled, approved = printed(notebook, 2)
    assert handled == ["Tokyo"]
    assert (approved["outcome"], approved["arguments"]) == ("success", {"city": "Tokyo"})
    assert approved["output"] == {"temperature": 22, "condition": "sunny"}

    notebook.run_cell(1)
    expect_statuses(notebook, 1, "pending")
    button(card, "Edit").click()
    arguments = card.get_by_role("textbox", name="Arguments as JSON")
    arguments.fill('{"city": 3}')
    problem = card.get_by_role("status", name="Problems")
    expect(problem).to_contain_text("city")
    expect(button(card, "Approve edited")).to_be_disabled()
    arguments.fill('{"city": "Kyoto"}')
    expect(problem).to_be_hidden()
    button(card, "Approve edited").click()
    wait_for_end(notebook, 1)
    expect(notebook.output(1)).to_contain_text("after an edit")
    handled, edited = printed(notebook, 2)
    assert handled == ["Tokyo", "Kyoto"]
    assert (edited["outcome"], edited["arguments"]) == ("success", {"city": "Kyoto"})
    assert edited["call"]["arguments"] == {"city": "Tokyo"}

    notebook.run_cell(1)
    expect_statuses(notebook, 1, "pending")
    button(card, "Deny").click()
    card.get_by_role("textbox", name="Reason").fill("Look out of the window.")
    button(card, "Deny").click()
    wait_for_end(notebook, 1)
    expect(notebook.output(1)).to_contain_text("Look out of the window.")
    handled, denied = printed(notebook, 2)
    assert handled == ["Tokyo", "Kyoto"]
    assert (denied["outcome"], denied["arguments"]) == ("denied", None)
    assert denied["reason"] == "Look out of the window."

    tokyo, kyoto = {"city": "Tokyo"}, {"city": "Kyoto"}
    assert decisions(notebook, 3) == [
        ["get_weather", "allow", "panel", False, None, tokyo, tokyo, None],
        ["get_weather", "allow", "panel", True, None, tokyo, kyoto, None],
        ["get_weather", "deny", "panel", None, "Look out of the window.", tokyo, None, None],
    ]


def test_several_calls_are_decided_by_keyboard_alone(open_notebook: OpenNotebook) -> None:
    """CONTRACT 28: what is approved runs while others wait. Keys stay on the card and don't reach Lab's shortcuts."""
    calls = [("get_weather", {"city": "Tokyo"}), ("get_weather", {"city": "Osaka"}), MAIL]
    notebook = open_notebook([scripted(calls), "run = session.complete('Hi', tools=tools)", DECISIONS])
    notebook.run_cell(0)
    notebook.run_cell(1)
    expect_statuses(notebook, 1, "pending", "pending", "pending")
    expect(panel(notebook, 1)).to_contain_text("Waiting for you: 3 calls")
    announced = notebook.page.locator(".llmkit-announcer")
    expect(announced).to_contain_text("The model asks to call get_weather with")
    first, second, third = cards(notebook, 1).all()
    press(first, "a")
    expect_statuses(notebook, 1, "done", "pending", "pending")
    expect(first).to_contain_text("sunny")
    press(second, "d")
    expect(second.get_by_role("textbox", name="Reason")).to_be_focused()
    notebook.page.keyboard.type("add a date")
    notebook.page.keyboard.press("Enter")
    expect_statuses(notebook, 1, "done", "denied", "pending")
    press(third, "e")
    expect(third.get_by_role("textbox", name="Arguments as JSON")).to_be_focused()
    notebook.page.keyboard.press("Escape")
    press(third, "a")
    wait_for_end(notebook, 1)
    assert notebook.page.locator(".jp-Notebook .jp-Cell").count() == 3
    assert decisions(notebook, 2) == [
        ["get_weather", "allow", "panel", False, None, calls[0][1], calls[0][1], None],
        ["get_weather", "deny", "panel", None, "add a date", calls[1][1], None, None],
        ["send_mail", "allow", "panel", False, None, MAIL[1], MAIL[1], None],
    ]


def test_a_rule_decides_from_then_on_until_it_is_revoked(open_notebook: OpenNotebook) -> None:
    """CONTRACT 29: rules are made and revoked in the panel."""
    tokyo, osaka = ("get_weather", {"city": "Tokyo"}), ("get_weather", {"city": "Osaka"})
    notebook = open_notebook(
        [scripted([tokyo, osaka], [tokyo, MAIL], [osaka]), "run = session.complete('Hi', tools=tools)", DECISIONS]
    )
    notebook.run_cell(0)
    notebook.run_cell(1)
    expect_statuses(notebook, 1, "pending", "pending")
    first = cards(notebook, 1).first
    button(first, "Always…").click()
    first.get_by_role("combobox", name="How long").select_option("in this session")
    button(first, "Always allow").click()
    wait_for_end(notebook, 1)

    notebook.run_cell(1)
    expect_statuses(notebook, 1, "done", "pending")
    expect(cards(notebook, 1).first).to_contain_text("allowed by a rule")
    panel(notebook, 1).get_by_text("1 rule in force").click()
    expect(panel(notebook, 1)).to_contain_text("Calls of get_weather are allowed without asking in this session")
    button(panel(notebook, 1), "Revoke the rule for get_weather").click()
    expect(panel(notebook, 1).get_by_text("in force")).to_be_hidden()
    mail = cards(notebook, 1).nth(1)
    button(mail, "Deny").click()
    button(mail, "Deny").click()
    wait_for_end(notebook, 1)

    notebook.run_cell(1)
    expect_statuses(notebook, 1, "pending")
    button(cards(notebook, 1), "Always…").click()
    button(cards(notebook, 1), "Always deny").click()
    wait_for_end(notebook, 1)
    assert [row[:3] for row in decisions(notebook, 2)] == [
        ["get_weather", "allow", "panel"],
        ["get_weather", "allow", "rule"],
        ["get_weather", "allow", "rule"],
        ["send_mail", "deny", "panel"],
        ["get_weather", "deny", "panel"],
    ]


@pytest.mark.parametrize("read", ["run.result()", "await run"], ids=["blocking", "awaiting"])
def test_the_panel_works_while_a_cell_waits_for_the_run(open_notebook: OpenNotebook, read: str) -> None:
    """An edit is checked and approved in the kernel that the cell keeps busy."""
    notebook = open_notebook(
        [
            scripted([("get_weather", {"city": "Tokyo"})]),
            f"run = session.complete('Hi', tools=tools)\nprint(({read}).tool_results[0].arguments)",
            "print('next')",
        ]
    )
    notebook.run_cell(0)
    notebook.run_cell(1, wait=False)
    notebook.run_cell(2, wait=False)
    expect_statuses(notebook, 1, "pending")
    card = cards(notebook, 1)
    button(card, "Edit").click()
    arguments = card.get_by_role("textbox", name="Arguments as JSON")
    arguments.fill('{"town": "Osaka"}')
    expect(card.get_by_role("status", name="Problems")).to_contain_text("town")
    arguments.fill('{"city": "Osaka"}')
    expect(card.get_by_role("status", name="Problems")).to_be_hidden()
    button(card, "Approve edited").click()
    notebook.wait_for_cell(2)
    assert "{'city': 'Osaka'}" in notebook.text(1)
    assert notebook.text(2) == "next"


def test_a_call_is_read_while_it_is_written_and_takes_no_focus_from_who_types(open_notebook: OpenNotebook) -> None:
    """Keys typed elsewhere stay there: none of them approves."""
    notebook = open_notebook([scripted([MAIL], rate=60), "run = session.complete('Hi', tools=tools)", ""])
    notebook.run_cell(0)
    notebook.run_cell(1)
    card = cards(notebook, 1)
    expect(card).to_have_attribute("data-status", "writing")
    expect(card).to_contain_text("w9 w10")
    editor = notebook.cell(2).locator(".cm-content")
    editor.click()
    typed = 0
    while card.get_attribute("data-status") == "writing":
        notebook.page.keyboard.type("a")
        typed += 1
    expect_statuses(notebook, 1, "pending")
    notebook.page.keyboard.type("aaa")
    expect(editor).to_have_text("a" * (typed + 3))
    expect_statuses(notebook, 1, "pending")
    expect(card).to_contain_text(f"w{WORDS - 1}")
    button(card, "Approve").click()
    wait_for_end(notebook, 1)


def test_a_pending_call_outlives_a_reload_and_not_a_restart(open_notebook: OpenNotebook) -> None:
    """After a reload it is still pending, by its own arguments; without its kernel it is lost and can't run."""
    calls = [("get_weather", {"city": "Tokyo"})], [MAIL]
    notebook = open_notebook(
        [scripted(*calls), "run = session.complete('Hi', tools=tools)", "print(run.tool_results[0].output, handled)"]
    )
    notebook.run_cell(0)
    notebook.run_cell(1)
    expect_statuses(notebook, 1, "pending")
    notebook.save()
    notebook.reload()
    expect_statuses(notebook, 1, "pending")
    button(cards(notebook, 1), "Approve").click()
    expect_statuses(notebook, 1, "done")
    notebook.run_cell(2)
    assert notebook.text(2) == "sunny ['Tokyo']"

    notebook.run_cell(1)
    expect_statuses(notebook, 1, "pending")
    notebook.restart()
    expect_statuses(notebook, 1, "lost")
    card = cards(notebook, 1)
    expect(card).to_contain_text("this call can't run any more")
    expect(card).to_contain_text("ann@example.org")
    for name in ("Approve", "Edit", "Deny", "Always…"):
        expect(button(card, name)).to_be_disabled()


def test_a_call_is_denied_when_its_page_is_gone_and_not_before(open_notebook: OpenNotebook) -> None:
    """CONTRACT 31: a closed tab. As long as the page shows the call, the run waits, also while a cell blocks."""
    notebook = open_notebook(
        [
            scripted([("get_weather", {"city": "Tokyo"})]),
            "run = session.complete('Hi', tools=tools, approval=lk.ApprovalPolicy(absence=7.0))",
            "print(run.wait(8.0), run.status)",
        ]
    )
    notebook.run_cell(0)
    notebook.run_cell(1)
    expect_statuses(notebook, 1, "pending")
    notebook.run_cell(2)
    assert notebook.text(2) == "False waiting for approval"
    notebook.page.close()
    told = notebook.run_unseen(
        """
run.wait(60)
(result,) = run.tool_results
print(run.finish_reason, result.outcome, handled, result.reason)
print(*session.approvals.decided_by)
"""
    )
    assert told == "tool-calls denied [] nobody was there to approve it for 7 s\nheadless"
