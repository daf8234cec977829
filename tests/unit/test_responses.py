"""What a model answered, in the shape that openai-agents-js gives it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit as lk
from llmkit.errors import ValidationError
from llmkit.events import ResponseDone
from llmkit.responses import (
    ComputerCallItem,
    FunctionCallItem,
    HostedToolCallItem,
    InputText,
    MessageItem,
    ModelResponse,
    OutputText,
    ReasoningItem,
    ReasoningText,
    Refusal,
    ResponseUsage,
    UnknownItem,
    UnknownPart,
)
from llmkit.results import Spoken, Usage
from tests.unit.fault_server import FaultServer, delta, stream

if TYPE_CHECKING:
    from llmkit.events import Event

# One of each item that `OutputModelItem` in openai-agents-js has names for, and some that llmkit has none for.
WRITTEN_BY_O: dict[str, Any] = {
    "id": "resp_1",
    "requestId": "req_7",
    "usage": {
        "requests": 1,
        "inputTokens": 31,
        "outputTokens": 12,
        "totalTokens": 43,
        "inputTokensDetails": {"cached_tokens": 8},
        "outputTokensDetails": [{"reasoning_tokens": 3}],
        "requestUsageEntries": [{"inputTokens": 31, "outputTokens": 12, "totalTokens": 43, "endpoint": "responses"}],
    },
    "output": [
        {
            "type": "reasoning",
            "id": "rs_1",
            "content": [{"type": "input_text", "text": "Look it up."}],
            "rawContent": [{"type": "reasoning_text", "text": "I should look it up."}],
        },
        {
            "type": "hosted_tool_call",
            "name": "web_search_call",
            "arguments": "{}",
            "status": "completed",
            "output": "Rain.",
            "providerData": {"action": {"query": "weather"}},
        },
        {
            "type": "computer_call",
            "callId": "c1",
            "status": "in_progress",
            "action": {"type": "click", "x": 1, "y": 2, "button": "left"},
        },
        {"type": "computer_call", "callId": "c2", "status": "completed", "actions": [{"type": "wait"}]},
        {
            "type": "function_call",
            "callId": "f1",
            "name": "get_weather",
            "namespace": "weather",
            "arguments": '{"city":"Tokyo"}',
            "status": "completed",
            "caller": {"type": "direct"},
        },
        {
            "type": "message",
            "role": "assistant",
            "phase": "final_answer",
            "status": "incomplete",
            "content": [
                {"type": "output_text", "text": "It rains", "providerData": {"annotations": []}},
                {"type": "refusal", "refusal": "I won't say more."},
                {"type": "audio", "audio": "AAAA", "format": "wav"},
            ],
        },
        {"type": "shell_call", "callId": "s1", "action": {"commands": ["ls"]}},
        {"type": "unknown", "id": "u1", "providerData": {"type": "hologram"}},
        {"type": "function_call", "name": "no call id"},
        {"role": "assistant", "status": "completed", "content": []},
    ],
    "providerData": {"model": "m"},
    "rawUsage": {"prompt_tokens": 31},
    "novelty": [1, None],
}


def test_what_openai_agents_js_writes_is_read_and_written_back() -> None:
    """CONTRACT 53: O's shape, unknown items kept."""
    response = ModelResponse.from_json(json.dumps({"type": "response_done", "response": WRITTEN_BY_O}))
    reasoning, hosted, click, wait, call, message, shell, unknown, broken, untyped = response.output
    assert isinstance(reasoning, ReasoningItem)
    assert (reasoning.text, reasoning.content[0]) == ("I should look it up.", InputText(text="Look it up."))
    assert isinstance(hosted, HostedToolCallItem)
    assert (hosted.output, hosted.status, hosted.provider_data) == (
        "Rain.",
        "completed",
        {"action": {"query": "weather"}},
    )
    assert isinstance(click, ComputerCallItem)
    assert click.action is not None
    assert click.action["button"] == "left"
    assert isinstance(wait, ComputerCallItem)
    assert wait.actions == ({"type": "wait"},)
    assert isinstance(call, FunctionCallItem)
    assert (call.call_id, call.arguments, call.extra["namespace"]) == ("f1", '{"city":"Tokyo"}', "weather")
    assert isinstance(message, MessageItem)
    assert [type(part) for part in message.content] == [OutputText, Refusal, UnknownPart]
    assert (message.role, message.status, message.content[2].type) == ("assistant", "incomplete", "audio")
    others = (shell, unknown, broken, untyped)
    assert [(type(each), each.type) for each in others] == [
        (UnknownItem, "shell_call"),
        (UnknownItem, "unknown"),
        (UnknownItem, "function_call"),
        (UnknownItem, ""),
    ]
    assert (response.id, response.request_id, response.usage.total_tokens) == ("resp_1", "req_7", 43)
    assert (response.text, response.refusal, response.reasoning) == (
        "It rains",
        "I won't say more.",
        "I should look it up.",
    )
    assert response.messages[0].tool_calls[0].arguments == {"city": "Tokyo"}
    assert response.to_dict() == WRITTEN_BY_O
    assert ModelResponse.from_json(response.to_json(indent=2)) == response


