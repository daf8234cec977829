"""What came of a row, and the columns that tell of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llmkit.events import Failure
from llmkit.records.columns import Column
from llmkit.records.values import error_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from llmkit.errors import Error
    from llmkit.events import End
    from llmkit.output.spec import OutputSpec
    from llmkit.records.answers import RecordedAnswer

Source: TypeAlias = Literal["decoded", "ledger", "same"]

MAPPED: tuple[Column, ...] = (
    Column("text", "string", "", "The answer; NA if there is none."),
    Column("error", "string", "", "What went wrong in this row; NA if nothing did."),
    Column("source", "category", "", "``decoded`` now, from the ``ledger``, or the ``same`` as an earlier row."),
    Column("finish_reason", "category", "", "Why the answer ended, in llmkit's words."),
    Column("prompt_tokens", "Int64", "tokens", "Tokens of the prompt."),
    Column("generated_tokens", "Int64", "tokens", "Tokens decoded."),
    Column("time_to_first_token", "Float64", "s", "From the request to the first token, queueing included."),
    Column("total_time", "Float64", "s", "From request to end."),
    Column("tokens_per_second", "Float64", "tokens/s", "Generated tokens ÷ decode time."),
    Column("run_id", "string", "", "The id of the run that answered."),
)
_MEASURES = ("prompt_tokens", "generated_tokens", "time_to_first_token", "total_time", "tokens_per_second")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAnswer:
    """What came of a row: the columns of :data:`MAPPED`, and ``output``; ``None`` is unknown or nothing."""

    text: str | None = None
    output: Any = None
    error: str | None = None
    source: Source | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    generated_tokens: int | None = None
    time_to_first_token: float | None = None
    total_time: float | None = None
    tokens_per_second: float | None = None
    run_id: str | None = None


NOTHING = RowAnswer()
"""Of a row whose turn hasn't come."""


def failed_row(error: Error) -> RowAnswer:
    """Return what came of a row that couldn't be asked."""
    return RowAnswer(error=error_text(error))


def decoded_row(run_id: str, end: End, spec: OutputSpec | None) -> RowAnswer:
    """Return what came of a row whose run has ended."""
    measures = {name: getattr(end.stats, name, None) for name in _MEASURES}
    answered: dict[str, Any] = {"source": "decoded", "finish_reason": end.finish_reason, "run_id": run_id, **measures}
    if isinstance(end, Failure):
        return RowAnswer(text=end.text or None, error=error_text(end.error), **answered)
    return RowAnswer(text=end.text, **_read(end.text, end.finish_reason, spec), **answered)


def recorded_row(found: RecordedAnswer, spec: OutputSpec | None) -> RowAnswer:
    """Return what the ledger has for a row."""
    read = _read(found.text, found.finish_reason, spec)
    measures = {name: getattr(found, name) for name in _MEASURES}
    return RowAnswer(
        text=found.text, source="ledger", finish_reason=found.finish_reason, run_id=found.run_id, **read, **measures
    )


def mapped_frame(answers: Sequence[RowAnswer], index: Any, *, with_output: bool) -> pd.DataFrame:
    """Return a row an answer, with ``index``; a column ``output`` if one was asked for, after the text."""
    import pandas as pd

    from llmkit.records.frames import frame_of

    frame = frame_of([tuple(getattr(each, column.name) for column in MAPPED) for each in answers], MAPPED)
    if with_output:
        frame.insert(1, "output", pd.Series([each.output for each in answers], dtype=object))
    frame.index = index
    return frame


def _read(text: str, finish_reason: str, spec: OutputSpec | None) -> dict[str, Any]:
    """Return the output that ``text`` is, or what is wrong with it."""
    from llmkit.output.failure import OutputError

    if spec is None:
        return {}
    try:
        return {"output": spec.parse(text, finish_reason=finish_reason)}
    except OutputError as error:
        return {"error": error_text(error)}
