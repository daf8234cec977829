"""What tool calls and the decisions on them leave in the ledger."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import llmkit as lk
from llmkit.events import ToolCallFailed, ToolPreliminary
from llmkit.records import Ledger
from llmkit.records.calls import MAX_ARGUMENTS, MAX_NAME
from llmkit.records.outputs import MAX_OUTPUT, output_json
from llmkit.tools.calls import ToolCall, ToolCallError
from tests.unit.ledger_runs import Story
from tests.unit.test_ledger import HOSTILE, Saved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite3")
    yield opened
    opened.close()


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows; unknown values are ``None``."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()} for _, row in frame.iterrows()
    ]


def test_a_call_that_was_approved_and_ran_leaves_a_complete_row(ledger: Ledger) -> None:
    """CONTRACT 30: shown and executed arguments, who decided, and when."""
    story = Story(ledger.recorder())
    call = story.call("1", "get_weather", city="Tokio")
    story.ask("1", "get_weather", city="Tokio")
    shown, given_ = {"city": "Tokio"}, {"city": "Tokyo"}
    story.rule("1", "get_weather", shown_arguments=shown, arguments=given_, waited=1.5)
    story.start_tool(call, city="Tokyo")
    story.finish_tool(call, arguments=given_, output={"temperature": 22}, duration=0.25, printed="hot\n")
    [row] = rows(ledger.tool_calls())
    assert row.pop("created") <= row.pop("started") <= row.pop("ended")
    assert row == {
        "run_id": "run-1",
        "session_id": "session-1",
        "step": 0,
        "call_id": "1",
        "tool": "get_weather",
        "outcome": "success",
        "arguments": '{"city": "Tokio"}',
        "executed_arguments": '{"city": "Tokyo"}',
        "output": '{"temperature": 22}',
        "error": None,
        "printed": "hot\n",
        "duration": 0.25,
        "executions": 1,
        "decided_by": "panel",
        "approval_time": 1.5,
        "error_code": None,
        "error_message": None,
        "raw": "<call>get_weather</call>",
    }
    [decision] = rows(ledger.approvals())
    assert decision.pop("requested") <= decision.pop("decided")
    assert decision == {
        "run_id": "run-1",
        "session_id": "session-1",
        "step": 0,
        "call_id": "1",
        "tool": "get_weather",
        "verdict": "allow",
        "decided_by": "panel",
        "accepted": True,
        "edited": True,
        "waited": 1.5,
        "request_reason": None,
        "reason": None,
        "refusal": None,
        "shown_arguments": '{"city": "Tokio"}',
        "executed_arguments": '{"city": "Tokyo"}',
    }


def test_an_open_request_has_a_row_that_the_decision_completes(ledger: Ledger) -> None:
    story = Story(ledger.recorder())
    story.call("1", "pay", amount=5)
    story.ask("1", "pay", amount=5)
    [open_row] = rows(ledger.approvals())
    known = ("requested", "shown_arguments", "verdict", "accepted", "decided", "decided_by", "edited")
    assert [open_row[name] is not None for name in known] == [True, True, False, False, False, False, False]
    story.rule("1", "pay", "deny", reason="too much", shown_arguments={"amount": 5})
    [closed] = rows(ledger.approvals())
    assert (closed["verdict"], closed["accepted"], closed["reason"]) == ("deny", True, "too much")
    assert (closed["requested"], closed["edited"]) == (open_row["requested"], None)
    [call] = rows(ledger.tool_calls())
    assert (call["outcome"], call["decided_by"], call["error"]) == ("denied", "panel", "too much")


def test_decisions_that_took_no_effect_have_rows_of_their_own(ledger: Ledger) -> None:
    """CONTRACT 26: late, repeated, forged or mismatched decisions change nothing and are recorded."""
    story = Story(ledger.recorder())
    story.call("1", "pay", amount=5)
    story.ask("1", "pay", amount=5)
    story.rule("1", "pay", accepted=False, refusal="the digest is of other arguments")
    story.rule("no such call", "", accepted=False, refusal="unknown call")
    story.rule("1", "pay", "allow", arguments={"amount": 5}, shown_arguments={"amount": 5})
    story.rule("1", "pay", "deny", accepted=False, refusal="it was decided before")
    decisions = rows(ledger.approvals())
    told = [(row["call_id"], row["verdict"], row["accepted"], row["refusal"]) for row in decisions]
    assert told == [
        ("1", "allow", True, None),
        ("1", "allow", False, "the digest is of other arguments"),
        ("no such call", "allow", False, "unknown call"),
        ("1", "deny", False, "it was decided before"),
    ]
    assert decisions[3]["requested"] == decisions[0]["requested"]
    [call] = rows(ledger.tool_calls())
    assert (call["outcome"], call["decided_by"]) == ("pending", "panel")


def test_what_nobody_was_asked_about_is_recorded_too(ledger: Ledger) -> None:
    story = Story(ledger.recorder())
    story.call("1", "look", at="here")
    story.rule("1", "look", by="rule", arguments={"at": "here"}, shown_arguments={"at": "here"})
    [decision] = rows(ledger.approvals())
    assert (decision["decided_by"], decision["edited"], decision["requested"]) == ("rule", False, None)


@pytest.mark.parametrize(
    ("outcome", "fields", "error"),
    [
        ("error", {"error": ValueError("no such city")}, "ValueError: no such city"),
        ("timeout", {"error": TimeoutError("2 s are over")}, "TimeoutError: 2 s are over"),
        ("cancelled", {"error": None}, None),
        ("denied", {"reason": "not now"}, "not now"),
    ],
)
def test_every_outcome_says_why(ledger: Ledger, outcome: str, fields: dict[str, Any], error: str | None) -> None:
    story = Story(ledger.recorder())
    story.finish_tool(story.call("1", "look"), outcome, **fields)
    [row] = rows(ledger.tool_calls())
    assert (row["outcome"], row["error"], row["output"]) == (outcome, error, None)
    assert (row["executions"], row["executed_arguments"]) == (None, None)


def test_words_that_are_no_call_have_a_row_each(ledger: Ledger) -> None:
    """CONTRACT 12: an error has code, message and raw; two of them may lack an id."""
    story = Story(ledger.recorder())
    for error in (
        ToolCallError("PARSE_ERROR", "not JSON", "<tool_call>{"),
        ToolCallError("UNKNOWN_TOOL", "no tool fly", '{"name": "fly"}', name="fly", arguments={"to": "Rome"}),
    ):
        story.tell(ToolCallFailed, step=1, error=error)
    told = [
        {name: row[name] for name in ("step", "call_id", "tool", "outcome", "error_code", "arguments", "raw")}
        for row in rows(ledger.tool_calls())
    ]
    assert told == [
        {
            "step": 1,
            "call_id": None,
            "tool": None,
            "outcome": None,
            "error_code": "PARSE_ERROR",
            "arguments": None,
            "raw": "<tool_call>{",
        },
        {
            "step": 1,
            "call_id": None,
            "tool": "fly",
            "outcome": None,
            "error_code": "UNKNOWN_TOOL",
            "arguments": '{"to": "Rome"}',
            "raw": '{"name": "fly"}',
        },
    ]


def test_what_comes_after_the_end_reaches_the_disk_by_itself(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that comes late, and a call that is invoked later."""
    saved = Saved(monkeypatch)
    story = Story(ledger.recorder())
    call = story.call("1", "look")
    story.ask("1", "look")
    story.end("")
    assert rows(ledger.tool_calls())[0]["outcome"] == "pending"
    story.rule("1", "look", "allow", arguments={})
    story.start_tool(call)
    story.finish_tool(call, output="blue")
    story.rule("1", "look", "deny", accepted=False, refusal="it was decided before")

    def stored() -> Any:
        connection = sqlite3.connect(ledger.path or "")
        try:
            outcome = connection.execute("SELECT outcome, output FROM tool_calls").fetchall()
            return outcome, connection.execute("SELECT accepted FROM approvals ORDER BY number").fetchall()
        finally:
            connection.close()

    saved.until(lambda: stored() == ([("success", '"blue"')], [(1,), (0,)]))
    assert ledger.runs()["status"].tolist() == ["done"]


