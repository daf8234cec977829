"""What displays are made of: a card, a line of words, a table. Every text is escaped, with nothing hidden in it.

Styles are inline, since GitHub strips style sheets; colours are the theme's, or follow from the text's own.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from llmkit.notebook.markdown import LINE, TINT
from llmkit.notebook.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST_TEXT = 20_000
"""So many characters of one text are shown."""

_UI = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:12px;line-height:20px"
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace);font-size:12px"
_QUIET = "opacity:.72"
_CARD = (
    f"box-sizing:border-box;margin:2px 0;padding:8px 14px 9px;border:1px solid {LINE};border-radius:8px;"
    "color:var(--jp-content-font-color1,inherit);font-family:var(--jp-content-font-family,system-ui,sans-serif);"
    "font-size:var(--jp-content-font-size1,14px);overflow-wrap:anywhere"
)
_CELL = (
    f"padding:2px 12px 2px 0;border:0;border-bottom:1px solid {LINE};text-align:left;vertical-align:top;"
    f"overflow-wrap:break-word;{_UI}"
)
_PRE = (
    f"margin:4px 0;padding:6px 8px;border:0;border-radius:4px;background:{TINT};color:inherit;{_MONO};line-height:1.45;"
    "white-space:pre-wrap;overflow-wrap:anywhere"
)


class Markup(str):
    """HTML that may be shown as it is. Any other text is escaped."""

    __slots__ = ()


def html(text: str) -> Markup:
    """Return a text as HTML in which nothing of it is markup."""
    if isinstance(text, Markup):
        return text
    more = len(text) - LONGEST_TEXT
    return Markup(escape(visible(text[:LONGEST_TEXT])) + (f"… and {more:,} characters more" if more > 0 else ""))


def card(label: str, *parts: str) -> str:
    """Return parts in a frame.

    Parameters
    ----------
    label : str
        What it is, for those who don't see the frame.
    *parts : str
        HTML or text.
    """
    # Jupyter typesets what stands between two dollar signs, also in prices, unless a class forbids it.
    return (
        f'<div class="tex2jax_ignore mathjax_ignore" role="group" aria-label="{html(label)}" style="{_CARD}">'
        f"{''.join(map(html, parts))}</div>"
    )


def title(kind: str, *facts: str) -> Markup:
    """Return a first line: what it is, and facts with dots between them."""
    said = "".join(f'<span style="{_QUIET}"> · {html(fact)}</span>' for fact in facts if fact)
    return Markup(f'<div style="{_UI}"><strong>{html(kind)}</strong>{said}</div>')


def quiet(words: str) -> Markup:
    """Return a line that isn't the main thing."""
    return Markup(f'<div style="{_UI};{_QUIET};font-variant-numeric:tabular-nums">{html(words)}</div>' if words else "")


def code(text: str) -> Markup:
    """Return a name or value in a fixed font."""
    return Markup(f'<span style="{_MONO}">{html(text)}</span>')


def pre(text: str) -> Markup:
    """Return a text with its line breaks and blanks."""
    return Markup(f'<pre style="{_PRE}">{html(text)}</pre>')


def folded(summary: str, inside: str) -> Markup:
    """Return what unfolds."""
    return Markup(
        f'<details style="margin:4px 0 2px"><summary style="{_UI};{_QUIET};cursor:pointer;width:fit-content">'
        f"{html(summary)}</summary>{html(inside)}</details>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> Markup:
    """Return a table, or nothing if it has no rows.

    Parameters
    ----------
    head : sequence of str
        The columns' names.
    rows : iterable of sequence of str
        The cells, HTML or text. The first of each names the row.
    caption : str
        What the rows are.
    """
    body = "".join(f'<tr style="background:none">{_row(row)}</tr>' for row in rows)
    if not body:
        return Markup()
    heads = "".join(f'<th scope="col" style="{_CELL};font-weight:400;{_QUIET}">{html(name)}</th>' for name in head)
    top = f'<caption style="{_UI};text-align:left;font-weight:600;color:inherit;padding:0">{html(caption)}</caption>'
    return Markup(
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;margin:6px 0 2px;color:inherit">'
        f'{top if caption else ""}<thead><tr style="background:none">{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(cells: Sequence[str]) -> str:
    first, *others = cells
    named = f'<th scope="row" style="{_CELL};font-weight:400">{html(first)}</th>'
    return named + "".join(f'<td style="{_CELL}">{html(each)}</td>' for each in others)
