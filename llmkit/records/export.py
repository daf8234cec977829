"""Frames of runs as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.records.columns import RUNS
from llmkit.records.frames import aggregate

if TYPE_CHECKING:
    import pandas as pd


def export_json(runs: pd.DataFrame, path: str | Path | None = None) -> str:
    """Return ``runs`` and their aggregates as JSON: ``columns``, ``runs``, ``aggregates``; NA is null.

    Parameters
    ----------
    runs : DataFrame
        As ``session.runs`` and :func:`llmkit.history` return it, or a part of it.
    path : str or Path, optional
        Where to write it as well, in UTF-8.
    """
    document = {
        "columns": [
            {"name": column.name, "dtype": column.dtype, "unit": column.unit, "description": column.description}
            for column in RUNS
            if column.name in runs
        ],
        "runs": _records(runs, "records"),
        "aggregates": _records(aggregate(runs), "index"),
    }
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def _records(frame: pd.DataFrame, orient: Any) -> Any:
    return json.loads(frame.to_json(orient=orient, date_format="iso", date_unit="us", double_precision=15))
