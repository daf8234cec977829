"""Chats: conversations that go on, branch, and can be kept."""

from __future__ import annotations

from llmkit.chatting.chat import Chat, start_chat
from llmkit.chatting.turn import Turn

__all__ = ["Chat", "Turn", "start_chat"]
