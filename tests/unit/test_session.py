"""A session: what it takes, what it refuses, how it shares, how it ends."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk
from llmkit.events import StepStart

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., lk.Session]

LONG = "word " * 500
SLOW = {"tokens_per_second": 50}


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"top_p": 0}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"min_p": 2}, "min_p"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"stop": [""]}, "stop.0"),
        ({"seed": -1}, "seed"),
        ({"logit_bias": {5: 1000}}, "logit_bias.5"),
        ({"timeout": 0}, "timeout.total"),
        ({"timeout": {"chunks": 1}}, "timeout.chunks"),
        ({"temprature": 1}, "temprature"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(scripted: Make, settings: dict[str, Any], field: str) -> None:
    """CONTRACT 42: unknown or out-of-range settings name the field."""
    with pytest.raises(lk.ValidationError) as caught:
        scripted().complete("Hi", **settings)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "prompt",
    [
        [],
        [{"role": "wizard", "content": "x"}],
        [{"role": "user", "content": 5}],
        [5],
        [{"role": "user", "colour": "x"}],
    ],
)
def test_a_prompt_that_is_none_is_refused(scripted: Make, prompt: object) -> None:
    with pytest.raises(lk.ValidationError):
        scripted().complete(prompt)  # type: ignore[arg-type]


def test_a_prompt_longer_than_the_context_fails_with_both_lengths(scripted: Make) -> None:
    run = scripted("Hi.", context_length=50).complete("word " * 100)
    with pytest.raises(lk.ContextLengthError) as caught:
        run.result()
    assert caught.value.context_length == 50
    assert (caught.value.prompt_tokens or 0) > 50


def test_session_settings_hold_unless_a_call_says_otherwise(scripted: Make) -> None:
    """CONTRACT 42: merged settings; an omitted one keeps the session's value."""
    session = scripted("One two three.", session={"max_output_tokens": 2, "system": "Be brief."})
    run = session.complete("Hi")
    assert run.text == "One two"
    assert run.finish_reason == "length"
    assert run.messages[0].role == "system"
    assert session.complete("Hi", max_output_tokens=1).text == "One"
    assert session.complete("Hi", temperature=0).text == "One two"


def test_stop_sequences_are_never_in_the_text(scripted: Make) -> None:
    """CONTRACT 42: stop sequences, also split over tokens."""
    run = scripted("Alpha beta gamma delta").complete("Hi", stop="ta gam")
    assert run.text == "Alpha be"
    assert run.finish_reason == "stop"


def test_runs_beyond_the_limit_wait_in_order(scripted: Make) -> None:
    """CONTRACT 10: share up to a limit, then queue in order."""
    session = scripted(lambda prompt: "x " * 5, session={"concurrency": 1}, tokens_per_second=100)
    order: list[int] = []
    runs = [session.complete(str(number)) for number in range(4)]
    for number, run in enumerate(runs):

        def note(event: object, number: int = number) -> None:
            if isinstance(event, StepStart):
                order.append(number)

        run.subscribe(note)
    for run in runs:
        assert run.result()
    assert order == [0, 1, 2, 3]
    assert runs[3].stats is not None
    assert (runs[3].stats.queue_time or 0) > (runs[1].stats.queue_time or 0)  # type: ignore[union-attr]
    assert any(event.type == "queue" for event in runs[3].events)


def test_concurrency_is_what_ran_at_once(scripted: Make) -> None:
    """CONTRACT 5: concurrency."""
    session = scripted("x " * 20, session={"concurrency": 2}, tokens_per_second=100)
    runs = [session.complete("Hi") for _ in range(3)]
    assert max(run.stats.concurrency or 0 for run in runs if run.stats) == 2


def test_a_full_queue_is_a_clear_error(scripted: Make) -> None:
    """CONTRACT 10: a queue limit."""
    session = scripted(LONG, session={"concurrency": 1, "queue_limit": 1}, **SLOW)
    first, second, third = (session.complete("Hi") for _ in range(3))
    with pytest.raises(lk.QueueFull, match="queue_limit"):
        third.result()
    assert not first.ended
    assert not second.ended


def test_waiting_too_long_for_a_turn_is_a_clear_error(scripted: Make) -> None:
    """CONTRACT 10: a queue timeout."""
    session = scripted(LONG, session={"concurrency": 1, "queue_timeout": 0.1}, **SLOW)
    session.complete("Hi")
    with pytest.raises(lk.QueueTimeout, match="queue_timeout"):
        session.complete("Hi").result()