def test_a_call_that_is_run_again_keeps_its_row(ledger: Ledger) -> None:
    story = Story(ledger.recorder())
    call = story.call("1", "roll")
    for outcome, fields in (("error", {"error": ValueError("jammed")}), ("success", {"output": 6})):
        story.start_tool(call)
        story.finish_tool(call, outcome, **fields)
    [row] = rows(ledger.tool_calls())
    assert (row["executions"], row["outcome"], row["output"], row["error"]) == (2, "success", "6", None)


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_no_call_of_a_run_that_was_stopped_stays_pending(ledger: Ledger, status: str) -> None:
    story = Story(ledger.recorder())
    story.call("1", "look")
    kept = story.ask("2", story.call("2", "look").name)
    story.rule("2", "look", "pend", by="headless")
    story.call("3", "look")
    story.rule("3", "look", "cancel", by="cancel", reason="the run was stopped")
    story.end("", status, pending_approvals=(kept,))
    told = {row["call_id"]: (row["outcome"], row["decided_by"]) for row in rows(ledger.tool_calls())}
    assert told == {"1": ("cancelled", None), "2": ("pending", None), "3": ("cancelled", "cancel")}


def test_a_decision_on_what_was_left_open_has_a_row_of_its_own(ledger: Ledger) -> None:
    story = Story(ledger.recorder())
    call = story.call("1", "look")
    story.ask("1", "look")
    story.rule("1", "look", "pend", by="headless", reason="nobody is there")
    story.end("")
    story.rule("1", "look", "allow", by="code", arguments={})
    story.finish_tool(call, output=None)
    assert [(row["verdict"], row["decided_by"]) for row in rows(ledger.approvals())] == [
        ("pend", "headless"),
        ("allow", "code"),
    ]
    [row] = rows(ledger.tool_calls())
    assert (row["outcome"], row["output"], row["decided_by"]) == ("success", "null", "code")


