"""Means and how sure they are."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def mean_interval(values: Sequence[float], *, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the mean and the ends of its confidence interval, by Student's t; NaN where one value tells nothing.

    Parameters
    ----------
    values : sequence of float
        At least one.
    confidence : float
        Between 0 and 1.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return mean, math.nan, math.nan
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = student_t(0.5 + confidence / 2, count - 1) * math.sqrt(variance / count)
    return mean, mean - half, mean + half


def student_t(probability: float, freedom: int) -> float:
    """Return the quantile of Student's t, exact for 1 and 2 degrees of freedom, else to about 0.2 %.

    Source: G. W. Hill, "Algorithm 396: Student's t-quantiles", Communications of the ACM 13 (1970), as the
    Cornish-Fisher expansion in Abramowitz and Stegun 26.7.5.
    """
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        return (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))
