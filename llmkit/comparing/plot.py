"""Plots of a comparison: a number by factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.comparing.frame import column_name
from llmkit.errors import ValidationError
from llmkit.plotting.figure import Figure
from llmkit.plotting.intervals import mean_interval
from llmkit.plotting.marks import means_chart
from llmkit.plotting.metrics import check_metric, title_of

if TYPE_CHECKING:
    import pandas as pd

    from llmkit.comparing.comparison import Comparison

NO_FACTOR = "all"


def plot(comparison: Comparison, metric: str, x: str | None, color: str | None) -> Figure:
    """Return the means of a metric by factor, with 95 % intervals where several answers stand at one place."""
    frame = comparison.frame
    factors = comparison.factors
    check_metric(metric, frame, without=["concurrency", "seed", *map(column_name, factors)])
    for name in (x, color):
        if name is not None and name not in factors:
            raise ValidationError(f"There is no factor {name!r}. Factors: {', '.join(factors) or 'none'}.", field="x")
    x, color = _axes(comparison, x, color)
    drawn = _means(comparison, frame[metric], x, color)
    title = title_of(metric)
    by = " and ".join(name for name in (x, color) if name is not None)
    chart = means_chart(
        drawn,
        title=title,
        x_title=x or "",
        colour_title=color or "",
        x_order=factors[x] if x is not None else [NO_FACTOR],
        colours=factors[color] if color is not None else [NO_FACTOR],
    )
    named = drawn.rename(columns={"x": x or "x", "colour": color or "colour"})
    if color is None:
        named = named.drop(columns="colour")
    return Figure(chart, named, f"{title}{f' by {by}' if by else ''}, {len(comparison.cells)} cells, mean and 95 %")


def _axes(comparison: Comparison, x: str | None, color: str | None) -> tuple[str | None, str | None]:
    """Return the factors to plot by: those given, then the ones that vary, repeats never by themselves."""
    varied = [factor for factor in comparison.design.factors if len(factor.levels) > 1 and factor.kind != "repeat"]
    free = [factor.name for factor in varied if factor.name not in {x, color}]
    if x is None and free:
        x = free.pop(0)
    if color is None and free:
        color = free.pop(0)
    return x, color


def _means(comparison: Comparison, values: pd.Series[Any], x: str | None, color: str | None) -> pd.DataFrame:
    import pandas as pd

    places: dict[tuple[str, str], list[float]] = {}
    for cell, value in zip(comparison.cells, values, strict=True):
        if not pd.isna(value):
            place = (cell.labels[x] if x else NO_FACTOR, cell.labels[color] if color else NO_FACTOR)
            places.setdefault(place, []).append(float(value))
    if not places:
        raise ValidationError(f"No cell has {values.name}; there is nothing to plot.", field="metric")
    rows = [
        {"x": place[0], "colour": place[1], **dict(zip(("mean", "low", "high"), mean_interval(found), strict=True))}
        | {"count": len(found)}
        for place, found in places.items()
    ]
    return pd.DataFrame(rows)
