"""How plots look: legible on light and dark pages, with nothing behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt
    import pandas as pd

COLOURS = ("#3b82f6", "#e8833a", "#2fa36b", "#c75bb0", "#b0892b", "#7c6ff0", "#23a6b8", "#e0565b")
"""Of even lightness: each stands out from white as from black."""

TEXT = "#868b94"
LINE = "#868b9455"
LONGEST_LABEL = 220
"""Points of a label at most."""

CONFIG: dict[str, Any] = {
    "background": "transparent",
    "view": {"stroke": None, "fill": None},
    "font": "system-ui, sans-serif",
    "axis": {
        "labelColor": TEXT,
        "titleColor": TEXT,
        "gridColor": LINE,
        "domainColor": LINE,
        "tickColor": LINE,
        "labelLimit": LONGEST_LABEL,
        "titleFontWeight": "normal",
    },
    "legend": {"labelColor": TEXT, "titleColor": TEXT, "labelLimit": LONGEST_LABEL, "titleFontWeight": "normal"},
    "title": {"color": TEXT, "subtitleColor": TEXT, "fontWeight": "normal"},
    "range": {"category": list(COLOURS)},
}


def means_chart(
    frame: pd.DataFrame, *, title: str, x_title: str, colour_title: str, x_order: Sequence[str], colours: Sequence[str]
) -> alt.LayerChart:
    """Return a chart of means with their intervals.

    Parameters
    ----------
    frame : DataFrame
        Columns ``x``, ``colour``, ``mean``, ``low``, ``high``, ``count``; the first two hold texts, which may be
        anything: they are drawn as they are.
    title, x_title, colour_title : str
        What stands at the axes and the legend.
    x_order, colours : sequence of str
        The texts in order.
    """
    import altair as alt

    several = len(colours) > 1
    tooltip = [
        alt.Tooltip("x:N", title=x_title),
        alt.Tooltip("mean:Q", title=title, format=".4~g"),
        alt.Tooltip("low:Q", title="95 % from", format=".4~g"),
        alt.Tooltip("high:Q", title="95 % to", format=".4~g"),
        alt.Tooltip("count:Q", title="answers"),
    ]
    if several:
        tooltip.insert(1, alt.Tooltip("colour:N", title=colour_title))
    legend = alt.Legend(title=colour_title) if several else None
    encoded: dict[str, Any] = {
        "x": alt.X("x:N", title=x_title, sort=list(x_order), axis=alt.Axis(labelAngle=_angle(x_order))),
        "color": alt.Color("colour:N", scale=alt.Scale(domain=list(colours), range=_range(colours)), legend=legend),
        "tooltip": tooltip,
    }
    if several and colour_title != x_title:
        encoded["xOffset"] = alt.XOffset("colour:N", sort=list(colours))
    base = alt.Chart(frame).encode(**encoded)
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=alt.Y("mean:Q", title=title, scale=alt.Scale(zero=False, nice=True))
    )
    bars = base.mark_rule(strokeWidth=2, opacity=0.6).encode(y=alt.Y("low:Q", title=title), y2=alt.Y2("high:Q"))
    chart = alt.layer(bars.transform_filter("isValid(datum.low)"), points)
    width = alt.Step(28 if several else 56)
    made: alt.LayerChart = chart.properties(width=width, height=240).configure(**CONFIG)
    return made


def scatter_chart(frame: pd.DataFrame, *, title: str, colour_title: str, colours: Sequence[str]) -> alt.Chart:
    """Return a chart of single values in the order in which they came.

    Parameters
    ----------
    frame : DataFrame
        Columns ``x`` (a number), ``value``, ``colour`` and ``label``.
    title, colour_title : str
        What stands at the axis and the legend.
    colours : sequence of str
        The texts of ``colour`` in order.
    """
    import altair as alt

    legend = alt.Legend(title=colour_title) if len(colours) > 1 else None
    chart: alt.Chart = (
        alt.Chart(frame)
        .mark_point(filled=True, size=55, opacity=0.85)
        .encode(
            x=alt.X("x:Q", title="run", axis=alt.Axis(tickMinStep=1, grid=False, format="d")),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False, nice=True)),
            color=alt.Color("colour:N", scale=alt.Scale(domain=list(colours), range=_range(colours)), legend=legend),
            tooltip=[
                alt.Tooltip("label:N", title="prompt"),
                alt.Tooltip("colour:N", title=colour_title),
                alt.Tooltip("value:Q", title=title, format=".4~g"),
            ],
        )
        .properties(width=520, height=240)
        .configure(**CONFIG)
    )
    return chart


def _range(colours: Sequence[str]) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(len(colours))]


def _angle(labels: Sequence[str]) -> int:
    return 0 if max((len(label) for label in labels), default=0) <= 8 else -35
