"""A run's spans as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.records.columns import Column, documented
from llmkit.records.frames import frame_of
from llmkit.records.values import plain
from llmkit.tracing.spans import spans_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from llmkit.events import Event
    from llmkit.tracing.span import Span

TRACE: tuple[Column, ...] = (
    Column("span", "Int64", "", "The span's number, in the order in which they begin to show."),
    Column("parent", "Int64", "", "The span that it is part of; NA for the run."),
    Column(
        "kind",
        "category",
        "",
        "``run``, ``queue``, ``load``, ``step``, ``retry``, ``prefill``, ``decode``, ``reasoning``, ``call-error``, "
        "``approval`` or ``tool``.",
    ),
    Column("name", "string", "", "The tool's, or the kind's own."),
    Column("step", "Int64", "", "The step that it belongs to, from 0; NA for the run."),
    Column("start", "Float64", "s", "From the run's start to the span's."),
    Column("duration", "Float64", "s", "From start to end; NA while it goes on."),
    Column(
        "status",
        "category",
        "",
        "``open`` while it goes on, then ``ok``, ``error``, ``timeout``, ``cancelled``, ``denied`` or ``pending``.",
    ),
    Column("started", "datetime64[ns, UTC]", "", "When it began."),
    Column("call_id", "string", "", "The tool call's id."),
    Column("decided_by", "category", "", "Who or what decided on the call."),
    Column("input_tokens", "Int64", "tokens", "Tokens read, of a run, a step or a prefill."),
    Column("cache_tokens", "Int64", "tokens", "Those of them that came from the KV cache."),
    Column("output_tokens", "Int64", "tokens", "Tokens written, of a run, a step or a decode."),
    Column("tokens_per_second", "Float64", "tokens/s", "Of a prefill, computed tokens; of a decode, written ones."),
    Column("finish_reason", "category", "", "Why a run's or step's answer ended."),
    Column("arguments", "string", "", "A call's, as JSON; of a long text the beginning, as a JSON string."),
    Column("output", "string", "", "What the tool returned, as JSON; of a long one the beginning, as a JSON string."),
    Column("error", "string", "", "What went wrong, or why it was denied or cancelled."),
)

_ATTRIBUTES = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "generated_tokens"),
    "error": ("error", "reason"),
}
"""The attributes that a column is read from where it isn't the one of its name; the first that is known."""


@documented(TRACE)
def trace_frame(log: Iterable[Event]) -> pd.DataFrame:
    """Return a row a span of a run, or of as much of it as there is.

    {columns}

    Parameters
    ----------
    log : iterable of Event
        The run's events from the first on.
    """
    return spans_frame(spans_of(log))


@documented(TRACE)
def spans_frame(spans: Iterable[Span]) -> pd.DataFrame:
    """Return a row a span.

    {columns}
    """
    listed = tuple(spans)
    origin = listed[0].start if listed else 0.0
    return frame_of([_row(span, origin) for span in listed], TRACE)


def _row(span: Span, origin: float) -> tuple[Any, ...]:
    own = {
        "span": span.id,
        "parent": span.parent,
        "kind": span.kind,
        "name": span.name,
        "step": span.step,
        "start": span.start - origin,
        "duration": span.duration,
        "status": span.status,
        "started": span.start,
    }
    values = (own[each.name] if each.name in own else _attribute(span, each.name) for each in TRACE)
    return tuple(plain(value, each.dtype) for value, each in zip(values, TRACE, strict=True))


def _attribute(span: Span, column: str) -> Any:
    names = _ATTRIBUTES.get(column, (column,))
    return next((span.attributes[name] for name in names if name in span.attributes), None)
