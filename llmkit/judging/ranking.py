"""What votes on pairs add up to: a strength for each label, with an interval.

The model is Bradley and Terry's (1952) with Davidson's ties (1970, "On extending the Bradley-Terry model to accommodate
ties in paired comparison experiments", JASA 65, 317-328): with strengths θ in log-odds and a common ν for ties,

    P(a wins) : P(b wins) : P(tie) = exp θa : exp θb : ν · exp((θa + θb) / 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[np.float64]
    Indices: TypeAlias = NDArray[np.intp]

_VERDICTS = ("a", "b", "tie")
_FEATURES = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 1.0]])
"""What a win, a loss and a tie say of (θa, θb, log ν)."""

_MOST_STEPS = 100
_PRECISION = 1e-9


def ranking(
    votes: pd.DataFrame,
    labels: Mapping[int, Hashable] | None = None,
    *,
    prior: float = 3.0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return the labels that were voted on, the strongest first.

    A normal distribution around 0 stands before the votes, the same for each label. It keeps the strength finite of one
    that always won or always lost, and sets two groups side by side that no vote connects; both show as wide intervals.
    From about ten votes a label on it hardly moves anything else.

    Parameters
    ----------
    votes : DataFrame
        A row a vote: ``a_label``, ``b_label`` and ``verdict`` (``"a"``, ``"b"`` or ``"tie"``), as ``session.votes`` has
        them. A vote without a verdict, or on two of the same label, says nothing and isn't counted.
    labels : mapping, optional
        Cell → label, such as the level of one factor: then ``a_cell`` and ``b_cell`` say what was voted on. Votes on
        other cells aren't counted.
    prior : float
        The standard deviation of that normal distribution, in log-odds: 3 holds it for unlikely, though not impossible,
        that one label beats the average one in more than 19 of 20 cases.
    confidence : float
        What part of the intervals should hold the true strength.

    Returns
    -------
    DataFrame
        The index is the label. ``strength``: log-odds against the average label; the difference of two is the log-odds
        of the one against the other where there is no tie. ``low`` and ``high``: its interval, from the observed
        information. ``win_rate``: the expected part of votes won against all others, a tie counting half. ``votes``,
        ``wins``, ``losses``, ``ties``: counts.

    Raises
    ------
    ValidationError
        For a missing column, a verdict that is none, or a prior or confidence out of range; names it.

    Examples
    --------
    >>> import pandas as pd
    >>> votes = pd.DataFrame({"a_label": ["x"] * 9, "b_label": ["y"] * 9, "verdict": ["a"] * 6 + ["tie"] * 2 + ["b"]})
    >>> list(ranking(votes).index)
    ['x', 'y']
    """
    if not prior > 0 or not np.isfinite(prior):
        raise ValidationError(f"prior is a standard deviation above 0, not {prior!r}.", field="prior")
    if not 0 < confidence < 1:
        raise ValidationError(f"confidence is between 0 and 1, not {confidence!r}.", field="confidence")
    tally = _tally(votes, labels)
    fit = _Fit(tally, prior)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * fit.errors
    return _frame(tally, fit, half)


@dataclass(frozen=True, slots=True)
class _Tally:
    """The votes: ``pairs`` of indices of ``labels``, and how often the first won, the second, and neither."""

    labels: tuple[Hashable, ...]
    pairs: Indices
    counts: Numbers

    def total(self, of_first: int, of_second: int) -> Indices:
        """Return a number a label: what is counted of pairs in which it is first, and in which it is second."""
        total = np.zeros(len(self.labels))
        np.add.at(total, self.pairs[:, 0], self.counts[:, of_first])
        np.add.at(total, self.pairs[:, 1], self.counts[:, of_second])
        return total.astype(np.intp)


def _tally(votes: pd.DataFrame, labels: Mapping[int, Hashable] | None) -> _Tally:
    import pandas as pd

    sides = ("a_label", "b_label") if labels is None else ("a_cell", "b_cell")
    for name in (*sides, "verdict"):
        if name not in votes:
            raise ValidationError(f"The votes have no column {name!r}.", field=name)
    first, second = (votes[name] if labels is None else votes[name].map(dict(labels)) for name in sides)
    verdicts = votes["verdict"].astype(object)
    unknown = set(verdicts[verdicts.notna()]) - set(_VERDICTS)
    if unknown:
        raise ValidationError(f"A verdict is 'a', 'b' or 'tie', not {min(unknown, key=repr)!r}.", field="verdict")
    first, second = first.astype(object), second.astype(object)
    counted = first.notna() & second.notna() & verdicts.notna() & (first != second)
    codes, names = pd.factorize(pd.concat([first[counted], second[counted]], ignore_index=True))
    sides_of = np.asarray(codes, dtype=np.intp).reshape(2, -1).T
    kinds = verdicts[counted].map({name: at for at, name in enumerate(_VERDICTS)}).to_numpy(dtype=np.intp)
    pairs, place = np.unique(sides_of, axis=0, return_inverse=True)
    counts = np.zeros((len(pairs), 3))
    np.add.at(counts, (place.reshape(-1), kinds), 1)
    return _Tally(tuple(names), pairs.reshape(-1, 2), counts)


