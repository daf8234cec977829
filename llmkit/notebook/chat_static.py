"""A chat as a saved notebook keeps it: the present path, with nothing to load and nothing to run."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from llmkit.notebook import markdown, safe_markdown, static
from llmkit.notebook.chat_answers import state_of
from llmkit.notebook.visible import visible
from llmkit.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.chatting import Chat, Turn

    StateOf = Callable[[Turn], dict[str, Any]]

_UI_FONT = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:12px;line-height:20px"
_FONT = (
    "color:var(--jp-content-font-color1,inherit);font-family:var(--jp-content-font-family,system-ui,sans-serif);"
    "font-size:var(--jp-content-font-size1,14px);line-height:1.55;overflow-wrap:anywhere"
)
_BUBBLE = (
    f"box-sizing:border-box;width:fit-content;max-width:85%;margin:10px 0 6px auto;padding:6px 12px;border-radius:10px;"
    f"background:{markdown.TINT};white-space:pre-wrap"
)


def kept_class(chat_id: str) -> str:
    """Return the class of a chat's transcript: a live view of the chat hides it as long as it is there."""
    return f"llmkit-chat-kept-{chat_id}"


def title(chat: Chat) -> str:
    """Return the chat's heading."""
    return f"Chat with {safe_markdown.escape(chat.session.resident(chat.options.get('model')).name)}"


def bundle(chat: Chat, state: StateOf = state_of) -> dict[str, str]:
    """Return a chat's present path as a MIME bundle.

    Parameters
    ----------
    chat : Chat
        The chat; no answer of the path is being written.
    state : Callable
        Returns the state of an answer, as :meth:`llmkit.notebook.run_state.RunState.to_dict` gives it.
    """
    path = chat.path
    states = {turn.id: state(turn) for turn in path if turn.role == "assistant"}
    return {
        "text/plain": _plain(path, states),
        "text/markdown": "\n\n".join(_marked(turn, states) for turn in path),
        "text/html": _html(chat, path, states),
    }


def marked_turn(turn: Turn) -> str:
    """Return a turn as Markdown in which nobody's text can do harm."""
    return _marked(turn, {} if turn.role == "user" else {turn.id: state_of(turn)})


def plain(chat: Chat) -> str:
    """Return the present path as text for a terminal."""
    path = chat.path
    return _plain(path, {turn.id: state_of(turn) for turn in path if turn.role == "assistant"})


def _plain(path: tuple[Turn, ...], states: dict[int, dict[str, Any]]) -> str:
    said = [
        static.plain(states[turn.id]) if turn.role == "assistant" else f"> {_indented(printable(turn.text))}"
        for turn in path
    ]
    return "\n\n".join(said) or "An empty chat."


def _marked(turn: Turn, states: dict[int, dict[str, Any]]) -> str:
    if turn.role == "assistant":
        return static.marked(states[turn.id])
    lines = safe_markdown.escape(turn.text).split("\n")
    return "\n".join(["> **You**", ">", *(f"> {line}  " for line in lines)])


def _html(chat: Chat, path: tuple[Turn, ...], states: dict[int, dict[str, Any]]) -> str:
    said = "".join(
        static.html(states[turn.id])
        if turn.role == "assistant"
        else f'<div style="{_BUBBLE}" role="group" aria-label="You">{escape(visible(turn.text))}</div>'
        for turn in path
    )
    # Jupyter typesets what stands between two dollar signs, also in prices, unless a class forbids it.
    return (
        f'<div class="{kept_class(chat.id)} tex2jax_ignore mathjax_ignore" role="group" aria-label="Chat" '
        f'style="{_FONT}">{_system(chat)}{said}</div>'
    )


def _system(chat: Chat) -> str:
    if not chat.system:
        return ""
    summary = f'<summary style="{_UI_FONT};opacity:.72;cursor:pointer;width:fit-content">System prompt</summary>'
    text = f'<div style="padding:2px 0 2px 12px;white-space:pre-wrap">{escape(visible(chat.system))}</div>'
    return f"<details>{summary}{text}</details>"


def _indented(text: str) -> str:
    return text.replace("\n", "\n> ")
