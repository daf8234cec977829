"""DataFrames of what the ledger holds, each column with the dtype that it is declared with."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmkit.records.arrays import array_of, arrays_of_images
from llmkit.records.columns import APPROVALS, MODELS, RUNS, STEPS, TOKENS, TOOL_CALLS, VOTES, Column, documented
from llmkit.records.record import token_row
from llmkit.records.values import copied

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pandas as pd

    from llmkit.engines.decoder import Token
    from llmkit.records.selection import Selection
    from llmkit.results import StepResult

_STRINGS = tuple(column for column in RUNS if column.dtype == "string")
_RUNS_SQL = f"SELECT {', '.join(('image', *(column.name for column in _STRINGS)))} FROM runs"  # noqa: S608


def _joined(table: str, columns: Sequence[Column]) -> str:
    """Return a SELECT of declared columns; the ids of run and session are in the table of runs."""
    names = (f"{'runs' if each.name in {'run_id', 'session_id'} else table}.{each.name}" for each in columns)
    return f"SELECT {', '.join(names)} FROM {table} JOIN runs ON runs.key = {table}.run"  # noqa: S608


_STEPS_SQL, _STEPS_ORDER = _joined("steps", STEPS), "runs.key DESC, steps.step DESC"
_TOKENS_SQL, _TOKENS_ORDER = _joined("tokens", TOKENS), "runs.key DESC, tokens.step DESC, tokens.position DESC"
_CALLS_SQL, _CALLS_ORDER = _joined("tool_calls", TOOL_CALLS), "runs.key DESC, tool_calls.number DESC"
_VOTES_SQL = f"SELECT {', '.join(column.name for column in VOTES)} FROM votes"  # noqa: S608 - declared names
_APPROVALS_SQL, _APPROVALS_ORDER = _joined("approvals", APPROVALS), "runs.key DESC, approvals.number DESC"


@documented(RUNS)
def runs_frame(connection: sqlite3.Connection, selection: Selection) -> pd.DataFrame:
    """Return a row a run, in the order in which they began.

    {columns}
    """
    import pandas as pd

    with _no_garbage_collection():
        rows = _fetch(connection, _RUNS_SQL, "runs.key DESC", selection)
        labels = dict(connection.execute("SELECT code, label FROM labels").fetchall())
        data = arrays_of_images([row[0] for row in rows], labels)
        data |= {each.name: array_of(rows, place, each) for place, each in enumerate(_STRINGS, 1)}
        return pd.DataFrame({column.name: data[column.name] for column in RUNS}, copy=False)


@documented(STEPS)
def steps_frame(connection: sqlite3.Connection, selection: Selection) -> pd.DataFrame:
    """Return a row a step.

    {columns}
    """
    return frame_of(_fetch(connection, _STEPS_SQL, _STEPS_ORDER, selection), STEPS)


@documented(TOOL_CALLS)
def tool_calls_frame(connection: sqlite3.Connection, selection: Selection) -> pd.DataFrame:
    """Return a row a tool call, and one for each of the words that were meant as a call but are none.

    {columns}
    """
    return frame_of(_fetch(connection, _CALLS_SQL, _CALLS_ORDER, selection), TOOL_CALLS)


@documented(APPROVALS)
def approvals_frame(connection: sqlite3.Connection, selection: Selection) -> pd.DataFrame:
    """Return a row a decision on a tool call, also one that took no effect, and one for each open request.

    {columns}
    """
    return frame_of(_fetch(connection, _APPROVALS_SQL, _APPROVALS_ORDER, selection), APPROVALS)


@documented(VOTES)
def votes_frame(
    connection: sqlite3.Connection, *, comparison_id: str | None = None, session_id: str | None = None
) -> pd.DataFrame:
    """Return a row a vote, in the order in which they were cast.

    {columns}
    """
    wanted = {"comparison_id": comparison_id, "session_id": session_id}
    where = " AND ".join(f"{name} = :{name}" for name, value in wanted.items() if value is not None) or "TRUE"
    return frame_of(connection.execute(f"{_VOTES_SQL} WHERE {where} ORDER BY key", wanted).fetchall(), VOTES)


@documented(TOKENS)
def tokens_frame(connection: sqlite3.Connection, selection: Selection) -> pd.DataFrame:
    """Return a row a token, of the runs that were asked for log-probabilities.

    {columns}
    """
    return frame_of(_fetch(connection, _TOKENS_SQL, _TOKENS_ORDER, selection), TOKENS)


@documented(TOKENS)
def tokens_frame_of(steps: Iterable[StepResult]) -> pd.DataFrame:
    """Return a row a token of ``steps``, as :func:`tokens_frame` does, without a ledger.

    {columns}
    """
    return frame_of_tokens({step.step_number: step.tokens for step in steps})


@documented(TOKENS)
def frame_of_tokens(steps: Mapping[int, Sequence[Token]]) -> pd.DataFrame:
    """Return a row a token, from the tokens of each step.

    {columns}
    """
    rows = [token_row(step, position, token) for step, tokens in steps.items() for position, token in enumerate(tokens)]
    return frame_of([tuple(row[column.name] for column in TOKENS) for row in rows], TOKENS)


@documented(MODELS)
def models_frame(models: Iterable[object]) -> pd.DataFrame:
    """Return a row a resident model.

    {columns}
    """
    rows = [copied(MODELS, "model", model) for model in models]
    return frame_of([tuple(row[column.name] for column in MODELS) for row in rows], MODELS)


def aggregate(runs: pd.DataFrame) -> pd.DataFrame:
    """Return count, min, max, mean, sum and last of each measure of ``runs``.

    Parameters
    ----------
    runs : DataFrame
        As ``session.runs`` and :func:`llmkit.history` return it, or a part of it.

    Returns
    -------
    DataFrame
        A row a measure, in the unit of its column. Unknown values don't count; ``last`` is the last known one. What
        no run knows is NA, with a count of 0.
    """
    import pandas as pd

    measures = [column.name for column in RUNS if column.unit and column.name in runs]
    columns = ["count", "min", "max", "mean", "sum", "last"]
    frame = pd.DataFrame([_summary(runs[name]) for name in measures], index=measures, columns=columns)
    return frame.astype({name: "Int64" if name == "count" else "Float64" for name in columns})


def _summary(values: pd.Series[Any]) -> list[Any]:
    import pandas as pd

    known = values.dropna()
    if known.empty:
        return [0, *[pd.NA] * 5]
    return [len(known), known.min(), known.max(), known.mean(), known.sum(), known.iloc[-1]]


def _fetch(connection: sqlite3.Connection, sql: str, order: str, selection: Selection) -> list[tuple[Any, ...]]:
    """Return the rows that ``selection`` leaves, oldest first; it's the latest that its limit keeps."""
    sql = f"{sql} WHERE {selection.where} ORDER BY {order} LIMIT :limit"
    rows = connection.execute(sql, selection.parameters).fetchall()
    rows.reverse()
    return rows


def frame_of(rows: Sequence[tuple[Any, ...]], columns: Sequence[Column]) -> pd.DataFrame:
    """Return ``rows`` of values as SQLite gives them, ``None`` for unknown, with the dtypes of ``columns``."""
    import pandas as pd

    return pd.DataFrame({each.name: array_of(rows, place, each) for place, each in enumerate(columns)})


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Hold the collector off while many rows are made, none of which can be garbage; it takes a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
