"""Plots of a session's runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.errors import ValidationError
from llmkit.plotting.figure import Figure
from llmkit.plotting.marks import scatter_chart
from llmkit.plotting.metrics import check_metric, title_of

if TYPE_CHECKING:
    import pandas as pd

LABEL_LENGTH = 80


def plot_runs(runs: pd.DataFrame, metric: str = "tokens_per_second", *, color: str = "model") -> Figure:
    """Plot a number of each run, in the order in which they began.

    Parameters
    ----------
    runs : DataFrame
        As ``session.runs`` and :func:`llmkit.history` return it, or a part of it.
    metric : str
        A column of numbers.
    color : str
        A column of words.

    Raises
    ------
    ValidationError
        For a column that doesn't exist; names those that do. For runs none of which has the number.
    """
    import pandas as pd

    check_metric(metric, runs)
    words = [str(name) for name in runs if isinstance(runs[name].dtype, pd.CategoricalDtype)]
    if color not in words:
        raise ValidationError(f"There is no column {color!r} to colour by. Columns: {', '.join(words)}.", field="color")
    known = runs.reset_index(drop=True)
    known = known[known[metric].notna()]
    if known.empty:
        raise ValidationError(f"None of the {len(runs)} runs has {metric}; there is nothing to plot.", field="metric")
    frame = pd.DataFrame(
        {
            "x": known.index + 1,
            "value": known[metric].astype(float),
            "colour": known[color].astype("string").fillna("unknown").astype(object),
            "label": known["prompt"].fillna("").str.slice(0, LABEL_LENGTH).astype(object),
        }
    )
    colours = list(dict.fromkeys(frame["colour"]))
    title = title_of(metric)
    mean = frame["value"].mean()
    summary = f"{title} of {len(frame)} run{'' if len(frame) == 1 else 's'}: {mean:.4g} on average"
    return Figure(scatter_chart(frame, title=title, colour_title=color, colours=colours), frame, summary)
