"""What a remote engine makes of answers, in all the ways in which servers write them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.engines.base import CallStart, Decoded, Note, TextPiece
from llmkit.engines.decoder import Done, Prefill
from llmkit.engines.raw import RawRequest
from llmkit.engines.remote.answer import Answer
from llmkit.engines.remote.sse import DONE, EventDecoder
from llmkit.errors import StreamError
from llmkit.settings import settings_from
from llmkit.tools.choice import ToolChoice
from llmkit.tools.define import tool_from
from tests.unit.fault_server import (
    FaultServer,
    Heard,
    Opened,
    asked,
    delta,
    event,
    hear,
    on_loop,
    opened,
    stream,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.engines.base import Delta

open_ = pytest.fixture(opened)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as each:
        yield each


def tell_weather(city: str) -> str:
    """Tell the weather."""
    return city


weather = tool_from(tell_weather, name="weather")


def read(*chunks: Any, **fields: Any) -> Heard:
    """Return what an answer is made of these chunks."""
    answer = Answer("r-0", **fields)
    deltas: list[Delta] = [each for chunk in chunks for each in answer.take(chunk)]
    return Heard([*deltas, *answer.finish()])


def calling(*fragments: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return delta(tool_calls=list(fragments), finish=finish, **more)


def fragment(
    index: int | None = 0, id_: str | None = None, name: str | None = None, text: Any = None
) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", text)) if value is not None}
    own = {key: value for key, value in (("index", index), ("id", id_)) if value is not None}
    return {**own, "type": "function", "function": function}


def test_text_streams_and_ends_once(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 58: streaming, usage in the last chunk."""
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    server.play(stream(delta(role="assistant", content=""), delta("Hello"), delta(" there."), delta(finish="stop"),
                       {"choices": [], "usage": usage}))  # fmt: skip
    heard = hear(open_(server))
    assert heard.text == "Hello there."
    assert heard.done == Done(
        "stop",
        raw_reason="stop",
        prompt_tokens=12,
        cached_tokens=8,
        generated_tokens=5,
        reasoning_tokens=2,
        provider_data={"id": "c-1", "model": "m"},
    )


def test_unknown_counts_stay_unknown(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 47: unknown stays unknown, never 0."""
    done = hear(open_(server)).done
    assert (done.prompt_tokens, done.cached_tokens, done.generated_tokens, done.reasoning_tokens) == (None,) * 4
    heard = read(delta("x", finish="stop"), {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1,
                                                                       "prompt_tokens_details": None}})  # fmt: skip
    assert (heard.done.prompt_tokens, heard.done.cached_tokens, heard.done.generated_tokens) == (3, None, 1)


@pytest.mark.parametrize("value", [-1, True, "3", 1.5, 10**30, None, [], {}])
def test_senseless_counts_are_unknown(value: Any) -> None:
    heard = read(delta("x", finish="stop"), {"usage": {"prompt_tokens": value, "completion_tokens": value}})
    assert (heard.done.prompt_tokens, heard.done.generated_tokens) == (None, None)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content-filter"),
        ("max_tokens", "length"),
        ("abort", "other"),
        ("sensitive", "other"),
    ],
)
def test_the_servers_word_for_the_end_is_kept_beside_ours(raw: str, reason: str) -> None:
    """CONTRACT 46: finish_reason, raw_finish_reason."""
    done = read(delta("x"), delta(finish=raw)).done
    assert (done.reason, done.raw_reason) == (reason, raw)


def test_an_end_without_a_reason_is_other() -> None:
    """CONTRACT 46."""
    done = read(delta("x"), DONE).done
    assert (done.reason, done.raw_reason) == ("other", "")


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_told_apart(name: str) -> None:
    heard = read(delta(**{name: "Let me "}), delta(**{name: "see."}), delta("Yes."), delta(finish="stop"))
    assert (heard.reasoning, heard.text) == ("Let me see.", "Yes.")


def test_reasoning_under_both_names_counts_once() -> None:
    assert read(delta(reasoning="Hm.", reasoning_content="Hm."), delta(finish="stop")).reasoning == "Hm."


def test_content_in_parts_is_read() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes."}]
    heard = read(delta(content=parts), delta(finish="stop"))  # type: ignore[arg-type]
    assert (heard.reasoning, heard.text) == ("Hm.", "Yes.")


def test_a_refusal_is_text() -> None:
    assert read(delta(refusal="I won't."), delta(finish="stop")).text == "I won't."


def test_a_server_that_doesnt_stream_is_read_whole(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 58: legacy servers."""
    message = {"role": "assistant", "content": "Hello.", "tool_calls": [fragment(None, "a", "weather", '{"city":"x"}')]}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
              "usage": {"prompt_tokens": 4, "completion_tokens": 2}}  # fmt: skip
    server.play(whole(answer))
    heard = hear(open_(server), asked(tools=(weather,)))
    assert heard.text == "Hello."
    assert [(call.name, call.arguments) for call in heard.calls] == [("weather", '{"city":"x"}')]
    assert heard.done.generated_tokens == 2


