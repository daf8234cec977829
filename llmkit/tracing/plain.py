"""A run's timeline in plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.tracing.outline import Gap, Row, outline
from llmkit.tracing.words import detail, duration, label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.tracing.outline import Outline
    from llmkit.tracing.span import Span

MAX_LINES = 60
_BAR = 32


def timeline_text(spans: Iterable[Span]) -> str:
    """Return a line a span: its name, when it was, how long it took, and what is worth knowing of it."""
    shown = outline(spans, limit=MAX_LINES)
    if shown is None:
        return "No events yet."
    names = [_name(row) for row in shown.rows]
    width = max(len(name) for name in names)
    lines = [_line(shown, row, name.ljust(width)) for row, name in zip(shown.rows, names, strict=True)]
    if shown.late:
        lines.append(f"({shown.late:,} more after the run's end)")
    return "\n".join(lines)


def _name(row: Row | Gap) -> str:
    return "  ⋮" if isinstance(row, Gap) else "  " * row.depth + label(row.span)


def _line(shown: Outline, row: Row | Gap, name: str) -> str:
    if isinstance(row, Gap):
        return f"{name}  {_bar(shown, row.start, row.end, '·')}  {row.count:,} spans more"
    span = row.span
    end = shown.end if span.end is None else span.end
    stroke = "─" if span.kind in {"run", "step"} else "█"
    parts = [name, _bar(shown, span.start, end, stroke), duration(span.duration).rjust(9), detail(span)]
    return "  ".join(parts).rstrip()


def _bar(shown: Outline, start: float, end: float, stroke: str) -> str:
    whole = max(shown.end - shown.run.start, 1e-9)
    first = min(_BAR - 1, max(0, int((start - shown.run.start) / whole * _BAR)))
    last = min(_BAR, max(first + 1, round((end - shown.run.start) / whole * _BAR)))
    return (" " * first + stroke * (last - first)).ljust(_BAR)
