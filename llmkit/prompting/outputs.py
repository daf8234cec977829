"""What a model is told of the output that is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.messages import Role
    from llmkit.output.spec import OutputSpec


def told(messages: Sequence[Message], output: OutputSpec | None, *, system: bool) -> tuple[Message, ...]:
    """Return a conversation in which the model is told what its answer must be.

    In the system message: small models follow that better than words after the question, and it stays the same from
    turn to turn, so that it is read once.

    Parameters
    ----------
    messages : sequence of Message
        The conversation.
    output : OutputSpec, optional
        What is asked for.
    system : bool
        Whether the model's template takes a system message; else the user's first message begins with it.
    """
    said = None if output is None else output.instructions()
    if said is None:
        return tuple(messages)
    role: Role = "system" if system else "user"
    at = next((at for at, message in enumerate(messages) if message.role == role), None)
    if at is None:
        return (Message(role, said), *messages)
    own = messages[at]
    if system:
        return (*messages[:at], replace(own, content=f"{own.text}\n\n{said}"), *messages[at + 1 :])
    before = f"{said}\n\n"
    content = before + own.content if isinstance(own.content, str) else (before, *own.content)
    return (*messages[:at], replace(own, content=content), *messages[at + 1 :])
