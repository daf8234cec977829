"""The way from an answer's tokens to calls, on models with control tokens and reasoning of their own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmkit.cancellation import CancelToken
from llmkit.engines.base import (
    CallDelta,
    CallRead,
    CallStart,
    CallUnread,
    Decoded,
    Delta,
    Done,
    EngineRequest,
    Note,
    Prefill,
    ReasoningPiece,
    TextPiece,
)
from llmkit.engines.local import LocalEngine
from llmkit.engines.scripted import Answer
from llmkit.messages import messages_from
from llmkit.settings import settings_from
from llmkit.tools.choice import ToolChoice
from tests.unit.prompting_models import FAMILIES, PLAIN, WEATHER, Templated

FRAME = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Tokyo"}}\n</tool_call>'
THINKS = FAMILIES["qwen"] + "{# <think> </think> #}"


def answer(
    model: Templated, *, tools: Any = WEATHER, choice: str = "auto", id_: str = "r-1", **settings: Any
) -> list[Delta]:
    engine = LocalEngine(model, "test")
    request = EngineRequest(
        id_,
        messages_from("Weather in Tokyo?"),
        settings_from(settings),
        seed=0,
        tools=tools,
        tool_choice=ToolChoice(choice),  # type: ignore[arg-type]
    )

    async def collect() -> list[Delta]:
        found = [delta async for delta in engine.generate(request, CancelToken())]
        return [delta for delta in found if not isinstance(delta, Prefill | Decoded)]

    return asyncio.run(collect())


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextPiece))


def done_of(deltas: list[Delta]) -> Done:
    assert isinstance(deltas[-1], Done)
    return deltas[-1]


def test_text_then_a_call_come_in_order_and_the_fragments_join() -> None:
    """CONTRACT 12, 45: start, fragments, call; the fragments are the arguments."""
    deltas = answer(Templated(FAMILIES["qwen"], f"Let me look.\n{FRAME}"))
    kinds = list(dict.fromkeys(type(delta) for delta in deltas))
    assert kinds == [TextPiece, CallStart, CallDelta, CallRead, Done]
    (call,) = [delta for delta in deltas if isinstance(delta, CallRead)]
    fragments = [delta for delta in deltas if isinstance(delta, CallDelta)]
    assert "".join(delta.text for delta in fragments) == call.arguments == '{"city": "Tokyo"}'
    assert len(fragments) > 3
    assert {delta.id for delta in fragments} == {call.id}
    assert call.raw == FRAME


def test_control_tokens_mark_calls_and_others_never_show() -> None:
    """CONTRACT 16: markers never leak into text, be they control tokens or not."""
    control = ("<tool_call>", "</tool_call>", "<vision>")
    model = Templated(FAMILIES["qwen"], f"So<vision> be it <b>.{FRAME}", control=control)
    deltas = answer(model)
    assert text_of(deltas) == "So be it <b>."
    assert len([delta for delta in deltas if isinstance(delta, CallRead)]) == 1


def test_a_tool_that_was_withheld_is_still_a_call_and_no_text() -> None:
    """CONTRACT 15, 16: with tool_choice none a call is one of an unknown tool, not text with markers."""
    deltas = answer(Templated(FAMILIES["qwen"], FRAME), choice="none")
    assert text_of(deltas) == ""
    assert [delta.name for delta in deltas if isinstance(delta, CallRead)] == ["get_weather"]


def test_without_tools_everything_is_text() -> None:
    assert text_of(answer(Templated(FAMILIES["qwen"], FRAME), tools=())) == FRAME


def test_a_call_in_the_reasoning_is_none() -> None:
    """CONTRACT 16: a tool call inside an open reasoning block is not a call."""
    deltas = answer(Templated(THINKS, f"<think>Perhaps {FRAME}</think>No."))
    assert not [delta for delta in deltas if isinstance(delta, CallStart | CallRead | CallUnread)]
    assert text_of(deltas) == "No."
    assert any(isinstance(delta, ReasoningPiece) for delta in deltas)


def test_a_reasoning_budget_leaves_the_required_call_bound() -> None:
    """CONTRACT 18, 42: once the reasoning is closed, the answer's own grammar holds."""
    thought = "<think>" + "hm " * 60
    deltas = answer(Templated(THINKS, f"{thought}</think>{FRAME}", FRAME), choice="required", reasoning_budget=5)
    assert [delta.name for delta in deltas if isinstance(delta, CallRead)] == ["get_weather"]
    refused = answer(Templated(THINKS, f"{thought}</think>{FRAME}", "Hi."), choice="required", reasoning_budget=5)
    assert "isn't what was asked for" in str(done_of(refused).error)


@pytest.mark.parametrize("length", [8, 20])
def test_a_call_cut_off_by_length_is_unread_and_kept(length: int) -> None:
    """CONTRACT 13: a frame cut off at the end of generation; the raw text is kept."""
    deltas = answer(Templated(FAMILIES["qwen"], FRAME), max_output_tokens=length)
    (unread,) = [delta for delta in deltas if isinstance(delta, CallUnread)]
    assert done_of(deltas).reason == "length"
    assert unread.raw
    assert FRAME.startswith(unread.raw)
    assert text_of(deltas) == ""


def test_ids_are_unique_in_the_session_and_the_same_for_the_same_request() -> None:
    """CONTRACT 12, 26: a call's id."""
    script = f"{FRAME}\n{FRAME}\n<tool_call>broken</tool_call>"

    def ids(request: str) -> list[str]:
        deltas = answer(Templated(FAMILIES["qwen"], script), id_=request)
        return [delta.id for delta in deltas if isinstance(delta, CallRead | CallUnread)]

    assert len(set(ids("a") + ids("b"))) == 6
    assert ids("a") == ids("a")


def test_a_model_without_a_format_says_so_and_calls_all_the_same() -> None:
    """CONTRACT 17: calls tools through a generic prompt, and says that it does."""
    deltas = answer(Templated(PLAIN, 'Tool: get_weather({"city": "Oslo"})'))
    assert isinstance(deltas[0], Note)
    assert "no tool format of its own" in deltas[0].text
    assert [delta.arguments for delta in deltas if isinstance(delta, CallRead)] == ['{"city": "Oslo"}']


def test_a_scripted_call_is_read_like_any_other() -> None:
    """CONTRACT 12: a script's calls go the real way."""
    script = Answer("Look:", tool_calls=[("get_weather", {"city": 'Zoë "x"'}), {"name": "no", "arguments": {}}])
    deltas = answer(Templated(FAMILIES["qwen"], script))
    calls = [(delta.name, delta.arguments) for delta in deltas if isinstance(delta, CallRead)]
    assert calls == [("get_weather", '{"city": "Zoë \\"x\\""}'), ("no", "{}")]
    assert text_of(deltas) == "Look:"


@pytest.mark.parametrize("text", ["Hi.", f"Well.\n{FRAME}", FRAME.replace("city", "town"), f"{FRAME} and"])
def test_a_script_that_doesnt_call_when_it_must_is_an_error(text: str) -> None:
    """CONTRACT 18: a script can't be made to fit, so it says that it doesn't."""
    done = done_of(answer(Templated(FAMILIES["qwen"], text), choice="required"))
    assert done.reason == "error"
    assert "isn't what was asked for" in str(done.error)


def test_a_script_that_calls_when_it_must_is_fine() -> None:
    """CONTRACT 18: required."""
    script = Answer(tool_calls=[("get_weather", {"city": "Oslo"})] * 2)
    deltas = answer(Templated(FAMILIES["qwen"], script), choice="required")
    assert len([delta for delta in deltas if isinstance(delta, CallRead)]) == 2
