"""What an answer leaves in a conversation, however it ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.messages import Content, Image
    from llmkit.run import Run


def messages_of(run: Run) -> tuple[Message, ...]:
    """Return what a run adds to its conversation; waits for its end.

    Of one that was stopped or failed, that is what there was of it. Calls that nothing came of are left out, because no
    model could go on after them; unless they wait for approval, which nobody but a person may skip.
    """
    said = [message for step in run.steps for message in step.response.messages]
    if not said:
        said = [Message("assistant", run.text_so_far)]
    if not run.pending_approvals:
        answered = {message.tool_call_id for message in said}
        said = [
            replace(message, tool_calls=tuple(call for call in message.tool_calls if call.id in answered))
            for message in said
        ]
    return tuple(message for message in said if message.content or message.tool_calls or message.role == "tool")


def alternating(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return a conversation in which no two of the user's messages follow each other.

    They do where an answer failed before it said anything. Most models' templates refuse that, so such messages become
    one, with an empty line between.
    """
    result: list[Message] = []
    for message in messages:
        if result and message.role == result[-1].role == "user":
            result[-1] = replace(result[-1], content=_joined(result[-1], message))
        else:
            result.append(message)
    return tuple(result)


def _joined(first: Message, second: Message) -> Content:
    if isinstance(first.content, str) and isinstance(second.content, str):
        return f"{first.content}\n\n{second.content}"
    return (*_parts(first), "\n\n", *_parts(second))


def _parts(message: Message) -> tuple[str | Image, ...]:
    return (message.content,) if isinstance(message.content, str) else message.content
