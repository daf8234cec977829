"""A run's timeline as a picture: an SVG that follows the page's colours, or stands alone in its own, light or dark."""

from __future__ import annotations

import hashlib
import math
from html import escape
from typing import TYPE_CHECKING

from llmkit.notebook.visible import one_line
from llmkit.tracing.outline import Gap, Row, outline
from llmkit.tracing.words import detail, duration, label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.tracing.outline import Outline
    from llmkit.tracing.span import Kind, Span

_WIDTH, _ROW, _TOP, _MARGIN, _INDENT = 760, 22, 52, 16, 14
_LEFT, _RIGHT = 190, 680
_CHARACTER = 6.0
"""About the width of a character of 11 px, to tell whether words have room."""

_COLOURS: dict[Kind, str] = {
    "queue": "#7b8494",
    "load": "#7b8494",
    "retry": "#c9622b",
    "prefill": "#4c82ee",
    "decode": "#12967c",
    "reasoning": "#8f6ae0",
    "approval": "#c07f08",
    "tool": "#d0498d",
}
"""Legible on white and on black: a contrast of 3.3 at least with either."""

_BAD = "#df3f45"
_CLASS = "llmkit-trace"
_STYLE = f"""
.{_CLASS} {{ color: var(--jp-content-font-color1, currentColor); max-width: 100%; height: auto;
  font: 11px var(--jp-ui-font-family, system-ui, sans-serif); font-variant-numeric: tabular-nums; }}
.{_CLASS} text {{ fill: currentColor; }}
.{_CLASS} .quiet {{ fill-opacity: 0.72; }}
.{_CLASS} .bad {{ fill: {_BAD}; fill-opacity: 1; }}
.{_CLASS} .strong {{ font-weight: 600; }}
.{_CLASS} .number {{ text-anchor: end; }}
.{_CLASS} .grid {{ stroke: currentColor; stroke-opacity: 0.13; }}
.{_CLASS} .frame {{ fill: currentColor; fill-opacity: 0.38; }}
.{_CLASS} .row {{ fill: currentColor; fill-opacity: 0; }}
.{_CLASS} g:hover > .row {{ fill-opacity: 0.06; }}
""".strip()
_ALONE = f"""
.{_CLASS} {{ color: #1f2328; background: #ffffff; border-radius: 8px; }}
@media (prefers-color-scheme: dark) {{ .{_CLASS} {{ color: #e3e5e8; background: #16181d; }} }}
""".strip()


def timeline_svg(spans: Iterable[Span], *, alone: bool = False) -> str:
    """Return a timeline of a run's spans, a row each, as an SVG element.

    Parameters
    ----------
    spans : iterable of Span
        The run's, the run itself first.
    alone : bool
        Whether it is an image of its own, with a background, light or dark as the reader prefers. Otherwise it goes
        into a page and takes on the page's colours.
    """
    shown = outline(spans)
    if shown is None:
        return _element("", "Timeline", "No events yet.", _TOP, alone=alone)
    rows = [_row(shown, row, _TOP + index * _ROW) for index, row in enumerate(shown.rows[1:])]
    bottom = _TOP + len(rows) * _ROW
    body = "".join((_header(shown), _axis(shown, bottom), *rows, _legend(shown, bottom + 24)))
    title = f"Timeline of {label(shown.run)}"
    return _element(body, title, description(shown), bottom + 38, alone=alone)


def description(shown: Outline) -> str:
    """Return in words what the picture shows, for those who can't see it."""
    totals: dict[str, tuple[int, float]] = {}
    for row in shown.rows:
        if isinstance(row, Row) and row.span.kind not in {"run", "step"}:
            count, seconds = totals.get(row.span.kind, (0, 0.0))
            totals[row.span.kind] = count + 1, seconds + (row.span.duration or 0.0)
    told = [
        f"{kind} {duration(seconds)}{f' in {count}' if count > 1 else ''}" for kind, (count, seconds) in totals.items()
    ]
    parts = [f"{shown.run.status}, {duration(shown.run.duration)}", detail(shown.run), ", ".join(told)]
    if shown.late:
        parts.append(f"{shown.late:,} more spans after the run's end")
    return ". ".join(part for part in parts if part) + "."


def _element(body: str, title: str, told: str, height: int, *, alone: bool) -> str:
    # What two pictures of a page have in common they may share, so the name is made of what is shown.
    name = f"{_CLASS}-{hashlib.sha256((title + told + body).encode('utf-8', 'replace')).hexdigest()[:12]}"
    space = ' xmlns="http://www.w3.org/2000/svg"' if alone else ""
    style = f"{_STYLE}\n{_ALONE}" if alone else _STYLE
    return (
        f'<svg{space} class="{_CLASS}" role="img" aria-labelledby="{name}-title {name}-told" width="{_WIDTH}"'
        f' height="{height}" viewBox="0 0 {_WIDTH} {height}"><title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-told">{escape(told)}</desc><style>{style}</style>{body}</svg>'
    )


def _header(shown: Outline) -> str:
    run = shown.run
    known = run.attributes
    who = [one_line(known[name], 40) for name in ("model", "engine") if name in known]
    about = " · ".join(part for part in (*who, detail(run)) if part)
    ending = " · ".join(part for part in (_status(run.status), duration(run.duration)) if part)
    return (
        _text(_MARGIN, 20, _cut(label(run), _LEFT - _MARGIN), "strong")
        + _text(_LEFT, 20, _cut(about, _RIGHT - _LEFT - 90), "quiet")
        + _text(_WIDTH - _MARGIN, 20, ending, "number strong" + (" bad" if run.status == "error" else ""))
    )


