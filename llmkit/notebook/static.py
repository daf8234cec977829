"""A run as a saved notebook keeps it: plain text, Markdown and HTML, with nothing to load and nothing to run.

It looks like the live widget, so that nothing jumps when one takes the other's place.
"""

from __future__ import annotations

from html import escape
from typing import Any

from llmkit.notebook import markdown, output_static, safe_markdown, static_calls
from llmkit.notebook.output_answer import Answer
from llmkit.notebook.run_state import in_order
from llmkit.notebook.visible import visible
from llmkit.notebook.words import call_line, error_line, how_it_went, status_words, summary
from llmkit.terminal import printable

_COLOURS = {
    "done": "var(--jp-success-color1,#388e3c)",
    "cancelled": "var(--jp-warn-color1,#e07b00)",
    "error": "var(--jp-error-color1,#d32f2f)",
}
_RUNNING = "var(--jp-brand-color1,#1976d2)"
_UI_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:12px;line-height:20px"
_CARD = (
    f"box-sizing:border-box;margin:2px 0;padding:8px 14px 9px;border:1px solid {markdown.LINE};border-radius:8px;"
    "color:var(--jp-content-font-color1,inherit);font-family:var(--jp-content-font-family,system-ui,sans-serif);"
    "font-size:var(--jp-content-font-size1,14px);line-height:1.55;overflow-wrap:anywhere"
)
_QUIET = "opacity:.72"
_NUMBERS = "font-variant-numeric:tabular-nums"
_THOUGHTS = f"margin:2px 0 6px 3px;padding-left:12px;border-left:2px solid {markdown.LINE};font-size:.93em;opacity:.8"
_ERROR = f"margin:6px 0 2px;padding:6px 10px;border-radius:0 4px 4px 0;background:{markdown.TINT};white-space:pre-wrap"


def bundle(state: dict[str, Any]) -> dict[str, str]:
    """Return a run's state as a MIME bundle.

    Parameters
    ----------
    state : dict
        As :meth:`llmkit.notebook.run_state.RunState.to_dict` gives it.
    """
    return {"text/plain": plain(state), "text/markdown": marked(state), "text/html": html(state)}


def plain(state: dict[str, Any]) -> str:
    """Return the answer, with a line for each call where it came, then a line on how it went."""
    return printable(_paragraphs(*map(_plain, _parts(state)), error_line(state), f"[{summary(state)}]"))


def _plain(part: str | Answer | dict[str, Any]) -> str:
    match part:
        case str():
            return part.strip("\n")
        case Answer():
            return output_static.plain(part).strip("\n")
        case card:
            return call_line(card)


def marked(state: dict[str, Any]) -> str:
    """Return Markdown in which the model's text can do no harm."""
    reasoning = state["reasoning"]
    folded = f"<details><summary>Reasoning</summary>\n\n{safe_markdown.render(reasoning)}\n\n</details>"
    return _paragraphs(
        folded if reasoning else "",
        *map(_marked, _parts(state)),
        safe_markdown.escape(error_line(state)),
        f"<sub>{safe_markdown.escape(summary(state))}</sub>",
    )


def _marked(part: str | Answer | dict[str, Any]) -> str:
    match part:
        case str():
            return safe_markdown.render(part)
        case Answer():
            return output_static.marked(part)
        case card:
            return static_calls.marked(card)


def html(state: dict[str, Any]) -> str:
    """Return HTML with inline styles that follow Jupyter's theme, and are legible without one."""
    label = f"Answer of {state['model'] or 'a model'}"
    parts = [_header(state), _note(state), _reasoning(state), _answer(state), _error(state), _footer(state)]
    # Jupyter typesets what stands between two dollar signs, also in prices, unless a class forbids it.
    return (
        f'<div class="tex2jax_ignore mathjax_ignore" role="group" aria-label="{escape(label)}" style="{_CARD}">'
        f"{''.join(parts)}</div>"
    )


def _header(state: dict[str, Any]) -> str:
    status = state["status"]
    colour = _COLOURS["cancelled"] if state["output_error"] else _COLOURS.get(status, _RUNNING)
    dot = f'<span style="width:7px;height:7px;border-radius:50%;background:{colour};display:inline-block"></span>'
    words = f'<span style="font-weight:600">{status_words(state)}</span>'
    names = [f'<span style="{_QUIET}">{escape(name)}</span>' for name in (state["model"],) if name]
    names += [
        f'<span style="{_QUIET}"><span style="padding-right:8px">·</span>{escape(name)}</span>'
        for name in (state["engine"],)
        if name
    ]
    style = f"display:flex;flex-wrap:wrap;align-items:center;gap:0 8px;min-height:22px;{_UI_FONT}"
    return f'<div style="{style}">{dot} {words} {" ".join(names)}</div>'


def _note(state: dict[str, Any]) -> str:
    return f'<div style="{_UI_FONT};{_QUIET}">{escape(state["note"])}</div>' if state["note"] else ""


def _reasoning(state: dict[str, Any]) -> str:
    if not state["reasoning"]:
        return ""
    summary = f'<summary style="{_UI_FONT};{_QUIET};cursor:pointer;width:fit-content">Reasoning</summary>'
    thoughts = f'<div style="{_THOUGHTS}">{markdown.html(state["reasoning"])}</div>'
    return f'<details style="margin:4px 0 2px">{summary}{thoughts}</details>'


def _answer(state: dict[str, Any]) -> str:
    return "".join(map(_part, _parts(state)))


def _part(part: str | Answer | dict[str, Any]) -> str:
    match part:
        case str():
            return f'<div style="margin-top:4px">{markdown.html(part)}</div>'
        case Answer():
            return output_static.html(part)
        case card:
            return static_calls.html(card)


def _parts(state: dict[str, Any]) -> list[str | Answer | dict[str, Any]]:
    """Return the stretches of text that say something, the calls and the answer, in order."""
    parts = [_as_text(part) if isinstance(part, Answer) else part for part in in_order(state)]
    return parts if len(parts) == 1 else [part for part in parts if not isinstance(part, str) or part.strip()]


def _as_text(answer: Answer) -> str | Answer:
    """Return an answer as text if it is to be shown like any other."""
    return answer if answer.is_json or answer.is_letters else answer.text


def _error(state: dict[str, Any]) -> str:
    error = state["error"] or state["output_error"]
    if error is None:
        return ""
    colour = _COLOURS["error" if state["error"] else "cancelled"]
    kind = f'<strong style="color:{colour};margin-right:8px">{escape(error["kind"])}</strong>'
    style = f"{_ERROR};border-left:3px solid {colour}"
    return f'<div style="{style}">{kind}<span>{escape(visible(error["message"]))}</span></div>'


def _footer(state: dict[str, Any]) -> str:
    words = how_it_went(state)
    return f'<div style="margin-top:6px;{_UI_FONT};{_NUMBERS};{_QUIET}">{escape(words)}</div>' if words else ""


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
