from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import events
from llmkit.approval.decision import Ruling
from llmkit.approval.request import ApprovalRequest
from llmkit.approval.rules import Rule
from llmkit.notebook.call_state import MOST_INPUT, MOST_PRELIMINARY
from llmkit.notebook.run_state import Change, RunState, in_order
from llmkit.tools.calls import ToolCall, ToolCallError
from tests.unit.notebook_runs import FakeRun

if TYPE_CHECKING:
    from collections.abc import Callable


def followed(run: FakeRun) -> RunState:
    state = RunState(run.id)
    run.subscribe(state.take)
    return state


def only(state: RunState) -> dict[str, Any]:
    (card,) = state.calls
    return card


def write(run: FakeRun, *pieces: str, call_id: str = "call-1", name: str = "get_weather") -> None:
    run.emit(events.ToolInputStart, step=0, id=call_id, name=name)
    for piece in pieces:
        run.emit(events.ToolInputDelta, step=0, id=call_id, text=piece)
    run.emit(events.ToolInputEnd, step=0, id=call_id)


def test_a_call_is_written_asked_about_decided_on_and_run() -> None:
    run = FakeRun()
    state = followed(run)
    statuses: list[str] = []

    def note(_event: events.Event) -> None:
        if state.calls and (not statuses or statuses[-1] != only(state)["status"]):
            statuses.append(only(state)["status"])

    run.subscribe(note)
    write(run, '{"city": ', '"Tokyo"}')
    assert (only(state)["name"], only(state)["input"]) == ("get_weather", '{"city": "Tokyo"}')
    call = run.ask(city="Tokyo")
    assert only(state) | {"status": "pending", "arguments": '{"city": "Tokyo"}', "input": ""} == only(state)
    assert only(state)["digest"] == ApprovalRequest(call).digest
    assert only(state)["description"] == "Current weather for a city."
    run.decide(call)
    run.end_call(call, {"temperature": 22}, duration=0.5, printed="looking\n", displayed=({"text/plain": "a plot"},))
    assert statuses == ["writing", "made", "pending", "allowed", "running", "done"]
    card = only(state)
    assert card["decision"] == {"verdict": "allow", "by": "panel", "reason": "", "edited": False, "waited": None}
    assert (card["result"]["short"], card["duration"]) == ('{"temperature": 22}', 0.5)
    assert card["printed"] == {"text": "looking\n", "more": 0}
    assert [each["short"] for each in card["displayed"]] == ["a plot"]


def test_the_run_says_what_it_waits_for() -> None:
    run = FakeRun()
    state = followed(run)
    seen = []
    run.subscribe(lambda _event: seen.append(state.to_dict()["status"]))
    first, second = run.ask(call_id="1"), run.ask(call_id="2")
    run.decide(first)
    run.end_call(first)
    assert set(seen[1:]) - {"tools"} == {"approval"}
    run.decide(second)
    assert seen[-1] == "tools"
    run.emit(events.TextStart, step=1)
    assert seen[-1] == "decoding"


def test_an_edit_is_kept_beside_what_was_asked() -> None:
    """CONTRACT 26: edited arguments are … shown as edited in the record."""
    run = FakeRun()
    state = followed(run)
    call = run.ask(city="Tokyo")
    run.decide(call, arguments={"city": "Osaka"})
    card = only(state)
    assert (card["arguments"], card["executed"]) == ('{"city": "Tokyo"}', '{"city": "Osaka"}')
    assert (card["short"], card["decision"]["edited"]) == ('city: "Osaka"', True)


def test_a_decision_that_was_not_accepted_changes_nothing() -> None:
    """CONTRACT 26: late, repeated, forged or mismatched decisions change nothing."""
    run = FakeRun()
    state = followed(run)
    call = run.ask(city="Tokyo")
    before = state.to_dict()
    run.decide(call, accepted=False, refusal="forged")
    unknown = Ruling("no-such-call", "rm", "allow", "panel", accepted=False)
    run.emit(events.ApprovalDecided, step=0, ruling=unknown)
    assert state.to_dict() == before


@pytest.mark.parametrize(("by", "reason"), [("panel", "Too far."), ("headless", ""), ("timeout", "")])
def test_a_denied_call_says_who_denied_it_and_why(by: str, reason: str) -> None:
    run = FakeRun()
    state = followed(run)
    call = run.ask()
    run.decide(call, "deny", by, reason=reason)
    run.end_call(call, outcome="denied", reason=reason)
    assert only(state)["status"] == "denied"
    assert (only(state)["decision"]["by"], only(state)["decision"]["reason"]) == (by, reason)


def test_a_failed_call_says_what_its_handler_raised() -> None:
    run = FakeRun()
    state = followed(run)
    call = run.call()
    run.end_call(call, outcome="error", error=ValueError("no such city"))
    assert (only(state)["status"], only(state)["error"]) == (
        "failed",
        {"kind": "ValueError", "message": "no such city"},
    )


def test_words_that_are_no_call_are_shown_as_they_came() -> None:
    """CONTRACT 13: the raw text is kept."""
    run = FakeRun()
    state = followed(run)
    write(run, '{"city": ')
    run.emit(events.ToolCallFailed, step=0, error=ToolCallError("PARSE_ERROR", "cut off", '{"city": ', "call-1"))
    run.emit(events.ToolCallFailed, step=0, error=ToolCallError("UNKNOWN_TOOL", "no such tool", "rm {}", name="rm"))
    first, second = state.calls
    assert (first["name"], first["status"], first["input"]) == ("get_weather", "invalid", '{"city": ')
    assert (second["name"], second["error"]["kind"]) == ("rm", "UNKNOWN_TOOL")


