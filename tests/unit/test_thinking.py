"""The reasoning budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import llmkit as lk

    Make = Callable[..., lk.Session]

THOUGHT = "<think>" + "hm " * 200


def test_the_reasoning_ends_with_its_budget_and_the_answer_follows(scripted: Make) -> None:
    """CONTRACT 42: reasoning budget."""
    run = scripted(THOUGHT, "The answer.", tokens_per_second=500).complete("Why?", reasoning_budget=10)
    assert run.text == "The answer."
    assert run.reasoning.startswith("hm hm")
    assert len(run.reasoning) < len(THOUGHT) / 2
    assert run.finish_reason == "stop"
    assert run.usage.output_tokens is not None
    assert run.usage.reasoning_tokens is not None
    assert 10 <= run.usage.reasoning_tokens < run.usage.output_tokens


def test_reasoning_within_its_budget_is_left_alone(scripted: Make) -> None:
    """CONTRACT 42: reasoning budget."""
    run = scripted("<think>Easy.</think>Yes.").complete("Why?", reasoning_budget=50)
    assert (run.reasoning, run.text) == ("Easy.", "Yes.")


def test_a_run_over_budget_can_still_be_cancelled(scripted: Make) -> None:
    """CONTRACT 7: a cancel holds in the second part too."""
    run = scripted(THOUGHT, "word " * 500, tokens_per_second=200).complete("Why?", reasoning_budget=5)
    for _ in run.token_stream:
        run.cancel()
        break
    assert run.finish_reason == "cancelled"


def test_a_switch_the_model_lacks_is_a_warning(scripted: Make) -> None:
    """CONTRACT 42: reasoning on/off reaches the template."""
    run = scripted("Hi.").complete("Hi", reasoning=False)
    assert run.steps[0].warnings == ()
