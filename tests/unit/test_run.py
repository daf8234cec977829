"""A run: replays, settled values, endings."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

import llmkit as lk
from llmkit.events import (
    Abort,
    Event,
    Finish,
    ResponseDone,
    Start,
    StepFinish,
    StepStart,
    TextDelta,
    TextEnd,
    TextStart,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., lk.Session]

SLOW = {"tokens_per_second": 50}
LONG = "word " * 500


def test_a_run_has_its_id_before_anything_is_read(scripted: Make) -> None:
    """CONTRACT 1: a run at once, its id known synchronously."""
    run = scripted(LONG, **SLOW).complete("Hi")
    assert run.id
    assert not run.ended
    run.cancel()


def test_streams_are_independent_replays_early_and_late(scripted: Make) -> None:
    """CONTRACT 2: any number of readers, each from the first token."""
    run = scripted("One two three.").complete("Count")
    early = list(run.token_stream)
    late = list(run.token_stream)
    assert early == late == list(run)
    assert len(early) > 1
    assert "".join(early) == run.text == "One two three."


def test_events_are_numbered_from_zero_without_gaps(scripted: Make) -> None:
    """CONTRACT 2: events, numbered."""
    run = scripted().complete("Hi")
    indices = [event.index for event in run.events]
    assert indices == list(range(len(indices)))


def test_the_events_of_a_plain_run_come_in_order(scripted: Make) -> None:
    """CONTRACT 45, 53: start, step-start, text start, deltas, end, response-done, step-finish, finish."""
    kinds = [type(event) for event in scripted("Hi.").complete("Hi").events if event.type not in {"prefill", "load"}]
    assert kinds == [Start, StepStart, TextStart, TextDelta, TextDelta, TextEnd, ResponseDone, StepFinish, Finish]


def test_async_readers_work_in_any_loop(scripted: Make) -> None:
    """CONTRACT 2: async for and await, in the caller's own loop."""
    run = scripted("One two three.", tokens_per_second=200).complete("Count")

    async def read() -> tuple[list[str], list[str], lk.Run, str]:
        pieces, others = await asyncio.gather(collect(run), collect(run))
        result = await run
        return pieces, others, run, result.text

    async def collect(run: lk.Run) -> list[str]:
        return [piece async for piece in run]

    pieces, others, _, text = asyncio.run(read())
    assert pieces == others
    assert "".join(pieces) == text


def test_values_settle_although_nobody_reads_a_stream(scripted: Make) -> None:
    """CONTRACT 3: settled values don't need a consumer."""
    run = scripted("Fine, thanks.").complete("How are you?")
    assert run.text == "Fine, thanks."
    assert run.output == run.text
    assert run.reasoning == ""
    assert run.tool_calls == ()
    assert run.finish_reason == "stop"
    assert [step.text for step in run.steps] == [run.text]
    assert run.response.messages[0].content == run.text
    assert run.usage.output_tokens == run.total_usage.output_tokens == 4
    assert run.stats is not None
    assert str(run.result()) == run.text


def test_without_streaming_the_token_streams_are_empty(scripted: Make) -> None:
    """CONTRACT 4: stream=False leaves streams empty; values and events still work."""
    run = scripted("Fine.").complete("Hi", stream=False)
    assert list(run.token_stream) == []
    assert list(run.tool_call_stream) == []
    assert run.text == "Fine."
    assert isinstance(list(run.events)[-1], Finish)


def test_a_cancelled_run_keeps_what_it_had(scripted: Make) -> None:
    """CONTRACT 7: readers get RunCancelled with the partial text and stats; events end with a clean abort."""
    run = scripted(LONG, **SLOW).complete("Go on")
    for number, _ in enumerate(run.token_stream):
        if number == 3:
            assert run.cancel("enough")
            break
    with pytest.raises(lk.RunCancelled, match="enough") as caught:
        run.result()
    assert caught.value.text.startswith("word word")
    assert caught.value.stats is not None
    assert LONG.startswith(caught.value.text)
    last = list(run.events)[-1]
    assert isinstance(last, Abort)
    assert last.reason == "enough"
    assert run.finish_reason == "cancelled"
    assert run.status == "cancelled"
    assert not run.cancel(), "a second cancel changes nothing"


@pytest.mark.parametrize("value", ["text", "reasoning", "tool_calls", "output", "response", "messages"])
def test_every_value_of_a_cancelled_run_settles(scripted: Make, value: str) -> None:
    """CONTRACT 3: no ending leaves a value hanging."""
    run = scripted(LONG, **SLOW).complete("Go on")
    run.cancel()
    with pytest.raises(lk.RunCancelled):
        getattr(run, value)
    assert isinstance(run.error, lk.RunCancelled)
    assert run.steps is not None
    assert run.total_usage is not None


def test_a_failed_run_raises_its_error_and_keeps_the_text(scripted: Make) -> None:
    """CONTRACT 3: a failure settles everything."""
    run = scripted(lk.Answer("Half of", error=lk.EngineError("The GPU is on fire."))).complete("Hi")
    assert list(run.events)[-1].type == "error"
    with pytest.raises(lk.EngineError, match="on fire"):
        run.result()
    with pytest.raises(lk.EngineError):
        list(run.token_stream)
    assert run.text_so_far == "Half of"
    assert run.finish_reason == "error"


