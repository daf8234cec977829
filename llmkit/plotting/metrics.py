"""What can be plotted: numbers and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.errors import ValidationError
from llmkit.records.columns import RUNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_TITLES = {
    "tokens_per_second": "decode rate (tokens/s)",
    "prompt_tokens_per_second": "prefill rate (tokens/s)",
    "time_to_first_token": "time to first token (s)",
    "characters": "length (characters)",
    "output_tokens": "length (tokens)",
    "input_tokens": "prompt (tokens)",
}


def title_of(metric: str) -> str:
    """Return what stands at the axis of a metric."""
    unit = next((column.unit for column in RUNS if column.name == metric), "")
    words = metric.replace("_", " ")
    return _TITLES.get(metric) or (f"{words} ({unit})" if unit else words)


def check_metric(metric: str, frame: pd.DataFrame, *, without: Sequence[str] = ()) -> None:
    """Refuse a metric that isn't a column of numbers.

    Raises
    ------
    ValidationError
        Names those that there are.
    """
    numbers = [str(name) for name in frame if frame[name].dtype.kind in "iuf" and name not in without]
    if metric not in numbers:
        raise ValidationError(f"There is no metric {metric!r}. Metrics: {', '.join(numbers)}.", field="metric")