def test_a_missing_done_is_no_fault_after_a_finish_reason(server: FaultServer, open_: Opened) -> None:
    server.play(stream(delta("Hello"), delta(finish="stop"), done=False))
    assert hear(open_(server)).done.reason == "stop"


def test_comments_empty_events_and_null_are_passed_over(server: FaultServer, open_: Opened) -> None:
    server.play(stream(b": keepalive 5/10\n\n", b"\n\n", b"data:\n\n", event("null"), event("[]"), event("7"),
                       b"id: 4\nretry: 10\n\n", delta(), delta("Hi", finish="stop"), {"choices": None}))  # fmt: skip
    assert hear(open_(server)).text == "Hi"


@given(st.integers(1, 40), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_events_are_the_same_however_bytes_arrive(size: int, line_end: bytes) -> None:
    values = [delta("né 🐟"), {"usage": None}, delta(" x\u2028y\x85z", finish="stop")]
    text = b": hello\n\n" + b"".join(event(json.dumps(value, ensure_ascii=False)) for value in values)
    data = (text + event("[DONE]")).replace(b"\n", line_end)
    decoder = EventDecoder()
    got = [each for at in range(0, len(data), size) for each in decoder.feed(data[at : at + size])]
    assert [*got, *decoder.finish()] == [*values, DONE]


def test_events_without_blank_lines_between_and_over_several_lines_are_read() -> None:
    decoder = EventDecoder()
    assert list(decoder.feed(b'data: {"a":1}\ndata: {"a":2}\n\ndata: {"a":\ndata: 3}\n\n')) == [
        {"a": 1}, {"a": 2}, {"a": 3},
    ]  # fmt: skip
    assert list(decoder.feed(b'data: {"a":4}')) == []
    assert list(decoder.finish()) == [{"a": 4}]


def test_json_nested_beyond_reason_is_a_stream_error() -> None:
    with pytest.raises(StreamError, match="no JSON"):
        list(EventDecoder().feed(b"data: " + b"[" * 200_000 + b"\n\n"))


WORDS = [
    *("choices", "delta", "content", "tool_calls", "function", "index", "id", "name", "arguments", "usage", "logprobs"),
    *("token", "top_logprobs", "finish_reason", "message", "text", "timings", "prompt_progress", "total", "reasoning"),
]
HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=25,
)


@given(HOSTILE)
def test_hostile_chunks_never_break_an_answer(value: Any) -> None:
    said = {"delta": {"content": "x"}, "logprobs": value}
    for chunk in (
        value,
        {"choices": [value]},
        {"choices": [{"delta": value}]},
        {"choices": [said]},
        {"usage": value, "timings": value},
        calling(value),
        delta(content=value),
    ):
        heard = read(chunk, delta(finish="stop"), logprobs=True, stop=("x",))
        "".join([heard.text, heard.reasoning, *(call.raw for call in heard.calls)]).encode()
        assert heard.done.reason == "stop"


def test_halves_of_a_character_split_over_chunks_are_joined() -> None:
    heard = read(delta("a\ud83d"), delta("\udc1fb\ud83d"), delta(finish="stop"))
    assert heard.text == "a🐟b\ufffd"


