"""A completion in a notebook: static HTML, with nothing to load and nothing to run."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from llmkit.notebook.displays.card import Markup, card, quiet
from llmkit.terminal import printable

if TYPE_CHECKING:
    from llmkit.completions.completion import Completion, CompletionChoice

_TEXT = (
    "margin:2px 0 6px;padding:0;white-space:pre-wrap;background:none;color:inherit;line-height:1.5;"
    "font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:var(--jp-code-font-size,13px)"
)


def html(completion: Completion) -> str:
    """Return the choices' texts as they are, blanks and line breaks too, and a line on how it went.

    The texts are a model's, so nothing in them becomes markup.
    """
    several = len(completion.choices) > 1
    choices = [_choice(choice, several=several) for choice in completion.choices]
    warnings = [quiet(printable(words)) for words in completion.warnings]
    return card(f"Completion of {completion.model}", *choices, *warnings, quiet(completion.summary))


def _choice(choice: CompletionChoice, *, several: bool) -> Markup:
    label = quiet(f"{choice.index} · {choice.finish_reason or ''}") if several else ""
    return Markup(f'{label}<pre style="{_TEXT}">{escape(printable(choice.text))}</pre>')
