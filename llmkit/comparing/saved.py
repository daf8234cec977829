"""An earlier comparison, read from the ledger: its runs tell which cell of which comparison they were."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmkit.comparing.factors import Factor, Level, distinct
from llmkit.comparing.frame import COLUMNS, factor_columns, result_columns
from llmkit.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

_SAME = frozenset(column.name for column in COLUMNS) - {"output", "error", "characters"}


def comparison(comparison_id: str, path: Path | str | None = None) -> pd.DataFrame:
    """Return an earlier comparison from the ledger, a row a cell, as ``comparison.frame`` gave it.

    Of a cell that was asked several times it is the last. Structured outputs and scores aren't kept; of long texts
    that were levels it is their beginning, and cells that couldn't be asked left no trace.

    Parameters
    ----------
    comparison_id : str
        ``comparison.id``.
    path : Path or str, optional
        The ledger; by default the one of :func:`llmkit.history`.

    Raises
    ------
    LedgerError
        If the ledger has no run of that comparison.
    """
    from llmkit.records import history

    return frame_of_runs(history(path), comparison_id)


def frame_of_runs(runs: pd.DataFrame, comparison_id: str) -> pd.DataFrame:
    """Return the frame of a comparison whose runs are among these.

    Raises
    ------
    LedgerError
        If none are.
    """
    import pandas as pd

    notes: dict[int, tuple[int, dict[str, Any]]] = {}
    likely = runs["metadata"].str.contains(comparison_id, regex=False, na=False)
    for place in likely.to_numpy().nonzero()[0]:
        note = _note(runs["metadata"].iloc[place], comparison_id)
        if note is not None:
            notes[note["cell"]] = (int(place), note["factors"])
    if not notes:
        raise LedgerError(f"The ledger has no run of a comparison {comparison_id!r}.")
    cells = sorted(notes)
    kept = runs.iloc[[notes[cell][0] for cell in cells]]
    levels = [notes[cell][1] for cell in cells]
    factors = [_factor(name, [each.get(name) for each in levels]) for name in levels[0]]
    labels = [{name: str(value) for name, value in each.items()} for each in levels]
    columns = factor_columns(factors, labels)
    rows = [_row(row) for row in kept.to_dict("records")]
    frame = pd.DataFrame({**columns, **result_columns(rows, without=columns)}, copy=False)
    return frame.set_axis(pd.Index(cells, name="cell"), axis=0)


def _note(metadata: str, comparison_id: str) -> dict[str, Any] | None:
    """Return what a run's metadata says of its cell; ``None`` if it is none of this comparison."""
    try:
        note = json.loads(metadata)["comparison"]
        whole = note["id"] == comparison_id and isinstance(note["cell"], int) and isinstance(note["factors"], dict)
    except (ValueError, TypeError, KeyError):  # the caller's own metadata, which may be anything
        return None
    return note if whole else None


def _factor(name: str, values: Sequence[Any]) -> Factor:
    levels = dict.fromkeys((str(value), value) for value in values)
    labels = distinct([label for label, _ in levels])
    return Factor(name, "setting", tuple(Level(value, label) for (_, value), label in zip(levels, labels, strict=True)))


def _row(run: Mapping[Any, Any]) -> dict[str, Any]:
    import pandas as pd

    row = {name: value for name, value in run.items() if name in _SAME and not pd.isna(value)}
    if not pd.isna(run["error_message"]):
        row["error"] = run["error_message"]
    return {**row, "characters": len(row.get("text", ""))}
