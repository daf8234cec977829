from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmkit.judging.pairs import pairs

PLACES = {
    index: {"model": model, "topic": topic}
    for index, (topic, model) in enumerate((topic, model) for topic in range(3) for model in range(4))
}


@given(st.integers())
def test_every_pair_of_levels_comes_once_for_each_combination_of_the_others(seed: int) -> None:
    found = pairs(PLACES, "model", seed=seed)
    assert len(found) == len({pair.cells for pair in found}) == 3 * 6
    assert all(PLACES[pair.a]["topic"] == PLACES[pair.b]["topic"] for pair in found)
    assert all(PLACES[pair.a]["model"] < PLACES[pair.b]["model"] for pair in found)
    assert found == pairs(PLACES, "model", seed=seed)


def test_the_order_and_the_sides_are_shuffled() -> None:
    found = pairs(PLACES, "model", seed="a")
    assert found != sorted(found, key=lambda pair: (pair.a, pair.b))
    assert {pair.first for pair in found} == {"a", "b"}
    assert found != pairs(PLACES, "model", seed="b")


def test_what_was_judged_comes_last_and_a_cell_without_a_partner_is_left_out() -> None:
    places = {index: PLACES[index] for index in (0, 1, 2, 4)}
    found = pairs(places, "model", seed=1)
    judged = {found[0].cells}
    assert pairs(places, "model", seed=1, judged=judged) == [*found[1:], found[0]]
    assert {index for pair in found for index in pair.cells} == {0, 1, 2}
