"""Showing chats: a live view with a transcript beside it that is saved, or the transcript alone.

The live view stays where it is: a view that is replaced would lose the focus and the place that its user has scrolled
to. So the transcript is an output of its own, which the live view hides as long as it is on the page. A notebook that
is opened without its kernel, on GitHub for one, shows the transcript.
"""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any

from llmkit.notebook import chat_static
from llmkit.notebook.chat_view import ChatView
from llmkit.notebook.output import display_data

if TYPE_CHECKING:
    from llmkit.chatting import Chat


class Transcript:
    """The transcript of a chat in an output of the current cell, kept up to date."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._context = contextvars.copy_context()  # what is displayed in it lands in the cell that it was made in
        self._one_at_a_time = threading.Lock()
        self._handle: Any = None

    def open(self) -> None:
        """Display it."""
        self._handle = display_data(chat_static.bundle(self._chat), display_id=True)

    def update(self, view: ChatView) -> None:
        """Bring it up to date, soon."""
        threading.Thread(target=self._context.run, args=(self._update, view), name="llmkit-static", daemon=True).start()

    def _update(self, view: ChatView) -> None:
        with self._one_at_a_time:  # so that the one that comes last shows the latest state
            if self._chat.busy is None and self._handle is not None:
                self._handle.update(chat_static.bundle(self._chat, view.state), raw=True)


def show_live(chat: Chat) -> None:
    """Display a live view of a chat, and its transcript."""
    from llmkit.notebook.chat_widget import ChatWidget

    transcript = Transcript(chat)
    view = ChatView(chat, ChatWidget, on_idle=transcript.update)
    data, metadata = view.page.mimebundle()
    display_data({**data, "text/plain": repr(chat)}, metadata=metadata)
    if chat.busy is None:
        transcript.open()
    view.open()


def show_static(chat: Chat) -> None:
    """Display the transcript of a chat in which nothing is being written; an empty one has none."""
    chat.wait()
    if len(chat):
        display_data(chat_static.bundle(chat))


def show_text(chat: Chat) -> None:
    """Print the transcript of a chat; an empty one has none."""
    chat.wait()
    if len(chat):
        print(chat_static.plain(chat))  # noqa: T201 - a script's page
