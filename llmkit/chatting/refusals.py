"""Why nothing can be said in a chat now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from llmkit.chatting.turn import Turn
    from llmkit.messages import Message


def check_decided(messages: tuple[Message, ...]) -> None:
    """Refuse a conversation in which a call still waits for a decision."""
    answered = {message.tool_call_id for message in messages}
    for message in messages:
        for call in message.tool_calls:
            if call.id not in answered:
                raise ValidationError(
                    f"The call of {call.name!r} ({call.id}) waits for a decision: chat.resume() goes on with it, "
                    "chat.regenerate() or an edit makes a branch without it.",
                    field="messages",
                )


def still(turn: Turn) -> str:
    """Return why nothing can be said now."""
    waiting = turn.run.approvals.pending if turn.run is not None else ()
    if waiting:
        call = waiting[0].call
        return (
            f"The answer waits for a decision on the call of {call.name!r} ({call.id}). Decide on its card or with "
            "chat[-1].run.pending_approvals[0].call.approve() or .deny(), or stop the answer: chat.stop()."
        )
    return "An answer is still being written. Wait for it with chat.wait(), or stop it with chat.stop()."
