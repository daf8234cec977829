"""Which pairs of answers are judged, in which order, and which of the two is seen first."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping


@dataclass(frozen=True, slots=True)
class Pair:
    """Two cells to choose between.

    Parameters
    ----------
    a, b : int
        The cells' indices, in the order of the factor's levels.
    first : {"a", "b"}
        Which of them is seen first, on the left.
    """

    a: int
    b: int
    first: Literal["a", "b"]

    @property
    def cells(self) -> frozenset[int]:
        """Both indices."""
        return frozenset({self.a, self.b})


def pairs(
    places: Mapping[int, Mapping[str, Hashable]],
    factor: str,
    *,
    seed: int | str = 0,
    judged: Collection[frozenset[int]] = (),
) -> list[Pair]:
    """Return every pair of levels of a factor once for each combination of the other factors' levels.

    Parameters
    ----------
    places : mapping
        The cells that can be judged: index → factor → level. Without a partner a cell is left out.
    factor : str
        What to judge; all others are the same within a pair.
    seed : int or str
        For the order of the pairs, and of the two in each: the same seed gives the same.
    judged : collection of frozenset of int
        Pairs that were judged before come last.

    Returns
    -------
    list of Pair

    Examples
    --------
    >>> pairs({0: {"model": "x"}, 1: {"model": "y"}}, "model", seed=1)
    [Pair(a=0, b=1, first='a')]
    """
    matched: dict[frozenset[tuple[str, Hashable]], list[int]] = {}
    for index, place in sorted(places.items()):
        others = frozenset(item for item in place.items() if item[0] != factor)
        matched.setdefault(others, []).append(index)
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    found = [
        Pair(a, b, chance.choice(("a", "b")))
        for group in matched.values()
        for a, b in itertools.combinations(group, 2)
        if places[a][factor] != places[b][factor]
    ]
    chance.shuffle(found)
    return sorted(found, key=lambda pair: pair.cells in judged)
