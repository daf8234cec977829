"""Votes add up to strengths that are those they were cast with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.errors import ValidationError
from llmkit.judging.ranking import ranking

if TYPE_CHECKING:
    from collections.abc import Callable


def cast(strengths: list[float], ties: float, count: int, seed: int) -> pd.DataFrame:
    """Return votes as Davidson's model casts them."""
    chance = np.random.default_rng(seed)
    first = chance.integers(0, len(strengths), count)
    second = (first + chance.integers(1, len(strengths), count)) % len(strengths)
    theta = np.array(strengths)
    weights = np.stack([np.exp(theta[first]), np.exp(theta[second]), ties * np.exp((theta[first] + theta[second]) / 2)])
    drawn = (chance.random(count) * weights.sum(axis=0) > weights.cumsum(axis=0)).sum(axis=0)
    labels = np.array([f"m{at}" for at in range(len(strengths))], dtype=object)
    verdicts = np.array(["a", "b", "tie"], dtype=object)[drawn]
    return pd.DataFrame({"a_label": labels[first], "b_label": labels[second], "verdict": verdicts})


def of(frame: pd.DataFrame, label: str, column: str) -> float:
    return float(frame[column].to_dict()[label])


def votes(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["a_label", "b_label", "verdict"], dtype=object)


@pytest.mark.parametrize("ties", [0.0, 0.6, 4.0])
def test_strengths_come_out_as_they_were_put_in(ties: float) -> None:
    strengths = np.array([1.5, 0.5, -0.2, -1.8])
    frame = ranking(cast(list(strengths), ties, 20_000, seed=1))
    assert list(frame.index) == ["m0", "m1", "m2", "m3"]
    assert frame["strength"].to_numpy(float) == pytest.approx(strengths - strengths.mean(), abs=0.12)


def test_intervals_hold_the_true_strength_as_often_as_they_say() -> None:
    strengths = np.array([1.0, 0.2, -0.3, -0.9])
    held = []
    for seed in range(150):
        frame = ranking(cast(list(strengths), 0.5, 150, seed)).loc[["m0", "m1", "m2", "m3"]]
        low, high = frame["low"].to_numpy(float), frame["high"].to_numpy(float)
        held.append((low <= strengths - strengths.mean()) & (strengths - strengths.mean() <= high))
    assert 0.92 <= np.mean(held) <= 0.98


def test_two_labels_come_out_as_by_hand() -> None:
    """With a wide prior the difference is log(wins ÷ losses), and ν is ties ÷ √(wins · losses): Davidson 1970."""
    cast_by_hand = votes(*[("x", "y", "a")] * 40, *[("y", "x", "a")] * 10, *[("x", "y", "tie")] * 20)
    frame = ranking(cast_by_hand, prior=1000.0)
    assert of(frame, "x", "strength") - of(frame, "y", "strength") == pytest.approx(np.log(4), abs=1e-4)
    assert of(frame, "x", "win_rate") == pytest.approx(50 / 70, abs=1e-4)
    assert [of(frame, "x", name) for name in ("votes", "wins", "losses", "ties")] == [70, 40, 10, 20]
    error = np.sqrt(1 / 40 + 1 / 10) / 2  # of log(wins ÷ losses), and each is half of it from the average
    assert of(frame, "x", "high") - of(frame, "x", "strength") == pytest.approx(1.96 * error, rel=0.01)


ROWS = st.lists(
    st.tuples(st.sampled_from("pqrs"), st.sampled_from("pqrs"), st.sampled_from(["a", "b", "tie", None])), max_size=25
)


@given(ROWS)
def test_any_votes_give_a_finite_ranking_that_doesnt_depend_on_sides(rows: list[tuple[str, str, str]]) -> None:
    """Undefeated labels, groups that nothing connects, ties alone, no votes at all."""
    frame = ranking(votes(*rows))
    counted = [row for row in rows if row[0] != row[1] and row[2] is not None]
    assert set(frame.index) == {label for row in counted for label in row[:2]}
    numbers = frame[["strength", "low", "high", "win_rate"]].to_numpy(float)
    assert np.isfinite(numbers).all()
    assert (frame["low"] < frame["strength"]).all()
    assert (frame["strength"] < frame["high"]).all()
    assert frame["win_rate"].between(0, 1).all()
    assert frame["strength"].sum() == pytest.approx(0, abs=1e-6)
    assert frame["votes"].sum() == 2 * len(counted)
    assert frame["wins"].sum() == frame["losses"].sum()
    turned = [(b, a, {"a": "b", "b": "a"}.get(verdict, verdict)) for a, b, verdict in reversed(rows)]
    again = ranking(votes(*turned)).loc[frame.index]
    assert again.to_numpy(float) == pytest.approx(frame.to_numpy(float), abs=1e-6)


def test_one_that_always_won_is_first_and_uncertain() -> None:
    frame = ranking(votes(*[("best", "mid", "a")] * 5, *[("mid", "last", "a"), ("last", "mid", "a")] * 3))
    assert frame.index[0] == "best"
    widths = frame["high"] - frame["low"]
    assert widths["best"] > widths["mid"]


def test_cells_can_be_ranked_by_another_label() -> None:
    """A factor's levels in place of the cells; others aren't counted."""
    frame = pd.DataFrame({"a_cell": [0, 2, 0, 9], "b_cell": [1, 3, 2, 1], "verdict": ["a", "a", "b", "a"]})
    ranked = ranking(frame, {0: "small", 1: "large", 2: "small", 3: "large"})
    assert [of(ranked, "small", name) for name in ("votes", "wins")] == [2, 2]
    assert ranked["votes"].sum() == 4


def test_what_cant_be_ranked_is_named() -> None:
    cases: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: ranking(votes(("x", "y", "maybe"))), "verdict"),
        (lambda: ranking(votes().drop(columns="a_label")), "a_label"),
        (lambda: ranking(votes(), {}), "a_cell"),
        (lambda: ranking(votes(), prior=0), "prior"),
        (lambda: ranking(votes(), confidence=95), "confidence"),
    )
    for wrong, field in cases:
        with pytest.raises(ValidationError) as caught:
            wrong()
        assert caught.value.field == field