def _status(status: str) -> str:
    return {"ok": "done", "open": "running", "error": "failed"}.get(status, status)


def _axis(shown: Outline, bottom: int) -> str:
    whole = shown.end - shown.run.start
    parts = []
    for tick in _ticks(whole):
        x = _x(shown, shown.run.start + tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="44" y2="{bottom}"/>')
        words = "0" if not tick else _tick_words(tick)
        parts.append(f'<text class="quiet" x="{x:.1f}" y="39" text-anchor="middle">{words}</text>')
    return "".join(parts)


def _ticks(whole: float) -> list[float]:
    """Return round numbers of seconds from 0 to ``whole``, about five of them."""
    if whole <= 0:
        return [0.0]
    rough = whole / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [number * step for number in range(int(whole / step + 1e-9) + 1)]


def _tick_words(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:g} ms"
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"


def _x(shown: Outline, time: float) -> float:
    whole = max(shown.end - shown.run.start, 1e-9)
    return _LEFT + (_RIGHT - _LEFT) * min(1.0, max(0.0, (time - shown.run.start) / whole))


def _row(shown: Outline, row: Row | Gap, y: int) -> str:
    if isinstance(row, Gap):
        return _gap(shown, row, y)
    span = row.span
    start, end = _x(shown, span.start), _x(shown, shown.end if span.end is None else span.end)
    told = detail(span)
    full = " · ".join(part for part in (label(span), duration(span.duration), told) if part)
    name, inset = label(span), _MARGIN + _INDENT * (row.depth - 1)
    rule = (
        f'<line class="grid" x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y}" y2="{y}"/>' if span.kind == "step" else ""
    )
    return (
        f'<g><title>{escape(full)}</title><rect class="row" x="0" y="{y}" width="{_WIDTH}" height="{_ROW}"/>{rule}'
        + _text(inset, y + 15, _cut(name, _LEFT - inset - 4), "strong" if span.kind == "step" else "")
        + _bar(span, start, max(end, start + 2), y)
        + _beside(told, start, max(end, start + 2), y, bad=span.status in {"error", "timeout"})
        + _text(_WIDTH - _MARGIN, y + 15, duration(span.duration), "number quiet")
        + "</g>"
    )


def _bar(span: Span, start: float, end: float, y: int) -> str:
    if span.kind in {"run", "step"}:
        return f'<rect class="frame" x="{start:.1f}" y="{y + 9}" width="{end - start:.1f}" height="4" rx="2"/>'
    if span.kind == "call-error":
        return f'<path fill="{_BAD}" d="M{start:.1f} {y + 6}l5 5l-5 5l-5 -5z"/>'
    colour = _COLOURS[span.kind]
    looks = {
        "open": f'fill="{colour}" fill-opacity="0.35" stroke="{colour}" stroke-dasharray="3 2"',
        "denied": f'fill="none" stroke="{colour}" stroke-width="1.5"',
        "pending": f'fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="3 2"',
        "cancelled": f'fill="{colour}" fill-opacity="0.35" stroke="{colour}"',
        "error": f'fill="{colour}" stroke="{_BAD}" stroke-width="2"',
        "timeout": f'fill="{colour}" stroke="{_BAD}" stroke-width="2"',
    }
    look = looks.get(span.status, f'fill="{colour}"')
    return f'<rect {look} x="{start:.1f}" y="{y + 5}" width="{end - start:.1f}" height="12" rx="2.5"/>'


def _beside(words: str, start: float, end: float, y: int, *, bad: bool) -> str:
    """Return words on that side of a bar on which there is room for more of them."""
    if not words:
        return ""
    right, left = _RIGHT - end - 8, start - _LEFT - 8
    look = "quiet bad" if bad else "quiet"
    if right >= left or len(words) * _CHARACTER <= right:
        return _text(end + 7, y + 15, _cut(words, right), look)
    return _text(start - 7, y + 15, _cut(words, left), f"{look} number")


def _gap(shown: Outline, gap: Gap, y: int) -> str:
    start, end = _x(shown, gap.start), _x(shown, gap.end)
    middle = y + _ROW / 2
    return (
        f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}" stroke="currentColor" stroke-opacity="0.5"'
        f' stroke-dasharray="2 4"/>' + _text(_MARGIN, y + 15, f"⋮ {gap.count:,} spans more", "quiet")
    )


def _legend(shown: Outline, y: int) -> str:
    kinds = {row.span.kind for row in shown.rows if isinstance(row, Row)}
    keys = [kind for kind in _COLOURS if kind in kinds]
    pitch = min(76.0, (_WIDTH - _LEFT) / max(1, len(keys)))
    parts = []
    for number, kind in enumerate(keys):
        x = _LEFT + number * pitch
        parts.append(f'<rect fill="{_COLOURS[kind]}" x="{x:.1f}" y="{y - 9}" width="9" height="9" rx="2"/>')
        parts.append(_text(x + 13, y, kind, "quiet"))
    return "".join(parts)


def _cut(words: str, room: float) -> str:
    """Return as much of ``words`` as has room; less than four characters say nothing."""
    most = int(room / _CHARACTER)
    if len(words) <= most:
        return words
    return f"{words[: most - 1]}…" if most >= 4 else ""


def _text(x: float, y: float, words: str, look: str = "") -> str:
    if not words:
        return ""
    kind = f' class="{look}"' if look else ""
    return f'<text{kind} x="{x:.1f}" y="{y}">{escape(words)}</text>'
