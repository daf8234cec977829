"""Tool calls on every engine, with real weights: the way from tools in a request to calls in the deltas.

The embedded model has no tool format of its own, so the real engines go the generic way; the script goes the hermes
way, as a model with a format of its own does.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

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
    TextPiece,
)
from llmkit.engines.choice import Choice, load_decoder
from llmkit.engines.local import LocalEngine
from llmkit.engines.scripted import Answer, Scripted, ScriptedDecoder
from llmkit.messages import Message, messages_from
from llmkit.settings import settings_from
from llmkit.tools.calls import ToolCall
from llmkit.tools.choice import ToolChoice, tools_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from llmkit.engines.decoder import Decoder, Token

WEATHER_QUESTION = "What's the weather in Tokyo?"


class Item(BaseModel):
    """Something to order."""

    name: Annotated[str, Field(max_length=12)]
    count: Annotated[int, Field(ge=1, le=9)]


def get_weather(city: str) -> dict[str, Any]:
    """Current weather for a city."""  # noqa: D401 - as the tools of real users say it
    return {"city": city, "temperature": 22}


def order(items: Annotated[list[Item], Field(min_length=1, max_length=2)], speed: Literal["slow", "fast"]) -> None:
    """Order items."""


# The same tools in all tests: reading another prompt of 250 tokens takes MLX ten seconds and more on a CPU.
TOOLS = tools_from([get_weather, order])


class Asker:
    """Asks an engine and keeps all that it says."""

    def __init__(self, name: str, decoder: Decoder, answers: list[Any]) -> None:
        self.name = name
        self.engine = LocalEngine(decoder, name)
        self._answers = answers
        self._numbers = itertools.count()

    def script(self, *answers: Any) -> None:
        """Say what the scripted engine answers next; the others answer for themselves."""
        self._answers[:] = answers

    def __call__(
        self,
        prompt: str | Sequence[Message] = WEATHER_QUESTION,
        choice: ToolChoice | None = None,
        *,
        cancel_at: type | None = None,
        **settings: Any,
    ) -> list[Delta]:
        length = 200 if self.name == "scripted" else 60
        settings = {"temperature": 0, "max_output_tokens": length, **settings}
        request = EngineRequest(
            f"calls-{next(self._numbers)}",
            messages_from(prompt),
            settings_from(settings),
            seed=1,
            tools=TOOLS,
            tool_choice=choice or ToolChoice(),
        )
        return asyncio.run(self._collect(request, cancel_at))

    async def _collect(self, request: EngineRequest, cancel_at: type | None) -> list[Delta]:
        cancel = CancelToken()
        deltas: list[Delta] = []
        async for delta in self.engine.generate(request, cancel):
            deltas.append(delta)
            if cancel_at is not None and isinstance(delta, cancel_at):
                cancel.cancel("enough")
        return deltas


@pytest.fixture(scope="module", params=["scripted", "llamacpp", "mlx"])
def ask(request: pytest.FixtureRequest, model_path: Path) -> Iterator[Asker]:
    answers: list[Any] = []
    decoder: Decoder
    if request.param == "scripted":
        decoder = ScriptedDecoder(Scripted([lambda _: answers.pop(0)], tokens_per_second=500))
    else:
        choice = Choice(request.param, "under test", "gguf")
        decoder = load_decoder(choice, model_path, context_length=1024, slots=1, progress=lambda _: None)
    yield Asker(request.param, decoder, answers)
    decoder.close()


def calls_of(deltas: list[Delta]) -> list[CallRead]:
    return [delta for delta in deltas if isinstance(delta, CallRead)]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextPiece))


def tokens_of(deltas: list[Delta]) -> list[Token]:
    return [token for delta in deltas if isinstance(delta, Decoded) for token in delta.tokens]


def raw_of(deltas: list[Delta]) -> str:
    return "".join(token.text for token in tokens_of(deltas)) + done_of(deltas).tail


def done_of(deltas: list[Delta]) -> Done:
    assert isinstance(deltas[-1], Done)
    assert sum(isinstance(delta, Done) for delta in deltas) == 1
    return deltas[-1]


TOKYO = Answer(tool_calls=[("get_weather", {"city": "Tokyo"})])
ORDER = Answer(tool_calls=[("order", {"items": [{"name": "pear", "count": 2}], "speed": "fast"})])


def test_with_auto_the_model_calls_the_tool_that_fits(ask: Asker) -> None:
    """CONTRACT 12, 17, 18, 45: in fragments; also the embedded model, which has no tool format, and says so."""
    ask.script(TOKYO)
    deltas = ask()
    (call,) = calls_of(deltas)
    (start,) = [delta for delta in deltas if isinstance(delta, CallStart)]
    fragments = [delta for delta in deltas if isinstance(delta, CallDelta)]
    assert (call.name, json.loads(str(call.arguments))) == ("get_weather", {"city": "Tokyo"})
    assert (start.id, start.name) == (call.id, call.name)
    assert "".join(delta.text for delta in fragments) == call.arguments
    assert len(fragments) > 1
    assert deltas.index(start) < deltas.index(fragments[0]) < deltas.index(call)
    assert call.raw in raw_of(deltas)
    assert text_of(deltas) == ""
    assert done_of(deltas).reason == "stop"
    assert any(isinstance(delta, Note) for delta in deltas) == (ask.name != "scripted")


def test_with_auto_the_model_may_answer_in_words(ask: Asker) -> None:
    """CONTRACT 16, 18: no call, and no marker in the text."""
    ask.script("The sky scatters blue light.")
    deltas = ask("Why is the sky blue?", max_output_tokens=12)
    assert not calls_of(deltas)
    assert text_of(deltas)
    assert "Tool" not in text_of(deltas)


def test_a_named_tool_is_called_with_valid_arguments(ask: Asker) -> None:
    """CONTRACT 18: named is enforced, on a prompt that has nothing to do with it."""
    ask.script(ORDER)
    deltas = ask("Tell me a joke.", ToolChoice("named", "order"), temperature=1.0)
    (call,) = calls_of(deltas)
    assert TOOLS[1].validate(call.arguments)
    assert (call.name, text_of(deltas)) == ("order", "")


def test_required_is_a_call_of_some_tool(ask: Asker) -> None:
    """CONTRACT 18: required is enforced."""
    ask.script(ORDER)
    deltas = ask("Hello!", ToolChoice("required"))
    calls = calls_of(deltas)
    assert calls
    assert all({tool.name: tool for tool in TOOLS}[call.name].validate(call.arguments) for call in calls)
    assert text_of(deltas) == ""


def test_none_is_words(ask: Asker) -> None:
    """CONTRACT 18: none."""
    ask.script("It is sunny.")
    deltas = ask(choice=ToolChoice("none"), max_output_tokens=6)
    assert not calls_of(deltas)
    assert text_of(deltas)
    assert not any(isinstance(delta, Note) for delta in deltas)


def test_a_call_cut_off_by_length_is_unread_and_kept(ask: Asker) -> None:
    """CONTRACT 13: a frame cut off at the end of generation; the raw text is kept."""
    ask.script(TOKYO)
    deltas = ask(choice=ToolChoice("required"), max_output_tokens=8)
    (unread,) = [delta for delta in deltas if isinstance(delta, CallUnread)]
    assert done_of(deltas).reason == "length"
    assert unread.raw == raw_of(deltas)
    assert not calls_of(deltas)
    assert text_of(deltas) == ""


def test_a_call_that_is_cancelled_is_unread_and_kept(ask: Asker) -> None:
    """CONTRACT 7, 13: decoding stops within a call, and what was written of it is kept."""
    ask.script(ORDER)
    deltas = ask("Tell me a joke.", ToolChoice("named", "order"), cancel_at=CallStart)
    (unread,) = [delta for delta in deltas if isinstance(delta, CallUnread)]
    assert done_of(deltas).reason == "cancelled"
    assert unread.name == "order"
    assert unread.raw in raw_of(deltas)


def test_the_same_seed_makes_the_same_call_with_its_log_probabilities(ask: Asker) -> None:
    """CONTRACT 42, 56: same seed, same text; and ids that differ all the same."""
    both = []
    for _ in range(2):
        ask.script(TOKYO)
        both.append(ask(choice=ToolChoice("named", "get_weather"), temperature=1.0, logprobs=1))
    (one,), (other,) = map(calls_of, both)
    assert one.raw == other.raw
    assert one.id != other.id
    logprobs = [[token.logprob for token in tokens_of(deltas)] for deltas in both]
    assert logprobs[0] == logprobs[1]
    assert all(logprob is not None and logprob <= 1e-4 for logprob in logprobs[0])


def test_after_the_result_the_model_answers_in_words(ask: Asker) -> None:
    """CONTRACT 20, 39: the next step sees the call and its result."""
    ask.script("It is sunny in Tokyo.")
    history = [
        Message("user", WEATHER_QUESTION),
        Message("assistant", tool_calls=(ToolCall("abc123xyz", "get_weather", {"city": "Tokyo"}),)),
        Message("tool", '{"temperature": 22, "condition": "sunny"}', tool_call_id="abc123xyz"),
    ]
    deltas = ask(history, max_output_tokens=14)
    assert not calls_of(deltas)
    assert "sunny" in text_of(deltas)


def test_several_calls_in_one_answer_keep_their_order(ask: Asker) -> None:
    """CONTRACT 22: calls of one step; only a script is sure to make several."""
    if ask.name != "scripted":
        return
    ask.script(Answer("Both:", tool_calls=[("get_weather", {"city": city}) for city in ("Oslo", "Rome", "Oslo")]))
    deltas = ask()
    assert [json.loads(str(call.arguments))["city"] for call in calls_of(deltas)] == ["Oslo", "Rome", "Oslo"]
    assert len({call.id for call in calls_of(deltas)}) == 3
    assert text_of(deltas) == "Both:"
