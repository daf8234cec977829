"""The spans of a run as the rows of a timeline: what a page needs to draw them, and no more.

A row is JSON; ``widgets/trace/protocol.ts`` is the same thing in TypeScript::

    id, parent, kind, step    the span's own; see :class:`llmkit.tracing.Span`
    label, detail             its name, and what is worth knowing of it; each on one line, nothing hidden
    start, end                seconds since the run's first event; the end is null while it goes on
    status                    the span's own: open · ok · error · timeout · cancelled · denied · pending
    said                      what a screen reader says in place of the detail, where that is full of signs
    who                       of the run's own row: model and engine
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.notebook.visible import one_line
from llmkit.tracing.words import detail, label

if TYPE_CHECKING:
    from llmkit.tracing.span import Span

LONGEST_NAME = 60
"""So many characters of a model's or an engine's name."""


def row_of(span: Span, origin: float) -> dict[str, Any]:
    """Return a span's row.

    Parameters
    ----------
    span : Span
        The span.
    origin : float
        Unix time in seconds from which the row's times count.
    """
    row = {
        "id": span.id,
        "parent": span.parent,
        "kind": span.kind,
        "step": span.step,
        "label": label(span),
        "detail": detail(span),
        "start": round(span.start - origin, 4),
        "end": None if span.end is None else round(span.end - origin, 4),
        "status": span.status,
    }
    said = _said(span)
    if said:
        row["said"] = said
    if span.kind == "run":
        names = (span.attributes.get(name, "") for name in ("model", "engine"))
        row["who"] = " · ".join(one_line(name, LONGEST_NAME) for name in names if name)
    return row


def _said(span: Span) -> str:
    """Return the tokens and the rate of what the model reads or writes: ``84 tokens at 70 tokens/s``."""
    names = {"prefill": "prompt_tokens", "decode": "generated_tokens"}
    count = span.attributes.get(names.get(span.kind, ""))
    if count is None:
        return ""
    rate, cached = span.attributes.get("tokens_per_second"), span.attributes.get("cache_tokens")
    tokens = f"{count:,} token{'' if count == 1 else 's'}"
    told = tokens if rate is None else f"{tokens} at {rate:,.0f} tokens/s"
    return f"{told}, {cached:,} cached" if cached else told
