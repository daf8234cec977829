"""The chat widget: what a page shows of a chat. It knows the protocol's messages and nothing of chats."""

from __future__ import annotations

from llmkit.notebook.live_widget import LiveWidget, built


class ChatWidget(LiveWidget):
    """One chat view's model."""

    _esm = built("chat.js")
    _css = built("chat.css")