def test_records_are_frozen_and_share_nothing_with_their_json() -> None:
    response = ModelResponse.from_dict(WRITTEN_BY_O)
    with pytest.raises(dataclasses.FrozenInstanceError):
        response.id = "other"  # type: ignore[misc]
    response.to_dict()["output"][6]["action"]["commands"].append("rm")
    WRITTEN_BY_O["output"][6]["action"]["commands"].append("rm")
    assert response.output[6].extra["action"] == {"commands": ["ls"]}
    WRITTEN_BY_O["output"][6]["action"]["commands"].pop()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([
    "type", "role", "id", "callId", "name", "arguments", "status", "content", "rawContent", "action", "actions",
    "output", "providerData", "text", "refusal", "extra", "call_id",
])  # fmt: skip
TYPES = st.sampled_from(
    ["message", "function_call", "hosted_tool_call", "computer_call", "reasoning", "x", "assistant"]
)
STATUSES = st.sampled_from(["in_progress", "completed", "incomplete"])
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["output_text", "refusal", "reasoning_text", "audio"])},
    optional={"text": st.text(), "refusal": st.text() | st.none(), "providerData": JSON},
)
ITEMS = st.builds(
    lambda kind, known, others: {**others, **known, "type": kind},
    TYPES,
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.just("assistant"),
            "callId": st.text(),
            "name": st.text(),
            "arguments": st.text(),
            "status": STATUSES,
            "content": st.lists(PARTS, max_size=2),
            "providerData": st.dictionaries(st.text(), JSON, max_size=2),
        },
    ),
    st.dictionaries(NAMES, JSON, max_size=3),
)
COUNTS = st.integers(0, 10**9) | st.none()
RESPONSES = st.builds(
    lambda known, others: {**others, **known},
    st.fixed_dictionaries(
        {
            "id": st.text(),
            "output": st.lists(ITEMS | st.dictionaries(NAMES | st.text(), JSON, max_size=3), max_size=3),
            "usage": st.fixed_dictionaries(
                {"inputTokens": COUNTS, "outputTokens": COUNTS, "totalTokens": COUNTS},
                optional={"inputTokensDetails": JSON, "requests": JSON, "more": JSON},
            ),
        }
    ),
    st.dictionaries(st.sampled_from(["providerData", "requestId", "rawUsage", "extra", "response"]), JSON, max_size=2),
)


@given(RESPONSES)
def test_every_response_goes_through_json_unchanged(written: dict[str, Any]) -> None:
    """CONTRACT 53: round-trips through JSON, whatever is in it."""
    response = ModelResponse.from_json(json.dumps(written))
    assert json.loads(response.to_json()) == written
    assert ModelResponse.from_json(response.to_json()) == response
    assert repr(response)
    assert response.messages[0].role == "assistant"


@given(st.text() | JSON.map(json.dumps))
def test_what_is_no_response_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelResponse.from_json(text)
    assert caught.value.field == "response"


@pytest.mark.parametrize(
    "text",
    ['{"id":"r","output":[],"usage":{"inputTokens":1e999,"outputTokens":1,"totalTokens":1}}', "NaN", "[" * 100_000],
)
def test_what_json_could_not_hold_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        ModelResponse.from_json(text)


def told(run: lk.Run) -> list[Event]:
    return list(run.events)


def done(run: lk.Run) -> list[ResponseDone]:
    return [event for event in told(run) if isinstance(event, ResponseDone)]


@lk.tool(needs_approval=False)
def weather(city: str) -> str:
    """Weather in a city."""
    return f"Rain in {city}."