def test_rows_are_in_order_and_chosen_by_session_run_and_limit(ledger: Ledger) -> None:
    for number in range(3):
        story = Story(ledger.recorder(), f"run-{number}", session_id=f"session-{number % 2}")
        for call_id in ("a", "b"):
            story.call(f"{number}{call_id}", "look")
            story.rule(f"{number}{call_id}", "look")

    for read in (ledger.tool_calls, ledger.approvals):
        assert read()["call_id"].tolist() == ["0a", "0b", "1a", "1b", "2a", "2b"]
        assert read("session-0")["call_id"].tolist() == ["0a", "0b", "2a", "2b"]
        assert read(run_id="run-1")["call_id"].tolist() == ["1a", "1b"]
        assert read(limit=3)["call_id"].tolist() == ["1b", "2a", "2b"]


def test_only_changed_rows_are_written_again(ledger: Ledger) -> None:
    """Floods stay cheap: what a long run costs grows with its calls, not with their square."""
    story = Story(ledger.recorder())
    for number in range(3):
        story.call(str(number), "look")
    ledger.flush()
    statements: list[str] = []
    assert ledger._writer._connection is not None
    ledger._writer._connection.set_trace_callback(statements.append)
    story.finish_tool(ToolCall("1", "look"), output=1)
    story.tell(ToolPreliminary, step=0, call=ToolCall("1", "look"), output="half")
    ledger.flush()
    assert sum("INTO tool_calls" in statement for statement in statements) == 1
    assert not any("INTO approvals" in statement for statement in statements)


def test_a_flood_of_decisions_is_taken_at_once_and_kept_whole(ledger: Ledger) -> None:
    take = ledger.recorder()
    story = Story(take)
    began = time.perf_counter()
    for number in range(2_000):
        story.rule(f"forged-{number}", "pay", accepted=False, refusal="unknown call")
    assert time.perf_counter() - began < 1
    assert len(ledger.approvals()) == 2_000


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_values_are_kept_bounded(ledger: Ledger, text: str) -> None:
    story = Story(ledger.recorder())
    call = ToolCall(text, text, {text: text}, raw=text)
    story.finish_tool(call, arguments={text: [text]}, output={text: text}, printed=text)
    story.tell(ToolCallFailed, step=0, error=ToolCallError("PARSE_ERROR", text, text, id=text, name=text))
    story.rule(text, text, "deny", accepted=False, reason=text, refusal=text, shown_arguments={text: text})
    made, failed = rows(ledger.tool_calls())
    [decision] = rows(ledger.approvals())
    assert made["call_id"] == failed["tool"] == decision["tool"] == kept(text, MAX_NAME)
    assert made["printed"] == failed["error_message"] == decision["refusal"] == kept(text, MAX_OUTPUT)
    assert failed["raw"] == kept(text, MAX_ARGUMENTS)
    if len(text) < MAX_OUTPUT:
        for cell in (decision["shown_arguments"], made["output"]):
            assert json.loads(cell) == {text: text}
        assert json.loads(made["executed_arguments"]) == {text: [text]}
    else:
        assert all(len(value) < 2 * MAX_ARGUMENTS for value in made.values() if isinstance(value, str))
        assert json.loads(decision["shown_arguments"]).endswith("…")


