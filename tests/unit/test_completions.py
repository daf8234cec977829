"""Raw completions on a script: what is asked for, what comes of it, and how it ends."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit as lk
from llmkit.completions.completion import CompletionChoice, CompletionLogprobs, CompletionUsage
from llmkit.engines.base import TextPiece
from llmkit.engines.decoder import Done
from llmkit.engines.local import LocalEngine
from llmkit.engines.raw import RawPiece, RawRequest
from llmkit.engines.scripted import ScriptedDecoder
from tests.unit.fault_server import on_loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


def told(prompt: str) -> str:
    """Answer from the prompt alone."""
    return f" and {prompt[::-1]}"


def slow(scripted: Callable[..., lk.Session], *, rate: float = 200, **session: Any) -> lk.Session:
    return scripted("word " * 2000, tokens_per_second=rate, session=session)


def test_a_completion_has_the_shape_that_servers_give_it(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 54: id, object, created, model, choices (text, index, finish_reason, logprobs), usage."""
    completion = scripted(" of course.").completions.create("Yes,", max_tokens=2)
    value = completion.to_dict()
    assert value.pop("id").startswith("cmpl-")
    assert value.pop("created") > 1_700_000_000
    assert value.pop("choices")[0] | {"run_id": ""} == {
        "text": " of course",
        "index": 0,
        "finish_reason": "length",
        "logprobs": None,
        "run_id": "",
    }
    usage = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4, "cached_tokens": 0}
    assert value == {"object": "text_completion", "model": "scripted", "usage": usage, "warnings": []}
    assert str(completion) == completion.text == " of course"