def test_every_step_of_a_run_tells_its_response() -> None:
    """CONTRACT 53: run.response, and the response-done event, which comes before the step's calls are through."""
    asking = lk.Answer("Let me see.", tool_calls=[("weather", {"city": "Köln"})])
    with lk.Session(engine=lk.Scripted([asking, "It rains."]), ledger=None, show=False) as session:
        run = session.complete("Weather?", tools=[weather], stop_when=5)
        run.wait()
        first, last = done(run)
        assert [type(each) for each in first.response.output] == [MessageItem, FunctionCallItem]
        call = first.response.output[1]
        assert isinstance(call, FunctionCallItem)
        assert json.loads(call.arguments) == {"city": "Köln"}
        assert call.call_id == run.steps[0].tool_calls[0].id
        assert {each.status for each in first.response.output} == {"completed"}
        assert len({each.id for each in first.response.output}) == 2
        assert run.response == run.result().response == last.response
        assert [step.model_response for step in run.steps] == [first.response, last.response]
        assert run.response.id == run.steps[-1].response.id
        assert run.response.text == run.text == "It rains."
        assert run.response.usage.output_tokens == run.usage.output_tokens
        assert run.response.usage.requests == 1
        assert ModelResponse.from_json(run.response.to_json()) == run.response
        assert last.to_dict()["response"] == run.response.to_dict()
        kinds = [event.type for event in told(run)]
        assert kinds.index("response-done") < kinds.index("tool-result") < kinds.index("step-finish")
        assert "'It rains.'" in repr(run.response)


def test_an_answer_that_was_cut_off_is_incomplete_and_a_cancelled_one_is_none() -> None:
    """CONTRACT 53: status."""
    with lk.Session(engine=lk.Scripted(["One two three four."]), ledger=None, show=False) as session:
        run = session.complete("Count", max_output_tokens=2)
        assert run.response.output[0].status == "incomplete"
        assert "(incomplete)" in repr(run.response)
    slow = lk.Scripted(["One two three four five six."], tokens_per_second=5)
    with lk.Session(engine=slow, ledger=None, show=False) as session:
        run = session.complete("Count")
        next(iter(run))
        run.cancel()
        with pytest.raises(lk.RunCancelled):
            assert run.response
        assert done(run) == []


def test_a_call_that_could_not_be_read_is_there_with_its_error() -> None:
    """CONTRACT 53: string arguments."""
    from llmkit.responses.answered import model_response
    from llmkit.tools.calls import ToolCallError

    content = [
        ToolCallError("PARSE_ERROR", "No JSON.", '{"city": "To', "c1", "weather"),
        ToolCallError("VALIDATION_ERROR", "Too many.", "raw", "c2", "weather", {"towns": 3}),
    ]
    broken, invalid = model_response("r", content, Usage(), "tool-calls", {}).output
    assert isinstance(broken, FunctionCallItem)
    assert isinstance(invalid, FunctionCallItem)
    assert (broken.arguments, broken.status) == ('{"city": "To', "incomplete")
    assert (invalid.arguments, invalid.status) == ('{"towns": 3}', "completed")
    assert broken.provider_data == {"error": {"code": "PARSE_ERROR", "message": "No JSON."}}


def test_unknown_counts_stay_unknown() -> None:
    """CONTRACT 47: unknown is never 0."""
    usage = ResponseUsage.of(Usage())
    assert usage.to_dict() == {"requests": 1, "inputTokens": None, "outputTokens": None, "totalTokens": None}
    assert ResponseUsage.read(usage.to_dict()) == usage


def test_what_a_server_tells_is_in_the_response() -> None:
    """CONTRACT 53: id, refusal parts and provider data, from a server."""
    said = [
        delta("I know it."),
        {"id": "c-1", "choices": [{"index": 0, "delta": {"content": None, "refusal": "I can't"}}]},
        {"id": "c-1", "choices": [{"index": 0, "delta": {"refusal": " help."}, "finish_reason": "stop"}]},
    ]
    with FaultServer() as server, lk.Session(ledger=None, show=False) as session:
        server.play(stream({**said[0], "created": 17, "system_fingerprint": "b-1"}, *said[1:]))
        response = session.complete("Hi", model=lk.Remote(server.url, "m")).response
    assert response.id == "c-1"
    message = response.output[0]
    assert isinstance(message, MessageItem)
    assert message.content == (OutputText(text="I know it."), Refusal(refusal="I can't help."))
    assert response.provider_data["created"] == 17
    assert response.provider_data["system_fingerprint"] == "b-1"
    assert response.messages[0].content == "I know it.I can't help."


def test_words_after_each_other_are_items_after_each_other() -> None:
    from llmkit.responses.answered import model_response

    content = [Spoken("reasoning", "Hm."), Spoken("text", "So."), Spoken("reasoning", "Hm!"), Spoken("text", "Yes.")]
    output = model_response("r", content, Usage(), "length", {}).output
    assert [each.type for each in output] == ["reasoning", "message", "reasoning", "message"]
    assert [each.status for each in output] == ["completed", "completed", "completed", "incomplete"]
    first = output[0]
    assert isinstance(first, ReasoningItem)
    assert first.raw_content == (ReasoningText(text="Hm."),)