def kept(text: str, limit: int) -> str | None:
    return (text if len(text) <= limit else f"{text[:limit]}…") or None


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec=None, categories=None)))
def test_any_text_of_a_call_survives_but_for_lone_surrogates(ledger: Ledger, text: str) -> None:
    story = Story(ledger.recorder())
    story.finish_tool(ToolCall("1", "look", {"text": text}, raw=text), output=text, printed=text)
    [row] = rows(ledger.tool_calls(limit=1))
    assert row["printed"] == (re.sub("[\ud800-\udfff]", "\ufffd", text) or None)
    assert json.loads(row["output"]) == text


class Rude:
    """Has no words, and no length."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __len__(self) -> int:
        raise RuntimeError("no")


class RudeError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_objects_without_words_break_nothing(ledger: Ledger) -> None:
    story = Story(ledger.recorder())
    loop: list[Any] = []
    loop.append(loop)
    for number, value in enumerate((Rude(), {"a": Rude(), "b": 1}, {Rude(): 1}, loop, 10**5000, {1: {2, 3}})):
        story.finish_tool(ToolCall(str(number), "look", {"value": value}), arguments={"value": value}, output=value)
    story.finish_tool(ToolCall("7", "look"), "error", error=RudeError())
    told = rows(ledger.tool_calls())
    assert len(told) == 7
    assert all(json.loads(row["output"]) is not None for row in told[:6])
    assert json.loads(told[1]["output"]) == {"a": "<Rude without a repr>", "b": 1}
    assert told[6]["error"] == "RudeError, which can't be put into words"


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": range(1_000_000)}),
        pd.Series(range(1_000_000)),
        np.zeros((1_000, 1_000)),
        list(range(1_000_000)),
        {str(number): number for number in range(1_000_000)},
        ["x" * 1_000_000] * 1_000,
        {"rows": [[0] * 1_000] * 1_000},
    ],
    ids=["frame", "series", "array", "list", "dict", "texts", "nested"],
)
def test_no_more_of_an_output_is_looked_at_than_fits(value: Any) -> None:
    began = time.process_time()
    text = output_json(value)
    assert time.process_time() - began < 1
    assert len(text) < 2 * MAX_OUTPUT + 4
    assert json.loads(text).endswith("…")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (pd.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
        (np.arange(3), [0, 1, 2]),
        ((1, None, True), [1, None, True]),
        (float("nan"), "nan"),
        (b"bytes", "b'bytes'"),
        ({"deep": [{"er": "x"}]}, {"deep": [{"er": "x"}]}),
    ],
    ids=str,
)
def test_an_output_that_fits_is_kept_whole(value: Any, told: Any) -> None:
    assert json.loads(output_json(value)) == told


def test_a_sessions_run_with_tools_leaves_its_calls_and_decisions(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 30, by the loop itself: a call that ran, a call that was denied, words that are none."""

    def look(at: str) -> str:
        return f"nothing at {at}"

    words = [
        _call("look", at="the sky"),
        _call("pay", amount=5),
        _call("fly", to="Rome"),
    ]
    session = scripted("".join(words), "Done.")
    tools = [lk.tool(look, needs_approval=False), lk.tool(pay)]
    run = session.complete("Look, pay, fly.", tools=tools, stop_when=lk.step_count_is(3))
    assert run.text == "Done."
    calls = {row["tool"]: row for row in rows(session._ledger.tool_calls(session.id))}
    assert [(name, row["outcome"], row["error_code"]) for name, row in calls.items()] == [
        ("look", "success", None),
        ("pay", "denied", None),
        ("fly", None, "UNKNOWN_TOOL"),
    ]
    assert calls["look"]["output"] == '"nothing at the sky"'
    decisions = {row["tool"]: row for row in rows(session._ledger.approvals(session.id))}
    assert (decisions["look"]["decided_by"], decisions["pay"]["decided_by"]) == ("tool", "headless")
    assert decisions["pay"]["shown_arguments"] == '{"amount": 5}'


def pay(amount: int) -> None:
    raise AssertionError(amount)


def _call(tool: str, **arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'name': tool, 'arguments': arguments})}</tool_call>"
