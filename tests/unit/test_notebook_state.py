from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import events
from llmkit.notebook.run_state import Change, RunState
from tests.unit.notebook_runs import FakeRun


def followed(run: FakeRun) -> RunState:
    state = RunState(run.id)
    run.subscribe(state.take)
    return state


def test_a_run_goes_through_its_phases_and_leaves_nothing_of_the_last_one() -> None:
    run = FakeRun()
    state = followed(run)
    run.start(note="MLX is slow here.")
    assert state.to_dict()["status"] == "starting"
    run.emit(events.Load, stage="fetch", downloaded=5, total=10, percentage=50.0, file="a.gguf")
    assert state.to_dict()["load"] == {"stage": "fetch", "percentage": 50.0, "file": "a.gguf"}
    run.emit(events.Queue, position=2)
    assert (state.to_dict()["status"], state.to_dict()["queue_position"], state.to_dict()["load"]) == (
        "queued",
        2,
        None,
    )
    run.emit(events.StepStart, step=0)
    run.emit(events.Prefill, step=0, done=10, total=20, cached=4)
    assert state.to_dict()["prefill"] == {"done": 10, "total": 20, "cached": 4}
    run.text("Hello")
    assert (state.to_dict()["status"], state.to_dict()["prefill"]) == ("decoding", None)
    run.finish("Hello")
    final = state.to_dict()
    assert (final["status"], final["finish_reason"], final["text"]) == ("done", "stop", "Hello")
    assert (final["model"], final["engine"], final["note"]) == ("SmolLM2", "llamacpp", "MLX is slow here.")


def test_stats_are_there_at_the_end_in_numbers_and_words() -> None:
    run = FakeRun()
    state = followed(run)
    run.answer("Hello")
    stats = state.to_dict()["stats"]
    assert (stats["prompt_tokens"], stats["cache_tokens"], stats["generated_tokens"]) == (20, 8, 12)
    assert stats["tokens_per_second"] == pytest.approx(80.0)
    assert "12 tokens · 80.0 tokens/s" in stats["summary"]


def test_stats_stay_none_when_profiling_is_off() -> None:
    """CONTRACT 5: `stats` is `None` when profiling is off."""
    run = FakeRun()
    state = followed(run)
    run.start()
    run.finish("a", stats=None)
    assert state.to_dict()["stats"] is None


def test_a_failed_run_says_what_went_wrong() -> None:
    run = FakeRun()
    state = followed(run)
    run.fail("No memory left.")
    assert state.to_dict()["status"] == "error"
    assert state.to_dict()["error"] == {"kind": "EngineError", "code": "server_error", "message": "No memory left."}


def test_a_cancelled_run_keeps_what_came() -> None:
    run = FakeRun()
    state = followed(run)
    run.text("Hel")
    run.abort("Hel")
    assert (state.to_dict()["status"], state.text, state.is_over) == ("cancelled", "Hel", True)


def test_a_run_that_does_not_stream_shows_its_text_at_the_end() -> None:
    """CONTRACT 4: `stream=False`: the settled values and `events` still work."""
    run = FakeRun()
    state = followed(run)
    run.start()
    run.emit(events.StepStart, step=0)
    run.finish("Hello", reasoning="Hm.")
    assert (state.text, state.reasoning) == ("Hello", "Hm.")


def test_the_texts_of_several_steps_are_paragraphs() -> None:
    run = FakeRun()
    state = followed(run)
    for step in (0, 1):
        run.emit(events.StepStart, step=step)
        run.emit(events.ReasoningStart, step=step)
        run.emit(events.ReasoningDelta, step=step, text=f"thought {step}")
        run.emit(events.TextStart, step=step)
        run.emit(events.TextDelta, step=step, text=f"step {step}")
    run.finish("step 1")
    assert (state.text, state.reasoning) == ("step 0\n\nstep 1", "thought 0\n\nthought 1")


def test_the_rate_counts_pieces_over_time_and_changes_seldom() -> None:
    run = FakeRun()
    state = followed(run)
    rates = []
    for index in range(101):
        run.emit(events.TextDelta, step=0, text="a", time=1000 + index / 50)
        rates.append(state.to_dict()["rate"])
    assert rates[10] is None
    assert set(rates[30:]) == {50.0}


def test_an_event_that_changes_nothing_gives_an_empty_change() -> None:
    state = RunState("run-1")
    queued = events.Queue(index=0, position=1)
    assert state.take(queued)
    assert not state.take(queued)
    assert not state.take(events.TextEnd(index=1, step=0))


KINDS: dict[str, Any] = {
    "text": lambda text: (events.TextDelta, {"step": 0, "text": text}),
    "reasoning": lambda text: (events.ReasoningDelta, {"step": 0, "text": text}),
    "text-start": lambda _: (events.TextStart, {"step": 0}),
    "step": lambda _: (events.StepStart, {"step": 0}),
    "queue": lambda text: (events.Queue, {"position": len(text)}),
}


@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.text())))
def test_the_changes_add_up_to_the_state(script: list[tuple[str, str]]) -> None:
    run = FakeRun()
    state = RunState(run.id)
    copy: dict[str, Any] = json.loads(json.dumps(state.to_dict()))
    pending = Change()
    run.subscribe(lambda event: pending.add(state.take(event)))
    for kind, text in script:
        event, fields = KINDS[kind](text)
        run.emit(event, **fields)
    run.finish("the end")
    copy |= pending.set
    copy["text"] += pending.text
    copy["reasoning"] += pending.reasoning
    assert copy == state.to_dict()