def test_reading_with_a_timeout_leaves_the_run_going(scripted: Make) -> None:
    run = scripted(LONG, **SLOW).complete("Go on")
    with pytest.raises(TimeoutError, match="goes on"):
        run.result(timeout=0.05)
    assert not run.ended
    run.cancel()


@pytest.mark.parametrize(
    ("limit", "answer", "script"),
    [
        ("total", LONG, SLOW),
        ("step", LONG, SLOW),
        ("chunk", "a b", {"tokens_per_second": 2}),
    ],
)
def test_a_time_limit_ends_the_run_with_its_name(scripted: Make, limit: str, answer: str, script: dict) -> None:  # type: ignore[type-arg]
    """CONTRACT 43: total, step and chunk."""
    run = scripted(answer, **script).complete("Hi", timeout={limit: 0.2})
    with pytest.raises(lk.TimeoutError) as caught:
        run.result()
    assert caught.value.limit == limit
    assert run.status == "failed"


def test_prefill_does_not_count_against_the_chunk_limit(scripted: Make) -> None:
    """CONTRACT 43: prefill doesn't count against chunk."""
    session = scripted("Quick.", prompt_tokens_per_second=100)
    assert session.complete("word " * 30, timeout={"chunk": 0.1}).text == "Quick."


def test_reasoning_is_told_from_text(scripted: Make) -> None:
    """CONTRACT 45: reasoning has a stream of its own."""
    run = scripted("<think>The user greets me.</think>\n\nHello!").complete("Hi")
    assert run.reasoning == "The user greets me."
    assert run.text == "Hello!"
    assert "think" not in "".join(run.token_stream)
    assert run.usage.reasoning_tokens is not None
    assert run.usage.text_tokens is not None
    assert 0 < run.usage.reasoning_tokens < run.usage.reasoning_tokens + run.usage.text_tokens


def test_messages_are_ready_to_pass_on(scripted: Make) -> None:
    """CONTRACT 48: run.messages."""
    session = scripted(lambda prompt: str(prompt.count("<|user|>")))
    first = session.complete("One")
    second = session.complete([*first.messages, {"role": "user", "content": "Two"}])
    assert second.text == "2"
    assert [message.role for message in second.messages] == ["user", "assistant", "user", "assistant"]
    assert second.stats is not None
    assert second.stats.cache_tokens


def test_stats_are_none_when_profiling_is_off(scripted: Make) -> None:
    """CONTRACT 5, 6: profiling off, for the session and for a call."""
    session = scripted("Hi.", session={"profiling": False})
    assert session.complete("Hi").stats is None
    assert session.complete("Hi", profiling=True).stats is not None


def test_stats_know_each_time_on_its_own(scripted: Make) -> None:
    """CONTRACT 5: queue, prefill, decode; unknown is None, never 0."""
    stats = scripted("One two three four.", tokens_per_second=100).complete("Hi").stats
    assert stats is not None
    assert stats.prompt_tokens is not None
    assert stats.generated_tokens == 8 - 3
    assert stats.decode_time is not None
    assert stats.decode_time > 0.03
    assert stats.time_to_first_token is not None
    assert stats.time_to_first_token <= (stats.total_time or 0)
    assert stats.tool_time is None
    assert stats.approval_time is None
    assert stats.concurrency == 1
    assert stats.device == "cpu"


def test_a_seed_is_drawn_and_told(scripted: Make) -> None:
    """CONTRACT 42: same seed, same text; the drawn one can be used again."""
    session = scripted(lk.Answer(["a", "b", "c", "d", "e", "f", "g"]))
    first = session.complete("Pick")
    assert first.stats is not None
    assert session.complete("Pick", seed=first.stats.seed).text == first.text
    assert session.complete("Pick", temperature=0).text == "a"


def test_subscribers_see_every_event_and_cannot_break_the_run(scripted: Make, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Event] = []
    ended = threading.Event()

    def watch(event: Event) -> None:
        seen.append(event)
        if event.type == "finish":
            ended.set()
        raise ValueError("not my day")

    run = scripted("One two.").complete("Hi")
    run.subscribe(watch)
    assert run.text == "One two."
    assert ended.wait(5)
    assert [event.index for event in seen] == list(range(len(seen)))
    assert "not my day" in caplog.text


def test_tokens_are_a_frame_when_asked_for(scripted: Make) -> None:
    """CONTRACT 56: logprobs."""
    run = scripted("One two.").complete("Hi", logprobs=1)
    assert list(run.tokens["text"]) == ["One", " two", "."]
    assert str(run.tokens["logprob"].dtype) == "Float64"


def test_a_repr_is_worth_reading(scripted: Make) -> None:
    run = scripted("Fine.").complete("Hi")
    run.result()
    assert "done" in repr(run)
    assert "Fine." in repr(run)
    assert "tokens" in repr(run)
    assert str(run) == "Fine."


def test_events_are_json_with_nothing_lost(scripted: Make) -> None:
    import json

    run = scripted("One two.").complete("Hi", logprobs=1, metadata={"who": "me"})
    values = [event.to_dict() for event in run.events]
    again = json.loads(json.dumps(values))
    assert again == values
    assert again[0]["metadata"] == {"who": "me"}
    assert again[-1]["stats"]["generated_tokens"] == 3
