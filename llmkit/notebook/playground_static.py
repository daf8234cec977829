"""A playground as a saved notebook keeps it: the answer that was shown last, its prompt and settings, and the code."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from llmkit.notebook import markdown, safe_markdown, static
from llmkit.notebook.playground_words import changes_words, kept_class
from llmkit.notebook.run_state import RunState
from llmkit.notebook.visible import visible
from llmkit.terminal import printable

if TYPE_CHECKING:
    from llmkit.playing import Playground
    from llmkit.playing.playground import Try

_UI = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:12px;line-height:20px"
_CODE = (
    f"margin:6px 0 2px;padding:6px 10px;border-radius:6px;background:{markdown.TINT};white-space:pre-wrap;"
    "overflow-wrap:anywhere;font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace);"
    "font-size:12px;line-height:1.5;color:inherit"
)
_PROMPT = f"margin:2px 0 6px;padding:6px 12px;border-radius:10px;background:{markdown.TINT};white-space:pre-wrap"
_FONT = (
    "color:var(--jp-content-font-color1,inherit);font-family:var(--jp-content-font-family,system-ui,sans-serif);"
    "font-size:var(--jp-content-font-size1,14px);line-height:1.55;overflow-wrap:anywhere"
)

HOW_TO = "playground.ask() runs what is filled in; playground.run, .runs and .code are what came of it."


def bundle(playground: Playground, shown: Try | None = None) -> dict[str, str]:
    """Return a playground as a MIME bundle; waits for the end of the run that it shows.

    Parameters
    ----------
    playground : Playground
        The playground.
    shown : Try, optional
        The run to show; by default the latest.
    """
    if shown is None and playground.tries:
        shown = playground.tries[-1]
    if shown is None:
        return {"text/plain": plain(playground), "text/html": _html_of_none(playground)}
    state = _state_of(shown)
    return {
        "text/plain": printable(f"> {_indented(shown.form.prompt)}\n\n{static.plain(state)}\n\n{shown.code}"),
        "text/markdown": _marked(shown, state),
        "text/html": _html(playground, shown, state),
    }


def plain(playground: Playground) -> str:
    """Return a playground in a line or two, with the latest code; doesn't wait."""
    count = len(playground.tries)
    runs = "no run yet" if count == 0 else "1 run" if count == 1 else f"{count} runs"
    return printable(f"<Playground {playground.id} · {runs}>\n{HOW_TO}\n{playground.code}")


def _state_of(shown: Try) -> dict[str, Any]:
    state = RunState(shown.run.id)
    for event in shown.run.events:
        state.take(event)
    return state.to_dict()


def _marked(shown: Try, state: dict[str, Any]) -> str:
    prompt = safe_markdown.escape(visible(shown.form.prompt)).replace("\n", "\n> ")
    settings = changes_words(shown)
    words = f"<sub>{safe_markdown.escape(settings)}</sub>" if settings else ""
    code = "\n".join(f"    {line}" for line in printable(shown.code).splitlines())
    return "\n\n".join(part for part in (f"> {prompt}", words, static.marked(state), code) if part)


def _html(playground: Playground, shown: Try, state: dict[str, Any]) -> str:
    settings = changes_words(shown)
    words = f'<div style="{_UI};opacity:.72">{escape(settings)}</div>' if settings else ""
    parts = (
        f'<div style="{_PROMPT}">{escape(visible(shown.form.prompt))}</div>',
        words,
        static.html(state),
        f'<pre style="{_CODE}"><code style="background:none">{escape(visible(shown.code))}</code></pre>',
    )
    return _framed(playground, "".join(parts))


def _html_of_none(playground: Playground) -> str:
    return _framed(playground, f'<pre style="{_CODE}">{escape(visible(plain(playground)))}</pre>')


def _framed(playground: Playground, inner: str) -> str:
    # Jupyter typesets what stands between two dollar signs, unless a class forbids it.
    classes = f"{kept_class(playground)} tex2jax_ignore mathjax_ignore"
    return f'<div class="{classes}" role="group" aria-label="Playground" style="{_FONT}">{inner}</div>'


def _indented(text: str) -> str:
    return text.replace("\n", "\n> ")