def test_several_prompts_have_their_choices_in_order(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 54: a list of texts, n; each prompt's tokens count once."""
    completion = scripted(told).completions.create(["ab", "cd ef"], n=2)
    assert completion.texts == (" and ba", " and ba", " and fe dc", " and fe dc")
    assert [choice.index for choice in completion.choices] == [0, 1, 2, 3]
    assert completion.usage == CompletionUsage(3, 10, 13, 0)


def test_token_ids_are_a_prompt(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 54: token ids; what was generated can be gone on from."""
    session = scripted(told)
    session.completions.create("Hello there")  # its words are the script's first, after its end token
    completion = session.completions.create([1, 2], echo=True)
    assert completion.text == "Hello there and ereht olleH"
    assert session.runs["prompt"].tolist()[-1] == "[1, 2]"
    with pytest.raises(lk.ValidationError, match="9999 is no token id") as caught:
        session.completions.create([0, 9999])
    assert caught.value.field == "prompt"


def test_the_text_is_what_the_model_wrote(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 54: no template, no splitting of reasoning or calls."""
    seen: list[str] = []

    def answer(prompt: str) -> str:
        seen.append(prompt)
        return '<think>hm</think><tool_call>{"name": "x"}</tool_call>'

    session = scripted(answer)
    assert session.completions.create("<think>").text == '<think>hm</think><tool_call>{"name": "x"}</tool_call>'
    assert seen == ["<think>"]


def test_choices_differ_and_a_seed_brings_each_back(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 42, 54: choice i of a seed is reproducible, and different from choice j."""
    starts: list[Any] = []
    session = scripted(lk.Answer([f" {at}" for at in range(1000)]), session={"on_start": starts.append})
    first = session.completions.create("Once", n=3, seed=7, temperature=1)
    again = session.completions.create("Once", n=3, seed=7, temperature=1)
    assert first.texts == again.texts
    assert len(set(first.texts)) == 3
    seeds = [start.settings.seed for start in starts]
    assert seeds[0] == 7
    assert seeds == [start.seed for start in starts]
    assert session.completions.create("Once", seed=seeds[1], temperature=1).text == first.texts[1]
    assert len(set(session.completions.create("Once", n=3, temperature=1).texts)) == 3


def test_greedy_is_honoured_and_other_settings_are_the_sessions(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 42, 57: temperature 0 isn't dropped; what isn't given is the session's."""
    starts: list[Any] = []
    session = scripted("x", session={"temperature": 0.3, "top_k": 5, "on_start": starts.append})
    session.completions.create("a", temperature=0, stop="z", min_p=None)
    used = starts[0].settings
    assert (used.temperature, used.top_k, used.stop, used.min_p) == (0, 5, ("z",), 0)


def test_stop_strings_are_not_in_the_text(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 42: also when split over tokens; tokens of a stop string add nothing."""
    session = scripted("one two three")
    completion = session.completions.create("0", stop=["two thr"], logprobs=0)
    assert (completion.text, completion.finish_reason) == ("one ", "stop")
    assert completion.logprobs is not None
    assert "".join(completion.logprobs.tokens) == "one "
    held = session.completions.create("0", stop=["three four"], logprobs=0)
    assert held.logprobs is not None
    assert "".join(held.logprobs.tokens) == held.text == "one two three"


def test_echo_and_logprobs_tell_the_prompts_tokens_too(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 56: tokens, token_logprobs, top_logprobs, text_offset in the text that has the prompt first."""
    completion = scripted(" cd").completions.create("ab ef", echo=True, logprobs=1)
    logprobs = completion.logprobs
    assert completion.text == "ab ef cd"
    assert logprobs is not None
    assert logprobs.tokens == ("ab", " ef", " cd")
    assert logprobs.token_logprobs[:2] == (None, None)
    assert logprobs.top_logprobs[:2] == (None, None)
    assert logprobs.token_logprobs[2] is not None
    assert list(logprobs.top_logprobs[2] or ()) == [" cd"]
    assert logprobs.text_offset == (0, 2, 5)


def test_frames_have_a_row_a_choice_and_a_row_a_token(scripted: Callable[..., lk.Session]) -> None:
    session = scripted(" b c")
    completion = session.completions.create("a", n=2, logprobs=1, echo=True)
    assert completion.frame.dtypes.astype(str).tolist() == ["Int64", "string", "string", "string"]
    assert completion.frame["run_id"].tolist() == session.runs["run_id"].tolist()
    tokens = completion.tokens
    assert tokens["choice"].tolist() == [0, 0, 0, 1, 1, 1]
    assert tokens["logprob"].isna().tolist() == [True, False, False] * 2
    assert session.completions.create("a").tokens.empty


def test_what_the_caller_passed_stays_as_it_was(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 54: the caller's request is not changed, and changing it afterwards changes nothing."""
    session = scripted('{"a": 1}')
    request: dict[str, Any] = {"prompt": ["x"], "json_schema": copy.deepcopy(SCHEMA), "stop": ["q"],
                               "metadata": {"k": [1]}, "headers": {}, "provider_options": {"b": {}}}  # fmt: skip
    before = copy.deepcopy(request)
    with session.completions.create_stream(**request) as stream:
        request["metadata"]["k"].append(2)
        request["json_schema"].clear()
        assert "".join(chunk.text for chunk in stream) == '{"a": 1}'
    assert json.loads(session.runs["metadata"].iloc[0])["k"] == [1]
    request = copy.deepcopy(before)
    session.completions.create(**request)
    assert request == before


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_engine_continues_several_prompts_in_one_request(tmp_path: Path, cancelled: bool) -> None:
    """CONTRACT 54: the engine's seam itself; each continuation has an end, and all of them one with the counts."""
    decoder = ScriptedDecoder(lk.Scripted([told], slots=2))
    engine = LocalEngine(decoder, "scripted", tmp_path)
    request = RawRequest("r", ("ab", "cd ef"), lk.Settings(seed=3), n=2)
    cancel = lk.CancelToken()
    if cancelled:
        cancel.cancel()

    async def collect() -> list[RawPiece]:
        return [piece async for piece in engine.complete_raw(request, cancel)]

    *pieces, last = on_loop(collect)
    texts = [
        "".join(p.delta.text for p in pieces if p.index == at and isinstance(p.delta, TextPiece)) for at in range(4)
    ]
    ends = {p.index: p.delta.reason for p in pieces if isinstance(p.delta, Done)}
    assert isinstance(last.delta, Done)
    assert last.index is None
    if cancelled:
        assert (texts, set(ends.values()), last.delta.reason) == ([""] * 4, {"cancelled"}, "cancelled")
    else:
        assert texts == [" and ba", " and ba", " and fe dc", " and fe dc"]
        assert ends == dict.fromkeys(range(4), "stop")
        assert (last.delta.prompt_tokens, last.delta.generated_tokens) == (3, 10)
    engine.close()


def test_json_and_regex_and_grammar_bind_the_text(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 49, 54: a script that doesn't keep to it is refused, where a model can't but keep to it."""
    session = scripted('{"a": 1}')
    assert session.completions.create("x", json_schema=SCHEMA).text == '{"a": 1}'
    for bound in ({"json_schema": {"type": "integer"}}, {"regex": "[a-z]+"}, {"grammar": 'start: "b"'}):
        with pytest.raises(lk.EngineError, match="isn't what was asked for"):
            session.completions.create("x", **bound)
    cut = session.completions.create("x", json_schema=SCHEMA, max_tokens=2)
    assert cut.finish_reason == "length"
    assert "cut off" in cut.warnings[0]


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"json_schema": {"not": {"type": "null"}, "type": "object"}}, "json_schema", "not"),
        ({"json_schema": "{}"}, "json_schema", "dict"),
        ({"regex": "(?=a)b"}, "regex", "can't be enforced"),
        ({"grammar": "start: nothing"}, "grammar", "grammar"),
        ({"regex": "a", "grammar": "b"}, "grammar", "both"),
        ({"n": 0}, "n", "1 to 128"),
        ({"n": True}, "n", "1 to 128"),
        ({"max_tokens": 0}, "max_tokens", "max_tokens=0"),
        ({"temperature": -1}, "temperature", "temperature"),
        ({"logprobs": 21}, "logprobs", "20"),
        ({"echo": "yes"}, "echo", "True or False"),
        ({"headers": "x"}, "headers", "dict"),
        ({"best_of": 3}, "best_of", "max_tokens"),
    ],
)
def test_what_cant_be_used_is_refused_before_anything_is_decoded(
    scripted: Callable[..., lk.Session], options: dict[str, Any], field: str, words: str
) -> None:
    """CONTRACT 42, 50, 57: ValidationError names the field."""
    session = scripted()
    with pytest.raises(lk.ValidationError, match=words) as caught:
        session.completions.create("x", **options)
    assert (caught.value.field, caught.value.code) == (field, "invalid_request")
    assert session.runs.empty


@pytest.mark.parametrize("prompt", [None, 5, [], {}, b"x", [1, "a"], [-1], [True], [[1]], [1.5]])
def test_a_prompt_of_another_kind_is_refused(scripted: Callable[..., lk.Session], prompt: Any) -> None:
    """CONTRACT 54, 57."""
    with pytest.raises(lk.ValidationError, match="prompt") as caught:
        scripted().completions.create(prompt)
    assert caught.value.field == "prompt"


def test_prompts_that_dont_fit_are_refused_with_both_lengths(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 57: context_length_exceeded, for local engines too; an empty prompt leaves nothing to go on from."""
    session = scripted(context_length=16)
    with pytest.raises(lk.ContextLengthError) as caught:
        session.completions.create(["a", "a " * 40])
    assert caught.value.code == "context_length_exceeded"
    assert (caught.value.prompt_tokens, caught.value.context_length) == (41, 16)
    with pytest.raises(lk.ValidationError, match="empty"):
        session.completions.create("")


def test_the_editor_is_shown_every_option(scripted: Callable[..., lk.Session]) -> None:
    completions = scripted().completions
    for method in (completions.create, completions.create_stream, completions.create_async):
        named = inspect.signature(method).parameters
        assert next(iter(named)) == "prompt"
        assert {"max_tokens", "json_schema", "logit_bias", "timeout", "model"} <= set(named)


def test_each_choice_is_a_run_of_the_session(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 54: recorded with prompt, text and stats; callbacks hear of it; never more at once than places."""
    heard: list[Any] = []
    session = scripted(told, session={"concurrency": 2, "on_finish": heard.append})
    completion = session.completions.create(["a", "b", "c", "d"], metadata={"why": "test"})
    runs = session.runs
    assert runs["prompt"].tolist() == ["a", "b", "c", "d"]
    assert runs["text"].tolist() == list(completion.texts)
    assert runs["status"].tolist() == ["done"] * 4
    assert runs["concurrency"].max() == 2
    assert runs["queue_time"].notna().all()
    notes = [json.loads(each) for each in runs["metadata"]]
    assert notes[3] == {"why": "test", "completion": completion.id, "choice": 3}
    assert sorted(event.text for event in heard) == sorted(completion.texts)


def test_the_choices_of_a_prompt_reuse_its_keys_and_values(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 9: the first goes ahead until the prompt is read."""
    session = scripted(" x", prompt_tokens_per_second=2000)
    session.completions.create("word " * 60, n=4)
    assert session.runs["cache_tokens"].sort_values().tolist() == [0, 60, 60, 60]


def test_a_stream_brings_pieces_and_ends_with_the_usage(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 55: iterates, ends cleanly; reading after the end ends again."""
    session = scripted(" one two", " three")
    stream = session.completions.create_stream("x", n=2, echo=True, logprobs=0)
    chunks = list(stream)
    texts = ["".join(c.text for c in chunks if c.choices[0].index == at) for at in range(2)]
    assert sorted(texts) == ["x one two", "x three"]
    assert {chunk.id for chunk in chunks} == {stream.id}
    assert [chunk.usage is not None for chunk in chunks] == [*[False] * (len(chunks) - 1), True]
    assert sum(chunk.finish_reason == "stop" for chunk in chunks) == 2
    whole = stream.result()
    assert list(whole.texts) == texts
    for choice in whole.choices:
        pieces = [c.logprobs for c in chunks if c.choices[0].index == choice.index and c.logprobs]
        assert choice.logprobs is not None
        assert choice.logprobs.text_offset == tuple(at for piece in pieces for at in piece.text_offset)
        assert "".join(choice.logprobs.tokens) == choice.text
    assert list(stream) == []


def test_create_takes_no_pieces_and_create_stream_always_does(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 54: create never streams, create_stream always does."""
    heard: list[str] = []
    session = scripted(" one two", session={"on_chunk": lambda event: heard.append(event.text)})
    session.completions.create("x")
    assert heard == []
    session.completions.create_stream("x").result()
    assert heard == [" one", " two"]


def test_closing_stops_decoding_and_reading_raises(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 55: close() is idempotent and stops decoding; reading after close raises StreamClosed."""
    session = slow(scripted)
    with session.completions.create_stream("x", n=2) as stream:
        assert next(stream).text == "word"
    assert session.runs["status"].tolist() == ["cancelled", "cancelled"]
    assert stream.closed
    stream.close()
    stream.close()
    with pytest.raises(lk.StreamClosed):
        next(stream)
    with pytest.raises(lk.StreamClosed):
        stream.result()
    with pytest.raises(lk.StreamClosed), stream:
        pass
    assert session.completions.create("x", max_tokens=1).text == "word"


def test_closing_from_another_thread_wakes_the_reader(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 55."""
    stream = slow(scripted, rate=20).completions.create_stream("x")
    next(stream)
    closing = threading.Thread(target=stream.close)
    closing.start()
    with pytest.raises(lk.StreamClosed):
        list(stream)
    closing.join()


def test_a_stream_that_nobody_holds_stops(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 55: `for … break` leaves nothing decoding."""
    session = slow(scripted)
    for _ in session.completions.create_stream("x"):
        run = next(iter(session._active.values()))
        break
    gc.collect()
    assert run.wait(10)
    assert run.finish_reason == "cancelled"


def test_everything_can_be_awaited(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 54, 55: async for, await, async with."""
    session = scripted(" one two")

    async def main() -> None:
        completions = session.completions
        assert (await completions.create_async("x")).text == " one two"
        assert (await completions.create_stream("x")).text == " one two"
        async with completions.create_stream("x") as stream:
            assert [chunk.text async for chunk in stream] == [" one", " two", ""]
        with pytest.raises(lk.StreamClosed):
            await anext(stream)

    asyncio.run(main())


def test_a_cancelled_task_stops_decoding(scripted: Callable[..., lk.Session]) -> None:
    began, ended = threading.Event(), threading.Event()
    session = slow(scripted, on_start=lambda _: began.set(), on_abort=lambda _: ended.set())

    async def main() -> None:
        task = asyncio.ensure_future(session.completions.create_async("x"))
        assert await asyncio.to_thread(began.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended.wait(10)


@pytest.mark.parametrize("how", ["cancel", "unload", "close", "run"])
def test_whatever_ends_runs_ends_completions(scripted: Callable[..., lk.Session], how: str) -> None:
    """CONTRACT 7, 8: session.cancel(), unload() and close() end raw requests too; the error has what there was."""
    session = slow(scripted, concurrency=2)
    stream = session.completions.create_stream("x", n=4)
    first = next(stream)
    if how == "run":
        session.cancel(first.choices[0].run_id)
    else:
        getattr(session, how)()
    with pytest.raises(lk.RunCancelled, match="cancelled") as caught:
        list(stream)
    if how == "run":
        assert caught.value.text.startswith("word")
    with pytest.raises(lk.RunCancelled):
        stream.result()
    if how == "close":
        with pytest.raises(lk.SessionClosed):
            session.completions.create("x")


def test_limits_hold_for_completions(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 10, 43, 57: queue_limit, queue_timeout and timeout."""
    session = slow(scripted, concurrency=1, queue_limit=0)
    stream = session.completions.create_stream("x")
    next(stream)
    with pytest.raises(lk.QueueFull) as full:
        session.completions.create("y")
    assert full.value.code == "rate_limit_exceeded"
    stream.close()
    with pytest.raises(lk.TimeoutError, match="total") as passed:
        session.completions.create("y", timeout=0.05)
    assert passed.value.limit == "total"
    waiting = slow(scripted, concurrency=1, queue_timeout=0.02)
    with waiting.completions.create_stream("x") as other:
        next(other)
        with pytest.raises(lk.QueueTimeout):
            waiting.completions.create("y")


def test_a_choice_that_fails_ends_the_others(scripted: Callable[..., lk.Session]) -> None:
    """CONTRACT 57: the error comes as it was, after what there was."""
    broken = lk.Answer(" some", error=lk.EngineError("It broke."))
    session = scripted(broken, "word " * 2000, tokens_per_second=200)
    stream = session.completions.create_stream("x", n=2)
    texts: list[str] = []
    with pytest.raises(lk.EngineError, match="It broke") as caught:
        texts.extend(chunk.text for chunk in stream)
    assert caught.value.code == "server_error"
    assert sorted(session.runs["status"]) == ["cancelled", "failed"]
    with pytest.raises(lk.EngineError):
        session.completions.create("x", model=None, n=1, temperature=0)


LOGPROBS = st.builds(
    CompletionLogprobs,
    tokens=st.just(("a", "")),
    token_logprobs=st.tuples(st.none(), st.floats(-50, 0)),
    top_logprobs=st.tuples(st.none(), st.dictionaries(st.text(max_size=3), st.floats(-50, 0), max_size=2)),
    text_offset=st.just((0, 1)),
)
CHOICES = st.builds(
    CompletionChoice,
    text=st.text(),
    index=st.integers(0, 5),
    finish_reason=st.sampled_from(["stop", "length", None]),
    logprobs=st.none() | LOGPROBS,
    run_id=st.text(max_size=4),
)


@given(choices=st.lists(CHOICES, max_size=3), usage=st.none() | st.builds(CompletionUsage, st.none() | st.integers(0)))
def test_json_holds_all_of_a_completion(choices: list[CompletionChoice], usage: CompletionUsage | None) -> None:
    """CONTRACT 54: a round trip."""
    completion = lk.Completion("cmpl-1", 1, "m", tuple(choices), usage, ("careful",))
    assert lk.Completion.from_json(completion.to_json()) == completion


def test_a_servers_answer_can_be_read() -> None:
    """CONTRACT 54: TabbyAPI's shape, with what llmkit has no field for."""
    answer = {"id": "cmpl-x", "object": "text_completion", "created": 5, "model": "m", "system_fingerprint": "f",
              "choices": [{"index": 0, "finish_reason": "stop", "text": "t", "stop_str": None, "logprobs": {
                  "text_offset": [0], "token_logprobs": [-0.5], "tokens": ["t"], "top_logprobs": [None]}}],
              "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "prompt_time": 0.1}}  # fmt: skip
    completion = lk.Completion.from_dict(answer)
    assert (completion.text, completion.usage) == ("t", CompletionUsage(1, 1, 2))
    for wrong in ("[]", "{", '{"id": "x"}'):
        with pytest.raises(lk.ValidationError, match="no completion"):
            lk.Completion.from_json(wrong)


def test_it_reads_well_in_a_notebook_and_is_no_markup(scripted: Callable[..., lk.Session]) -> None:
    """Model text is hostile."""
    session = scripted(" <img src=x onerror=alert(1)> $5$\x1b")
    completion = session.completions.create("x", n=2, logprobs=0)
    page = completion._repr_html_()
    assert "<img" not in page
    assert "&lt;img" in page
    assert "\x1b" not in page
    assert "2 choices" in page
    assert repr(completion).startswith(f"<Completion {completion.id} · scripted · 2 choices")
    assert "streaming" in repr(slow(scripted).completions.create_stream("x"))
