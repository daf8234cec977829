"""A comparison as a DataFrame: a row a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.comparing.factors import distinct
from llmkit.errors import Error, ValidationError
from llmkit.events import End
from llmkit.records.columns import RUNS, TOKENS, Column, documented
from llmkit.records.frames import frame_of
from llmkit.records.values import clean, copied, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from llmkit.comparing.cell import Cell
    from llmkit.comparing.comparison import Comparison
    from llmkit.comparing.design import Design
    from llmkit.comparing.factors import Factor

_NUMBERS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "time_to_first_token",
    "queue_time",
    "prefill_time",
    "decode_time",
    "total_time",
    "tokens_per_second",
    "prompt_tokens_per_second",
    "concurrency",
    "seed",
)

COLUMNS: tuple[Column, ...] = (
    Column("run_id", "string", "", "The id of the cell's run."),
    Column("model", "category", "", "The model's name."),
    Column("prompt", "string", "", "What was asked; of a conversation the last message."),
    Column("status", "category", "", "``waiting``, ``queued``, ``decoding``, …, ``done``, ``cancelled``, ``failed``."),
    Column("text", "string", "", "The answer, as far as it came."),
    Column("reasoning", "string", "", "The reasoning, once the run has ended.", "end.reasoning"),
    Column("output", "object", "", "The value of ``output=``; NA without, and where the answer doesn't fit."),
    Column("finish_reason", "category", "", "Why it ended.", "end.finish_reason"),
    Column("error_code", "category", "", "The kind of error."),
    Column("error", "string", "", "What went wrong, and what to do about it."),
    Column("characters", "Int64", "characters", "The length of the text."),
    *(next(column for column in RUNS if column.name == name) for name in _NUMBERS),
)
"""The columns of a comparison's frame, besides factors, data and scores."""

_ONCE = frozenset({"model", "seed"})
"""Columns that say the same as a factor of that name."""


def column_name(name: str) -> str:
    """Return the name of a factor's column: its own, unless a result's column is called so."""
    taken = name not in _ONCE and any(column.name == name for column in COLUMNS)
    return f"{name}_factor" if taken else name


@documented(COLUMNS)
def frame_of_cells(comparison: Comparison) -> pd.DataFrame:
    """Return a row a cell; what isn't known yet is NA.

    First come the factors as ordered categoricals, each of the level's own value where all are texts or all numbers,
    else of its label; a factor that is called like one of the columns below has ``_factor`` behind its name. Then the
    other columns of the data that filled the template, and its index. At the end come the scores.

    {columns}
    """
    import pandas as pd

    cells, design = comparison.cells, comparison.design
    index: pd.Index[Any] = pd.RangeIndex(len(cells), name="cell")
    columns: dict[str, Any] = factor_columns(design.factors, [cell.labels for cell in cells])
    if design.rows is not None:
        places = [point.row or 0 for point in design.points]
        index = design.rows.frame.index.take(places)
        columns |= _beside(design, places, columns)
    rows = [_row(cell) for cell in cells]
    results = result_columns(rows, without=columns)
    scores = {
        name: pd.array([values.get(cell.index) for cell in cells], dtype="Float64")
        for name, values in comparison.scores.items()
    }
    frame = pd.DataFrame({**columns, **results, **scores}, copy=False)
    return frame.set_axis(index, axis=0)


