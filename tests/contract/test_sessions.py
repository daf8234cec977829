"""What a session does on every engine, with real weights: the whole way from messages to settled values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import llmkit as lk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.results import Stats


def story(prompt: str) -> str:
    return f"It has {len(prompt)} letters, all told. " * 20


@pytest.fixture(scope="module", params=["scripted", "llamacpp", "mlx"])
def session(request: pytest.FixtureRequest) -> Iterator[lk.Session]:
    engine = lk.Scripted([story], tokens_per_second=500) if request.param == "scripted" else request.param
    with lk.Session(
        engine=engine, show=False, ledger=None, temperature=0, max_output_tokens=8, context_length=2048, concurrency=4
    ) as session:
        session.load()
        yield session


def stats_of(run: lk.Run) -> Stats:
    assert run.stats is not None
    return run.stats


def test_a_run_settles_with_text_usage_and_stats(session: lk.Session) -> None:
    """CONTRACT 3, 5, 47: values, usage and stats of a real answer."""
    run = session.complete("What is the capital of France?")
    assert run.text
    assert "".join(run.token_stream) == run.text
    assert run.finish_reason in {"stop", "length"}
    assert run.usage.input_tokens == stats_of(run).prompt_tokens
    assert run.usage.total_tokens == (run.usage.input_tokens or 0) + (run.usage.output_tokens or 0)
    assert run.total_usage.requests == 1
    assert stats_of(run).tokens_per_second is not None
    assert stats_of(run).time_to_first_token is not None


def test_the_next_turn_reuses_the_conversation(session: lk.Session) -> None:
    """CONTRACT 9, 48: the answer's own tokens are in the cache for the next turn."""
    first = session.complete("Tell me about rivers and lakes, and about the fish that live in them.")
    follow_up = session.complete([*first.messages, {"role": "user", "content": "Go on."}])
    cached = stats_of(follow_up).cache_tokens
    assert cached is not None
    assert cached >= (stats_of(first).prompt_tokens or 0) - 1


def test_a_run_asked_again_says_the_same_and_a_table_is_mapped_once(session: lk.Session) -> None:
    """CONTRACT 42: same seed, same text, whatever else is running; so what the ledger has needn't be decoded again."""
    table = ["apples", "stones"]
    job = session.map(table, "Say something about {value}.", temperature=0.9, max_output_tokens=4)
    run = session.complete("Say something about rivers.", temperature=0.9, max_output_tokens=4)
    replay = run.replay()
    assert replay.same, str(replay)
    assert replay.now.build == replay.original.build != ""
    assert job.frame["error"].isna().all()
    again = session.map(table, "Say something about {value}.", temperature=0.9, max_output_tokens=4).frame
    assert again["text"].tolist() == job.frame["text"].tolist()
    assert again["source"].tolist() == ["ledger", "ledger"]


def test_a_cancel_leaves_the_session_usable(session: lk.Session) -> None:
    """CONTRACT 7: cancelled within a token, and the next run is sound."""
    before = session.complete("Name a colour.").text
    run = session.complete("Count from one to one hundred.", max_output_tokens=200)
    for _ in run.token_stream:
        run.cancel()
        break
    with pytest.raises(lk.RunCancelled) as caught:
        run.result()
    assert caught.value.text
    assert session.complete("Name a colour.").text == before


def test_several_runs_at_once_say_what_they_say_alone(session: lk.Session) -> None:
    """CONTRACT 10, 42: company changes nothing."""
    prompts = ["Name a colour.", "Name a fish.", "Name a river."]
    alone = [session.complete(prompt, max_output_tokens=4).text for prompt in prompts]
    runs = [session.complete(prompt, max_output_tokens=4) for prompt in prompts]
    assert [run.text for run in runs] == alone


def test_a_prompt_beyond_the_context_is_refused_with_both_lengths(session: lk.Session) -> None:
    if session.models.loc[0, "engine"] == "scripted":
        return
    with pytest.raises(lk.ContextLengthError, match="context") as caught:
        session.complete("fish " * 3000).result()
    assert caught.value.context_length == 2048
    assert (caught.value.prompt_tokens or 0) > 2048


def test_logprobs_become_a_frame(session: lk.Session) -> None:
    """CONTRACT 56: a row a token."""
    frame = session.complete("Name a colour.", logprobs=2, max_output_tokens=3).tokens
    assert len(frame) == 3
    assert (frame["logprob"] <= 1e-4).all()


def test_a_long_prompt_gives_the_same_text_cold_warm_and_in_company() -> None:
    """CONTRACT 42: same seed, same text, whatever else is running; llama.cpp, 700 tokens, where rounding shows."""
    prompt = "Go on: " + " ".join(f"{number} little fish swam by." for number in range(100))
    settings: dict[str, Any] = {"seed": 5, "temperature": 1.0, "max_output_tokens": 24, "logprobs": 0}
    with lk.Session(engine="llamacpp", show=False, ledger=None, context_length=2048, concurrency=4) as session:
        cold = session.complete(prompt, **settings)
        tokens = cold.tokens
        assert (cold.usage.input_tokens or 0) > 600
        warm = session.complete(prompt, **settings)
        assert stats_of(warm).cache_tokens
        company = [session.complete(f"{number}: tell a story.", max_output_tokens=60) for number in range(3)]
        together = session.complete(prompt, **settings)
        assert all(run.result() for run in company)
        for run in (warm, together):
            assert run.text == cold.text
            assert run.tokens["logprob"].tolist() == tokens["logprob"].tolist()