def test_a_run_cancelled_in_the_queue_never_decodes(scripted: Make) -> None:
    """CONTRACT 7: cancelled while queued."""
    session = scripted(LONG, session={"concurrency": 1}, **SLOW)
    first = session.complete("Hi")
    queued = session.complete("Hi")
    queued.cancel()
    assert queued.finish_reason == "cancelled"
    assert not any(event.type in {"step-start", "text-delta"} for event in queued.events)
    assert not first.ended


def test_session_cancel_goes_by_id_by_model_or_for_all(scripted: Make) -> None:
    """CONTRACT 7: session.cancel(run_id | model=…)."""
    session = scripted(LONG, **SLOW)
    runs = [session.complete("Hi") for _ in range(3)]
    assert session.cancel(runs[0].id) == 1
    assert runs[0].finish_reason == "cancelled"
    assert not runs[1].ended
    assert session.cancel("no such run") == 0
    assert session.cancel(model="scripted") == 2
    assert session.cancel() == 0


def test_close_ends_runs_and_is_idempotent_from_any_thread(scripted: Make) -> None:
    """CONTRACT 8: close ends runs, frees everything, no-op the second time."""
    session = scripted(LONG, **SLOW)
    run = session.complete("Hi")
    thread = threading.Thread(target=session.close)
    thread.start()
    session.close()
    thread.join()
    assert run.finish_reason == "cancelled"
    assert session.closed
    assert "closed" in repr(session)
    with pytest.raises(lk.SessionClosed):
        session.complete("Hi")


def test_a_session_is_a_context_manager() -> None:
    with lk.Session(engine=lk.Scripted(["Hi."]), show=False, ledger=None) as session:
        assert session.complete("Hi").text == "Hi."
    assert session.closed


def test_unload_frees_the_model_and_the_next_run_loads_it_anew(scripted: Make) -> None:
    """CONTRACT 8: unload frees the memory."""
    session = scripted("Hi.")
    session.load()
    assert session.models.loc[0, "state"] == "ready"
    session.unload()
    assert session.models.loc[0, "state"] == "new"
    assert session.complete("Hi").text == "Hi."


def test_load_reports_and_returns_what_is_known(scripted: Make) -> None:
    """CONTRACT 8: session.load(model)."""
    info = scripted("Hi.").load()
    assert info.engine == "scripted"
    assert info.context_length == 4096


def test_models_tells_engine_and_reason(scripted: Make) -> None:
    session = scripted("Hi.")
    session.load()
    row = session.models.iloc[0]
    assert row["engine"] == "scripted"
    assert "script" in row["reason"]
    assert "scripted" in repr(session)


def test_runs_are_rows(scripted: Make) -> None:
    """CONTRACT 6 and the ledger: a row a run, unknown is NA."""
    session = scripted("One two.", "Three.")
    session.complete("Hi").result()
    session.complete("Ho", profiling=False).result()
    runs = session.runs
    assert list(runs["text"]) == ["One two.", "Three."]
    assert list(runs["status"]) == ["done", "done"]
    assert runs["generated_tokens"].isna().tolist() == [False, True]
    assert session.profile.loc["generated_tokens", "count"] == 1


@pytest.mark.parametrize("values", [{"concurrency": 0}, {"context_length": -5}, {"queue_timeout": 0}])
def test_an_impossible_session_is_refused(scripted: Make, values: dict[str, object]) -> None:
    with pytest.raises(lk.ValidationError) as caught:
        scripted("Hi.", session=values)
    assert caught.value.field == next(iter(values))


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(lk.ValidationError, match="llamacpp"):
        lk.Session(engine="warp", ledger=None)  # type: ignore[arg-type]


def test_many_runs_at_once_lose_no_event(scripted: Make) -> None:
    session = scripted(lambda prompt: f"answer to {len(prompt)}", session={"concurrency": 50}, slots=50)
    runs = [session.complete("x" * number) for number in range(1, 51)]
    for run in runs:
        assert run.text.startswith("answer to ")
        assert "".join(run.token_stream) == run.text
        indices = [event.index for event in run.events]
        assert indices == list(range(len(indices)))
    gc.collect()
    assert "0 running" in repr(session)