def factor_columns(factors: Iterable[Factor], labels: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return a column for each factor, from the labels of each cell."""
    columns = {}
    for factor in factors:
        codes = {label: place for place, label in enumerate(factor.labels)}
        columns[column_name(factor.name)] = ordered([codes[each[factor.name]] for each in labels], factor.categories)
    return columns


def ordered(codes: Sequence[int], categories: Sequence[Any]) -> pd.Categorical:
    """Return an ordered categorical of texts or numbers."""
    import pandas as pd

    if all(isinstance(each, str) for each in categories):
        index = pd.Index(distinct([clean(each) for each in categories]), dtype="str")
    else:
        index = pd.Index(list(categories))
    return pd.Categorical.from_codes(list(codes), categories=index, ordered=True)


def result_columns(rows: Sequence[Mapping[str, Any]], *, without: Iterable[str] = ()) -> dict[str, Any]:
    """Return the declared columns from rows of values by name, but for those of these names."""
    import pandas as pd

    hidden = set(without)
    declared = [column for column in COLUMNS if column.name not in hidden]
    simple = [column for column in declared if column.dtype != "object"]
    frame = frame_of([tuple(row.get(column.name) for column in simple) for row in rows], simple)
    columns: dict[str, Any] = {}
    for column in declared:
        if column.dtype == "object":
            columns[column.name] = pd.Series([row.get(column.name, pd.NA) for row in rows], dtype=object).array
        else:
            columns[column.name] = frame[column.name].array
    return columns


def tokens_of_cells(comparison: Comparison) -> pd.DataFrame:
    """Return a row a token of all cells that have ended, with the cell's number and factors."""
    import pandas as pd

    ended = [cell for cell in comparison.cells if cell.run is not None and cell.run.ended]
    frames = [cell.run.tokens for cell in ended if cell.run is not None]
    if not any(len(frame) for frame in frames):
        return frame_of([], TOKENS)
    repeated = [cell for cell, frame in zip(ended, frames, strict=True) for _ in range(len(frame))]
    factors = factor_columns(comparison.design.factors, [cell.labels for cell in repeated])
    tokens = pd.concat(frames, ignore_index=True)
    cells = pd.array([cell.index for cell in repeated], dtype="Int64")
    return pd.DataFrame({"cell": cells, **factors, **{str(name): tokens[name].array for name in tokens}})


def pivoted(comparison: Comparison, values: str, rows: Any, columns: Any) -> pd.DataFrame:
    """Return a column of the frame with factors as rows and columns; see :meth:`Comparison.pivot`."""
    import pandas as pd

    frame = comparison.frame
    if values not in frame:
        raise ValidationError(f"There is no column {values!r}. Columns: {', '.join(map(str, frame))}.", field="values")
    down, across = _sides(comparison, rows, columns)
    by = [column_name(name) for name in (*down, *across)]
    if not by:
        return frame[[values]]
    how = "mean" if isinstance(frame[values].dtype, pd.Int64Dtype | pd.Float64Dtype) else "first"
    table = frame.groupby(by, observed=True, sort=True)[values].agg(how)
    if not across:
        return table.to_frame()
    if not down:
        return table.to_frame().T
    return table.unstack([column_name(name) for name in across])


def _sides(comparison: Comparison, rows: Any, columns: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    down, across = (
        None if each is None else (each,) if isinstance(each, str) else tuple(each) for each in (rows, columns)
    )
    for name in (*(down or ()), *(across or ())):
        if name not in comparison.factors:
            known = ", ".join(comparison.factors) or "none"
            raise ValidationError(f"There is no factor {name!r}. Factors: {known}.", field="rows")
    varied = [name for name, labels in comparison.factors.items() if len(labels) > 1]
    if down is None and across is None:
        return comparison.rows, comparison.columns
    if down is None:
        down = tuple(name for name in varied if name not in (across or ()))
    if across is None:
        across = tuple(name for name in varied if name not in down)
    return down, across


def _beside(design: Design, places: Sequence[int], taken: Iterable[str]) -> dict[str, Any]:
    """Return the data's columns that fill no field."""
    assert design.rows is not None  # noqa: S101 - asked only then
    frame = design.rows.frame
    names = [name for name in frame.columns if name not in design.rows.columns]
    return {_free(column_name(str(name)), set(taken)): frame[name].take(list(places)).array for name in names}


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name = f"{name}_data"
    return name


def _row(cell: Cell) -> dict[str, Any]:
    """Return what is known of a cell, as :data:`COLUMNS` names it."""
    run = cell.run
    row: dict[str, Any] = {"prompt": clean(cell.prompt), "status": cell.status}
    error = cell.error
    if run is not None:
        text = clean(cell.text)
        row |= {"run_id": run.id, "model": run.request.model, "text": text, "seed": run.request.seed}
        row["characters"] = len(text)
        end = cell.events[-1] if cell.events else None
        if isinstance(end, End) and run.ended:
            numbers = [column for column in COLUMNS if column.source.startswith("end.")]
            row |= {name: value for name, value in copied(numbers, "end", end).items() if value is not None}
            row |= _output(cell)
            error = row.pop("unfit", run.error)
    if error is not None:
        row |= {"error_code": plain(error.code, "category"), "error": clean(str(error))}
    return row


def _output(cell: Cell) -> dict[str, Any]:
    """Return the value of a structured output, or why there is none."""
    run = cell.run
    if run is None or run.request.output is None or run.status != "done":
        return {}
    try:
        return {"output": run.output}
    except Error as error:
        return {"unfit": error}
