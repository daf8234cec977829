"""Scores: functions that rate the answers of a comparison."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.records.values import error_text

if TYPE_CHECKING:
    import pandas as pd

    from llmkit.comparing.cell import Cell
    from llmkit.comparing.comparison import Comparison

SUBJECTS = ("text", "run", "row", "cell", "output")
"""What a scoring function may be called with, by the name of its first parameter."""


class ScoreWarning(UserWarning):
    """A scoring function raised, or gave something that is no number; the cell has no score."""


def score(comparison: Comparison, scorer: Any, name: str | None = None) -> pd.DataFrame:
    """Rate every answer and keep the scores; see :meth:`Comparison.score`."""
    scorers = _scorers(scorer, name)
    frame = comparison.frame
    for each, function in scorers.items():
        check_name(comparison, each)
        found, failed = _rated(comparison, function, frame)
        comparison.scores[each] = found
        if failed:
            index, error = failed[0]
            warnings.warn(
                f"The score {each!r} is unknown for {len(failed)} of {len(comparison.cells)} cells; "
                f"cell {index}: {error_text(error)}.",
                ScoreWarning,
                stacklevel=3,
            )
    return comparison.frame[list(scorers)]


def check_name(comparison: Comparison, name: str) -> None:
    """Refuse a score's name that the frame has for something else.

    Raises
    ------
    ValidationError
        Names it.
    """
    if name not in comparison.scores and name in comparison.frame:
        raise ValidationError(f"The frame has a column {name!r} already; pass another name=.", field="name")


def _scorers(scorer: Any, name: str | None) -> dict[str, Callable[..., Any]]:
    named = dict(scorer) if isinstance(scorer, Mapping) else {name or _name_of(scorer): scorer}
    strange = next((each for each in named.values() if not callable(each)), None)
    if strange is not None or not named:
        raise ValidationError(
            f"A score is a function, or a dict of functions by name, not {strange!r}.", field="scorer"
        )
    return {str(key): function for key, function in named.items()}


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", "score")
    return "score" if name == "<lambda>" else str(name)


def _rated(
    comparison: Comparison, function: Callable[..., Any], frame: pd.DataFrame
) -> tuple[dict[int, float], list[tuple[int, BaseException]]]:
    subject = _subject(function)
    found: dict[int, float] = {}
    failed: list[tuple[int, BaseException]] = []
    for cell in comparison.cells:
        if cell.status != "done":
            continue
        try:
            value = function(_given(subject, cell, frame))
            if value is not None and not _missing(value):
                found[cell.index] = _number(value)
        except Exception as error:  # noqa: BLE001 - it is the caller's code; a warning tells of it
            failed.append((cell.index, error))
    return found, failed


def _subject(function: Callable[..., Any]) -> str:
    try:
        first = next(iter(inspect.signature(function).parameters), "text")
    except (TypeError, ValueError):  # some built-ins have no signature
        return "text"
    return first if first in SUBJECTS else "text"


def _given(subject: str, cell: Cell, frame: pd.DataFrame) -> Any:
    assert cell.run is not None  # noqa: S101 - it is done
    match subject:
        case "run":
            return cell.run
        case "cell":
            return cell
        case "output":
            return cell.run.output
        case "row":
            return frame.iloc[cell.index]
        case _:
            return cell.text


def _missing(value: Any) -> bool:
    return type(value).__name__ == "NAType" or (isinstance(value, float) and value != value)  # noqa: PLR0124 - NaN


def _number(value: Any) -> float:
    if isinstance(value, str | bytes):
        raise TypeError(f"{value!r} is no number")
    number = float(value)
    if not isfinite(number):
        raise ValueError(f"{value!r} isn't finite")
    return number
