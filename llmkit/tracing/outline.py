"""The order in which spans are shown: each below what it is part of, and no more than a page can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.tracing.span import Span

MAX_ROWS = 300
"""So many rows are shown; of a longer run the first two thirds of them and the last third."""


@dataclass(frozen=True, slots=True)
class Row:
    """A span, and how deep it is in others."""

    span: Span
    depth: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Spans that aren't shown.

    Parameters
    ----------
    count : int
        How many.
    start, end : float
        Unix time in seconds from the first one's start to the last one's end.
    """

    count: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Outline:
    """What is shown of a run.

    Parameters
    ----------
    run : Span
        The run itself.
    end : float
        Unix time in seconds: the run's end, or as far as is known.
    rows : tuple of Row and Gap
        From the top; the run comes first.
    late : int
        How many spans came after the run's end and aren't among the rows: calls that were run again.
    """

    run: Span
    end: float
    rows: tuple[Row | Gap, ...]
    late: int


def outline(spans: Iterable[Span], *, limit: int = MAX_ROWS) -> Outline | None:
    """Return what is to be shown of ``spans``; ``None`` if there is none."""
    listed = tuple(spans)
    if not listed:
        return None
    run = listed[0]
    end = run.end if run.end is not None else max(each.start if each.end is None else each.end for each in listed)
    shown = [each for each in listed if each.start <= end]
    rows: list[Row | Gap] = list(_rows(shown))
    if len(rows) > limit:
        head, tail = limit * 2 // 3, limit // 3 - 1
        hidden = [row.span for row in rows[head:-tail] if isinstance(row, Row)]
        rows[head:-tail] = [_gap(hidden, end)]
    return Outline(run, end, tuple(rows), len(listed) - len(shown))


def _rows(spans: list[Span]) -> list[Row]:
    children: dict[int | None, list[Span]] = {}
    for span in sorted(spans, key=lambda each: (each.start, each.id)):
        children.setdefault(span.parent, []).append(span)
    rows: list[Row] = []
    waiting = [Row(span, 0) for span in reversed(children.get(None, []))]
    while waiting:
        row = waiting.pop()
        rows.append(row)
        waiting += [Row(span, row.depth + 1) for span in reversed(children.get(row.span.id, []))]
    return rows


def _gap(hidden: list[Span], end: float) -> Gap:
    start = min(each.start for each in hidden)
    return Gap(len(hidden), start, max(end if each.end is None else each.end for each in hidden))
