"""Tokens as a saved notebook keeps them: plain text and HTML, with nothing to load and nothing to run.

Styles are inline, since GitHub strips style sheets. What a colour says, an underline and the tooltip say too.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from llmkit.notebook import markdown
from llmkit.notebook.tokens_words import LEVEL_WORDS, about, lane_title, level, percent
from llmkit.terminal import printable

if TYPE_CHECKING:
    from llmkit.notebook.tokens_words import By

MOST_TOKENS = 2_000
"""So many tokens are kept of all lanes together."""

MOST_DESCRIBED = 800
"""So many of them have a tooltip."""

KEPT_BEFORE = 12
"""So many tokens that a branch shares with its origin are shown before it leaves."""

_HUE = {"probability": "217,95,2", "entropy": "84,110,220"}
_ALPHA = (0, 0.16, 0.3, 0.45, 0.6)
_LINE = ("", "", "1px dotted", "2px solid", "3px double")
_UI = "font:12px/20px var(--jp-ui-font-family,system-ui,sans-serif)"
_CARD = (
    f"box-sizing:border-box;margin:2px 0;padding:8px 14px 9px;border:1px solid {markdown.LINE};border-radius:8px;"
    "color:var(--jp-content-font-color1,inherit);overflow-wrap:anywhere"
)
_WORDS = (
    "font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace);font-size:13px;line-height:1.75;"
    "white-space:pre-wrap;unicode-bidi:plaintext"
)
_BRANCH = f"margin-top:6px;padding-left:10px;border-left:2px solid {markdown.LINE}"
_PLAIN_WIDEST = 100


def bundle(state: dict[str, Any]) -> dict[str, str]:
    """Return the state of a token view as a MIME bundle; see :mod:`llmkit.notebook.tokens_state`."""
    return {"text/plain": plain(state), "text/html": html(state)}


def plain(state: dict[str, Any]) -> str:
    """Return the lanes as text, and of each the places where the model was least sure."""
    parts = []
    for lane in state["lanes"]:
        text = "".join(token["text"] for token in lane["tokens"])
        parts.append(f"[{lane_title(lane)}] {text}")
        unlikely = sorted((t for t in lane["tokens"] if t["p"] is not None), key=lambda token: token["p"])[:3]
        if unlikely:
            listed = ", ".join(f"“{token['text'].strip()}” {percent(token['p'])}" for token in unlikely)
            parts.append(f"  least likely: {listed}"[:_PLAIN_WIDEST])
        if lane["error"]:
            parts.append(f"  {lane['error']}")
    return printable("\n".join(parts))


def html(state: dict[str, Any]) -> str:
    """Return the lanes as HTML that follows Jupyter's theme, and is legible without one."""
    by: By = state["by"]
    room = [MOST_TOKENS, MOST_DESCRIBED]
    lanes = "".join(_lane(lane, _depth(state["lanes"], lane), by, room) for lane in state["lanes"])
    # Jupyter typesets what stands between two dollar signs unless a class forbids it.
    return (
        f'<div class="tex2jax_ignore mathjax_ignore" role="group" aria-label="Tokens" style="{_CARD}">'
        f"{_legend(by)}{lanes}</div>"
    )


def _legend(by: By) -> str:
    words = "".join(
        f'<span style="{_style(place, by)};padding:0 5px;margin-left:8px">{escape(word)}</span>'
        for place, word in enumerate(LEVEL_WORDS[by])
    )
    name = "Probability of each token" if by == "probability" else "Entropy at each token"
    return f'<div style="{_UI}"><span style="opacity:.72">{name}</span>{words}</div>'


def _depth(lanes: list[dict[str, Any]], lane: dict[str, Any]) -> int:
    return 0 if lane["parent"] is None else 1 + _depth(lanes, lanes[lane["parent"]])


def _lane(lane: dict[str, Any], depth: int, by: By, room: list[int]) -> str:
    tokens = lane["tokens"]
    skipped = 0 if lane["own"] is None else max(0, lane["own"] - KEPT_BEFORE)
    shown = tokens[skipped : skipped + room[0]]
    room[0] -= len(shown)
    described, room[1] = room[1], max(0, room[1] - len(shown))
    own = lane["own"] or 0
    words = "".join(
        _token(token, by, shared=skipped + at < own, described=at < described) for at, token in enumerate(shown)
    )
    left = len(tokens) - skipped - len(shown)
    before = "… " if skipped else ""
    after = f'<span style="opacity:.72"> … {left:,} more tokens</span>' if left else ""
    error = f'<div style="{_UI}">{escape(lane["error"])}</div>' if lane["error"] else ""
    title = f'<div style="{_UI};font-weight:600">{escape(lane_title(lane))}</div>'
    frame = f"{_BRANCH};margin-left:{18 * depth}px" if depth else ""
    return f'<div style="{frame}">{title}<div style="{_WORDS}">{before}{words}{after}</div>{error}</div>'


def _token(token: dict[str, Any], by: By, *, shared: bool, described: bool) -> str:
    title = f' title="{escape(about(token))}"' if described else ""
    style = "opacity:.55" if shared else _style(level(token, by), by)
    styled = f' style="{style}"' if style else ""
    text = escape(token["text"])
    return f"<span{styled}{title}>{text}</span>" if styled or title else text


def _style(place: int | None, by: By) -> str:
    if not place:
        return ""
    line = f";border-bottom:{_LINE[place]}" if _LINE[place] else ""
    return f"background:rgba({_HUE[by]},{_ALPHA[place]}){line}"