def test_preliminary_results_are_the_last_few() -> None:
    run = FakeRun()
    state = followed(run)
    call = run.call()
    for number in range(MOST_PRELIMINARY + 3):
        run.emit(events.ToolPreliminary, step=0, call=call, output=number)
    assert only(state)["preliminary_count"] == MOST_PRELIMINARY + 3
    assert [value["short"] for value in only(state)["preliminary"]] == ["3", "4", "5", "6", "7"]


def test_the_rules_in_force_are_told() -> None:
    """CONTRACT 29: revocable in the panel."""
    run = FakeRun()
    state = followed(run)
    run.emit(events.RulesChanged, rules=(Rule("get_*", "allow", where=bool, scope="run", id="7"),))
    (rule,) = state.to_dict()["rules"]
    assert rule == {
        "id": "7",
        "tool": "get_*",
        "action": "allow",
        "scope": "run",
        "reason": "",
        "conditional": True,
    }


@pytest.mark.parametrize(
    ("end", "status"), [("abort", "cancelled"), ("fail", "cancelled"), ("finish", "cancelled"), ("pend", "open")]
)
def test_nothing_waits_after_the_end(end: str, status: str) -> None:
    """CONTRACT 31: `pend` (the run ends with `pending_approvals`)."""
    run = FakeRun()
    state = followed(run)
    call = run.ask()
    if end == "pend":
        run.finish(pending_approvals=(ApprovalRequest(call),))
    else:
        getattr(run, end)()
    assert only(state)["status"] == status


def test_a_call_that_nobody_runs_stays_as_it_is_and_may_be_invoked_later() -> None:
    run = FakeRun()
    state = followed(run)
    call = run.call()
    run.finish()
    assert only(state)["status"] == "made"
    run.end_call(call, "late")
    assert (only(state)["status"], only(state)["result"]["short"], state.to_dict()["status"]) == (
        "done",
        "late",
        "done",
    )


def test_text_and_calls_come_in_order_whatever_the_script() -> None:
    run = FakeRun()
    state = followed(run)
    run.call(call_id="0")
    run.text("Hello 🙂 wörld")
    run.call(call_id="1")
    run.call(call_id="2")
    run.emit(events.TextStart, step=1)
    run.text("日本", " 🙂")
    run.call(call_id="3")
    parts = [part["id"] if isinstance(part, dict) else part for part in in_order(state.to_dict())]
    assert parts == ["0", "Hello 🙂 wörld", "1", "2", "\n\n日本 🙂", "3"]


def changes_of(run: FakeRun) -> tuple[RunState, list[Change]]:
    state, changes = RunState(run.id), list[Change]()
    run.subscribe(lambda event: changes.append(state.take(event)))
    return state, changes


def sent(changes: list[Change]) -> int:
    return sum(len(json.dumps(change.to_dict())) for change in changes)


def test_a_large_argument_is_sent_once() -> None:
    run = FakeRun()
    _, changes = changes_of(run)
    text = "x" * 1_000_000
    write(run, *(text[at : at + 1000] for at in range(0, len(text), 1000)))
    assert sent(changes) < MOST_INPUT + 1000 * 200
    call = run.ask(text=text)
    run.decide(call)
    run.end_call(call, "ok")
    assert sent(changes) < 1_300_000


def test_a_fragment_costs_about_its_own_length() -> None:
    run = FakeRun()
    _, changes = changes_of(run)
    write(run, "{" * 3000, "abc")
    fragment = changes[-2].to_dict()["calls"]
    assert fragment == [{"id": "call-1", "set": {"written": 3003}, "input": "abc"}]


def apply(copy: dict[str, Any], change: dict[str, Any]) -> None:
    """Do what the front end does with a patch."""
    copy |= change.get("set", {})
    copy["text"] += change.get("text", "")
    for patch in change.get("calls", ()):
        card = next((each for each in copy["calls"] if each["id"] == patch["id"]), None)
        if card is None:
            card = {"input": "", "preliminary": []}
            copy["calls"].append(card)
        card |= patch.get("set", {})
        card["input"] += patch.get("input", "")
        card["preliminary"] = (card["preliminary"] + patch.get("preliminary", []))[-MOST_PRELIMINARY:]


STEPS: dict[str, Callable[[FakeRun, str, str], object]] = {
    "write": lambda run, call_id, text: write(run, text, call_id=call_id),
    "call": lambda run, call_id, text: run.call(call_id=call_id, text=text),
    "ask": lambda run, call_id, text: run.ask(call_id=call_id, text=text),
    "allow": lambda run, call_id, text: run.decide(ToolCall(call_id, "t", {"a": 1}), arguments={"a": text}),
    "deny": lambda run, call_id, text: run.decide(ToolCall(call_id, "t"), "deny", "rule", reason=text),
    "yield": lambda run, call_id, text: run.emit(
        events.ToolPreliminary, step=0, call=ToolCall(call_id, "t"), output=text
    ),
    "end": lambda run, call_id, text: run.end_call(ToolCall(call_id, "t"), text),
    "text": lambda run, call_id, text: run.text(text),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from("12"), st.text(), st.booleans())))
def test_the_changes_add_up_to_the_state(script: list[tuple[str, str, str, bool]]) -> None:
    run = FakeRun()
    state = RunState(run.id)
    copy: dict[str, Any] = json.loads(json.dumps(state.to_dict()))
    pending = Change()
    run.subscribe(lambda event: pending.add(state.take(event)))
    for step, call_id, text, flush in script:
        STEPS[step](run, call_id, text)
        if flush:
            apply(copy, json.loads(json.dumps(pending.to_dict())))
            pending = Change()
    run.abort()
    apply(copy, json.loads(json.dumps(pending.to_dict())))
    assert copy == json.loads(json.dumps(state.to_dict()))
