"""Truncation and penalties, against their definitions written out in numpy."""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmkit.engines.decoder import Sampling
from llmkit.engines.mlx_sampling import make_penalties, make_sampler, truncate


def logprobs(probabilities: list[float]) -> Any:
    array = mx.log(mx.array([probabilities]))
    return array - mx.logsumexp(array, axis=-1, keepdims=True)


def kept(sampling: Sampling, probabilities: list[float]) -> list[int]:
    row = np.array(truncate(logprobs(probabilities), sampling))[0]
    return [int(id_) for id_ in np.flatnonzero(row > -math.inf)]


def test_top_k_keeps_the_likeliest() -> None:
    assert kept(Sampling(top_k=2), [0.1, 0.4, 0.2, 0.3]) == [1, 3]


def test_top_k_beyond_the_vocabulary_keeps_all() -> None:
    assert kept(Sampling(top_k=99), [0.1, 0.4, 0.2, 0.3]) == [0, 1, 2, 3]


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    assert kept(Sampling(top_p=0.6), [0.1, 0.4, 0.2, 0.3]) == [1, 3]
    assert kept(Sampling(top_p=0.75), [0.1, 0.4, 0.2, 0.3]) == [1, 2, 3]


def test_top_p_always_keeps_the_likeliest() -> None:
    assert kept(Sampling(top_p=1e-6), [0.1, 0.4, 0.2, 0.3]) == [1]


def test_top_p_counts_what_top_k_left() -> None:
    # Of 0.4 and 0.3 alone, the first has 4/7 of the mass.
    assert kept(Sampling(top_k=2, top_p=0.55), [0.1, 0.4, 0.2, 0.3]) == [1]


def test_min_p_is_relative_to_the_likeliest() -> None:
    assert kept(Sampling(min_p=0.5), [0.1, 0.4, 0.2, 0.3]) == [1, 2, 3]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-20, 20), min_size=2, max_size=40), st.floats(0.01, 1), st.floats(0, 1), st.integers(0, 50))
def test_the_likeliest_token_is_never_left_out(logits: list[float], top_p: float, min_p: float, top_k: int) -> None:
    row = mx.array([logits]) - mx.logsumexp(mx.array([logits]), axis=-1, keepdims=True)
    left = np.array(truncate(row, Sampling(top_p=top_p, min_p=min_p, top_k=top_k)))[0]
    assert left[int(np.argmax(np.array(row)[0]))] > -math.inf


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), Sampling(temperature=1e-30), Sampling(1.0, top_k=1)])
def test_no_temperature_and_one_candidate_are_greedy(sampling: Sampling) -> None:
    """CONTRACT 42: temperature 0 is honoured."""
    assert make_sampler(sampling) is None


def test_the_same_seed_draws_the_same_tokens() -> None:
    """CONTRACT 42: same seed, same text."""
    row = logprobs([0.25] * 4)

    def draws(seed: int) -> list[int]:
        sampler = make_sampler(Sampling(temperature=1.0, seed=seed))
        assert sampler is not None
        return [sampler(row).item() for _ in range(20)]

    assert draws(7) == draws(7)
    assert draws(7) != draws(8)


def test_draws_follow_the_probabilities() -> None:
    sampler = make_sampler(Sampling(temperature=1.0, seed=1))
    assert sampler is not None
    drawn = [sampler(logprobs([0.8, 0.2])).item() for _ in range(400)]
    assert 0.1 < np.mean(drawn) < 0.3


def test_temperature_sharpens() -> None:
    sampler = make_sampler(Sampling(temperature=0.1, seed=1))
    assert sampler is not None
    assert {sampler(logprobs([0.8, 0.2])).item() for _ in range(50)} == {0}


def test_neutral_values_change_nothing_and_cost_nothing() -> None:
    assert make_penalties(Sampling()) == []


def apply(sampling: Sampling, contexts: list[list[int]], logits: list[float]) -> list[float]:
    """Return the logits after the last of a growing series of contexts."""
    (step,) = make_penalties(sampling)
    for context in contexts:
        changed = step(mx.array(context), mx.array([logits]))
    return [float(value) for value in np.array(changed)[0]]


def test_logit_bias_is_added() -> None:
    """CONTRACT 42: logit_bias."""
    assert apply(Sampling(logit_bias=((1, 5.0), (2, -100.0))), [[0]], [1, 1, 1]) == [1, 6, -99]


def test_repetition_divides_positive_and_multiplies_negative_logits_of_seen_tokens() -> None:
    """CONTRACT 42: repetition penalty, over prompt and output."""
    got = apply(Sampling(repetition_penalty=2.0), [[0], [0, 1]], [4.0, -4.0, 4.0])
    assert got == [2.0, -8.0, 4.0]


def test_presence_counts_once_and_frequency_each_time() -> None:
    """CONTRACT 42: presence and frequency penalties, over prompt and output."""
    contexts = [[0, 0], [0, 0, 1], [0, 0, 1, 0]]
    got = apply(Sampling(presence_penalty=1.0, frequency_penalty=0.25), contexts, [4.0, 4.0, 4.0])
    assert got == [2.25, 2.75, 4.0]
