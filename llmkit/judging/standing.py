"""Which votes on a comparison count: those on the answers that are there now, and of each judge the last word."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from llmkit.comparing.cell import Cell

REPEAT = "repeat"
"""The factor that tells answers to the same question apart."""


def standing(votes: pd.DataFrame, renewed: Mapping[int, float]) -> pd.DataFrame:
    """Return the votes that still hold.

    A judge who is asked about two cells again, with the same question, has changed their mind; a vote on a cell that
    was asked again since was about another answer.

    Parameters
    ----------
    votes : DataFrame
        As ``comparison.votes`` has them.
    renewed : mapping of int to float
        Cell → Unix time in seconds at which it was last asked again.

    Returns
    -------
    DataFrame
        Rows of ``votes``, in their order.
    """
    import pandas as pd

    when = votes["created"].astype("int64") / 1e9
    since = pd.concat([votes[side].map(dict(renewed)) for side in ("a_cell", "b_cell")], axis=1).max(axis=1)
    held = votes[~(when < since.astype("float64"))]
    two = held[["a_cell", "b_cell"]]
    said = held[["judge", "question"]].assign(one=two.min(axis=1), other=two.max(axis=1))
    return held[~said.duplicated(keep="last")]


def matched(votes: pd.DataFrame, cells: Sequence[Cell], factor: str) -> pd.DataFrame:
    """Return the votes on cells that differ in ``factor`` alone, or besides in which repeat they are."""
    others = [tuple(label for name, label in cell.labels.items() if name not in {factor, REPEAT}) for cell in cells]
    alike = [others[a] == others[b] for a, b in zip(votes["a_cell"], votes["b_cell"], strict=True)]
    return votes[alike]