class _Fit:
    """The likeliest strengths, by Newton's method; the posterior is concave, so there is one maximum.

    Parameters
    ----------
    tally : _Tally
        The votes.
    prior : float
        The standard deviation of the strengths and of log ν beforehand.
    """

    def __init__(self, tally: _Tally, prior: float) -> None:
        self._tally = tally
        self._precision = prior**-2
        self._count = len(tally.labels)
        ties = bool(tally.counts[:, 2].any())
        self._kinds = 3 if ties else 2  # without a tie ν is 0
        columns = [tally.pairs, np.full((len(tally.pairs), 1), self._count)] if ties else [tally.pairs]
        self._places = np.concatenate(columns, axis=1)
        self._features = _FEATURES[: self._kinds, : self._kinds]
        self._solve()

    def _solve(self) -> None:
        at = np.zeros(self._count + (self._kinds == 3))
        value, gradient, information = self._derived(at)
        for _ in range(_MOST_STEPS):
            step = np.linalg.solve(information, gradient)
            scale = 1.0
            while (better := self._derived(at + scale * step))[0] < value and scale > _PRECISION:
                scale /= 2
            at = at + scale * step
            value, gradient, information = better
            if np.abs(scale * step).max(initial=0.0) < _PRECISION:
                break
        centre = np.eye(self._count) - 1 / max(1, self._count)  # the average is 0 by definition, not by measurement
        spread = np.linalg.inv(information)[: self._count, : self._count]
        self.strengths: Numbers = at[: self._count]
        self.errors: Numbers = np.sqrt(np.clip(np.diag(centre @ spread @ centre), 0, None))
        self._tie = at[-1] if self._kinds == 3 else -np.inf

    def _derived(self, at: Numbers) -> tuple[float, Numbers, Numbers]:
        """Return the logarithm of the posterior, its gradient, and the observed information."""
        counts = self._tally.counts[:, : self._kinds]
        logits = at[self._places] @ self._features.T
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        norms = shares.sum(axis=1, keepdims=True)
        shares /= norms
        value = float((counts * (logits - np.log(norms))).sum() - self._precision * (at @ at) / 2)
        totals = counts.sum(axis=1)
        means = shares @ self._features
        gradient = -self._precision * at
        np.add.at(gradient, self._places, counts @ self._features - totals[:, None] * means)
        local = np.einsum("pk,ka,kb->pab", shares, self._features, self._features) - means[:, :, None] * means[:, None]
        information = self._precision * np.eye(len(at))
        np.add.at(information, (self._places[:, :, None], self._places[:, None]), totals[:, None, None] * local)
        return value, gradient, information

    def win_rates(self) -> Numbers:
        """Return each label's expected part of the votes against all others; a tie counts half."""
        lead = self.strengths[:, None] - self.strengths
        tie = np.exp(self._tie)
        # The weights of win, loss and tie, divided by that of a tie without ν.
        win, loss = np.exp(np.clip(lead / 2, -300, 300)), np.exp(np.clip(-lead / 2, -300, 300))
        expected = (win + tie / 2) / (win + loss + tie)
        np.fill_diagonal(expected, 0.0)
        rates: Numbers = expected.sum(axis=1) / max(1, self._count - 1)
        return rates


def _frame(tally: _Tally, fit: _Fit, half: Numbers) -> pd.DataFrame:
    import pandas as pd

    wins, losses, ties = tally.total(0, 1), tally.total(1, 0), tally.total(2, 2)
    columns: dict[str, Any] = {
        "strength": fit.strengths,
        "low": fit.strengths - half,
        "high": fit.strengths + half,
        "win_rate": fit.win_rates(),
        "votes": wins + losses + ties,
        "wins": wins,
        "losses": losses,
        "ties": ties,
    }
    kinds = {name: "Float64" if column.dtype == np.float64 else "Int64" for name, column in columns.items()}
    frame = pd.DataFrame(columns, index=pd.Index(tally.labels, name="label", dtype=object)).astype(kinds)
    return frame.sort_values("strength", ascending=False, kind="stable")