def test_a_stop_string_is_cut_where_the_server_lets_it_through(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 42: stop sequences are never in the text, also when split over pieces; decoding ends there."""
    server.play(stream(delta("One, tw"), delta("o, thr"), delta("ee"), done=False, end="silent"))
    heard = hear(open_(server), asked(stop=["two, three"]))
    assert heard.text == "One, "
    assert heard.done.reason == "stop"
    assert server.left.wait(10)
    assert server.bodies[0]["stop"] == ["two, three"]


def test_what_might_have_been_a_stop_string_comes_out_in_the_end() -> None:
    """CONTRACT 42."""
    assert read(delta("One, tw"), delta(finish="stop"), stop=("two",)).text == "One, tw"


def test_progress_and_times_of_llama_cpp() -> None:
    """CONTRACT 5: prefill and decode time, where a server tells them."""
    progress = {**delta(role="assistant"), "prompt_progress": {"total": 31, "cache": 4, "processed": 20, "time_ms": 5}}
    timings = {"cache_n": 4, "prompt_ms": 250.0, "predicted_ms": 500.0}
    heard = read(progress, delta("x"), delta(finish="stop"), {"choices": [], "timings": timings})
    assert heard.all(Prefill) == [Prefill(20, 31, 4)]
    assert (heard.done.prefill_time, heard.done.decode_time, heard.done.cached_tokens) == (0.25, 0.5, 4)


def test_logprobs_become_tokens() -> None:
    """CONTRACT 56."""
    others: list[dict[str, Any]] = [{"id": 5, "token": " sea"}, {"token_id": 8, "token": " sky"}, {"token": " fog"}]
    top = [{**other, "logprob": -0.5 - at} for at, other in enumerate(others)]
    item = {"id": 5, "token": " sea", "logprob": -0.5, "top_logprobs": top}
    chunk = {"choices": [{"index": 0, "delta": {"content": " sea"}, "logprobs": {"content": [item]}}]}
    heard = read(chunk, delta(finish="stop"), logprobs=True)
    token = heard.all(Decoded)[0].tokens[0]
    assert (token.id, token.text, token.logprob) == (5, " sea", -0.5)
    assert [(each.id, each.text, each.logprob) for each in token.alternatives] == [
        (5, " sea", -0.5),
        (8, " sky", -1.5),
        (-1, " fog", -2.5),
    ]
    assert read(chunk, delta(finish="stop")).all(Decoded)[0].tokens == ()


def test_logprobs_of_the_older_shape_become_tokens() -> None:
    """CONTRACT 56: tokens, token_logprobs, top_logprobs."""
    logprobs = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": [None, {"c": -2.0, "b": -1.0}]}
    chunk = {"choices": [{"index": 0, "text": "ab", "logprobs": logprobs, "finish_reason": "stop"}]}
    first, second = read(chunk, logprobs=True).all(Decoded)[0].tokens
    assert (first.text, first.logprob, first.alternatives) == ("a", None, ())
    assert [each.text for each in second.alternatives] == ["b", "c"]


def test_missing_logprobs_are_noted() -> None:
    assert "log-probabilities" in read(delta("x", finish="stop"), logprobs=True).all(Note)[0].text
    assert read(delta("x", finish="stop")).all(Note) == []


# -- tool calls ----------------------------------------------------------------------------------------------------

SHAPES: dict[str, list[dict[str, Any]]] = {
    "OpenAI, vLLM: name first, then pieces": [
        calling(fragment(0, "call_1", "weather", "")),
        calling(fragment(0, None, None, '{"city"')),
        calling(fragment(0, None, None, ': "Rome"}')),
        calling(fragment(1, "call_2", "weather", "")),
        calling(fragment(1, None, None, '{"city": "Oslo"}')),
    ],
    "mlx_lm.server: whole calls in one chunk": [
        calling(fragment(0, "u-1", "weather", '{"city": "Rome"}'), fragment(1, "u-2", "weather", '{"city": "Oslo"}')),
    ],
    "whole calls under one number": [
        calling(fragment(0, "u-1", "weather", '{"city": "Rome"}')),
        calling(fragment(0, "u-2", "weather", '{"city": "Oslo"}')),
    ],
    "no ids at all": [
        calling(fragment(0, None, "weather", '{"city": "Rome"}')),
        calling(fragment(0, None, "weather", '{"city": "Oslo"}')),
    ],
    "no numbers": [
        calling(fragment(None, "a", "weather", '{"city": "Ro')),
        calling(fragment(None, None, None, 'me"}')),
        calling(fragment(None, "b", "weather", '{"city": "Oslo"}')),
    ],
    "name and id in every piece": [
        calling(fragment(0, "a", "weather", '{"city": ')),
        calling(fragment(0, "a", "weather", '"Rome"}')),
        calling(fragment(1, "b", "weather", '{"city": "Oslo"}')),
        calling(fragment(1, "b", "weather", "")),
    ],
    "the name after the arguments": [
        calling(fragment(0, "a", None, '{"city": ')),
        calling(fragment(0, None, "weather", '"Rome"}')),
        calling(fragment(1, "b", "weather", '{"city": "Oslo"}')),
    ],
    "pieces of two calls by turns": [
        calling(fragment(0, "a", "weather", '{"city": ')),
        calling(fragment(1, "b", "weather", '{"city": ')),
        calling(fragment(0, None, None, '"Rome"}'), fragment(1, None, None, '"Oslo"}')),
    ],
    "arguments as an object": [
        calling(fragment(0, "a", "weather", {"city": "Rome"})),
        calling(fragment(1, "b", "weather", {"city": "Oslo"})),
    ],
    "the same id twice": [
        calling(fragment(0, "call_0", "weather", '{"city": "Rome"}')),
        calling(fragment(1, "call_0", "weather", '{"city": "Oslo"}')),
        calling(fragment(0, None, None, "")),
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_calls_are_read_in_every_shape(shape: str) -> None:
    """CONTRACT 12, 58: calls by number with missing ids and names, arguments in fragments."""
    heard = read(*SHAPES[shape], delta(finish="tool_calls"))
    assert [(call.name, json.loads(str(call.arguments))) for call in heard.calls] == [
        ("weather", {"city": "Rome"}),
        ("weather", {"city": "Oslo"}),
    ]
    assert heard.unread == []
    assert len({call.id for call in heard.calls}) == 2
    for call in heard.calls:
        pieces = [text for id_, text in heard.written if id_ == call.id]
        assert pieces[0] == "weather"
        assert "".join(pieces[1:]) == call.arguments
    order = [id_ for id_, _ in heard.written]
    assert order == sorted(order, key=order.index), "calls don't interleave"
    assert (heard.done.reason, heard.done.raw_reason) == ("stop", "tool_calls")


def test_ids_are_our_own_and_differ_between_requests() -> None:
    """CONTRACT 12: servers repeat theirs from step to step."""
    chunk = calling(fragment(0, "call_0", "weather", "{}"), finish="tool_calls")
    one, other = Answer("r-0"), Answer("r-1")
    ids = [each.id for answer in (one, other) for each in answer.take(chunk) if isinstance(each, CallStart)]
    assert len(set(ids)) == 2


def test_a_call_streams_as_it_is_written(server: FaultServer, open_: Opened) -> None:
    server.play(stream(*SHAPES["OpenAI, vLLM: name first, then pieces"], delta(finish="tool_calls")))
    heard = hear(open_(server), asked(tools=(weather,)))
    first = heard.calls[0].id
    assert heard.written[:3] == [(first, "weather"), (first, '{"city"'), (first, ': "Rome"}')]


def test_a_call_without_arguments_is_a_call() -> None:
    """CONTRACT 14: empty-string arguments count as {}."""
    heard = read(calling(fragment(0, "a", "now", ""), fragment(1, "b", "now", "")), delta(finish="tool_calls"))
    assert [(call.name, call.arguments) for call in heard.calls] == [("now", ""), ("now", "")]


def test_the_older_function_call_is_read() -> None:
    chunks = [delta(function_call={"name": "weather", "arguments": ""}), delta(function_call={"arguments": "{}"})]
    heard = read(*chunks, delta(finish="function_call"))
    assert [(call.name, call.arguments) for call in heard.calls] == [("weather", "{}")]


def test_a_call_cut_off_by_length_cant_be_read() -> None:
    """CONTRACT 13: a frame cut off at the end of generation."""
    heard = read(calling(fragment(0, "a", "weather", '{"city": "Ro')), delta(finish="length"))
    assert heard.calls == []
    assert [(each.name, each.message) for each in heard.unread] == [("weather", "It was cut off before its end.")]
    assert '{"city": "Ro' in heard.unread[0].raw


def test_a_call_without_a_name_cant_be_read() -> None:
    """CONTRACT 13: a missing name."""
    heard = read(calling(fragment(0, "a", None, '{"city": "Rome"}')), delta(finish="tool_calls"))
    assert [each.message for each in heard.unread] == ["It has no name."]


def test_a_call_over_a_mebibyte_cant_be_read() -> None:
    """CONTRACT 13: a frame over 1 MiB."""
    pieces = [calling(fragment(0, None, None, "x" * 300_000)) for _ in range(4)]
    heard = read(calling(fragment(0, "a", "weather", '{"city": "')), *pieces, delta(finish="tool_calls"))
    assert "1 MiB" in heard.unread[0].message


def test_a_call_that_the_server_couldnt_read_is_told() -> None:
    """CONTRACT 13: mlx_lm.server drops it and says ``tool_calls``."""
    heard = read(delta(finish="tool_calls"))
    assert "couldn't read" in heard.unread[0].message


def test_bad_arguments_are_left_to_validation() -> None:
    """CONTRACT 13, 14: the tool's schema decides, with a code."""
    heard = read(calling(fragment(0, "a", "weather", "{city: Rome}")), delta(finish="tool_calls"))
    assert heard.calls[0].arguments == "{city: Rome}"


def test_a_server_that_ignores_tool_choice_is_told_of() -> None:
    heard = read(delta("No.", finish="stop"), must_call=True)
    assert "tool_choice" in heard.all(Note)[0].text
    assert read(calling(fragment(0, "a", "x", "{}")), delta(finish="stop"), must_call=True).all(Note) == []


def test_tool_choice_goes_along(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 18."""
    engine = open_(server)
    for choice in (ToolChoice(), ToolChoice("required"), ToolChoice("named", "weather"), ToolChoice("none")):
        hear(engine, asked(tools=(weather,), tool_choice=choice))
    sent = [body.get("tool_choice") for body in server.bodies]
    assert sent == ["auto", "required", {"type": "function", "function": {"name": "weather"}}, None]
    assert [bool(body.get("tools")) for body in server.bodies] == [True, True, True, False]
    assert server.bodies[0]["tools"] == [weather.to_dict()]


# -- raw completions -----------------------------------------------------------------------------------------------


def test_raw_completions_come_by_number(server: FaultServer, open_: Opened) -> None:
    """CONTRACT 54, 58: several prompts, each with its own end; counts for all."""

    def piece(index: int, text: str, finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": index, "text": text, "finish_reason": finish}]}

    server.play(stream(piece(1, "b"), piece(0, "a"), piece(1, "b", "length"), piece(0, "a", "stop"),
                       {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 4}}))  # fmt: skip
    engine = open_(server)
    request = RawRequest("r-0", ("A", "B"), settings_from({"max_output_tokens": 2, "temperature": 0}), echo=True)

    async def collect() -> list[Any]:
        from llmkit.cancellation import CancelToken

        return [each async for each in engine.complete_raw(request, CancelToken())]

    pieces = on_loop(collect)
    texts = ["".join(p.delta.text for p in pieces if p.index == at and isinstance(p.delta, TextPiece)) for at in (0, 1)]
    assert texts == ["aa", "bb"]
    ends = {p.index: p.delta.reason for p in pieces if isinstance(p.delta, Done)}
    assert ends == {0: "stop", 1: "length", None: "length"}
    assert (pieces[-1].index, pieces[-1].delta.generated_tokens) == (None, 4)
    body = server.bodies[0]
    assert server.received[-1].path == "/v1/completions"
    assert (body["prompt"], body["max_tokens"], body["temperature"], body["echo"]) == (["A", "B"], 2, 0, True)


def test_conversations_can_go_to_a_server_without_chat(server: FaultServer, open_: Opened) -> None:
    server.play(stream({"choices": [{"index": 0, "text": " and so on", "finish_reason": "stop"}]}))
    engine = open_(server, api="completions")
    assert hear(engine, asked([{"role": "system", "content": "A tale."}, {"role": "user", "content": "Once"}])).text
    assert server.bodies[0]["prompt"] == "A tale.\n\nOnce"
