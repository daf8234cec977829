"""Turns: what a user said or a model answered, each with what came after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from llmkit.chatting.answers import messages_of

if TYPE_CHECKING:
    from llmkit.messages import Content, Message
    from llmkit.run import Run

Speaker = Literal["user", "assistant"]


class Turn:
    """One place in a chat's tree: a message of the user, or an answer with all its steps and tool calls.

    Attributes
    ----------
    id : int
        Its number in the chat, in the order in which turns were made.
    role : {"user", "assistant"}
        Who speaks.
    parent : Turn or None
        What it replies to; ``None`` for the first message.
    children : list of Turn
        What was said next, one for each branch.
    run : Run or None
        Of an answer, the run that gives it; ``None`` if it was loaded from a file.
    seed : int or None
        What the answer's random numbers began with.
    """

    def __init__(
        self,
        id_: int,
        role: Speaker,
        parent: Turn | None,
        *,
        said: tuple[Message, ...] = (),
        run: Run | None = None,
        seed: int | None = None,
    ) -> None:
        self.id = id_
        self.role = role
        self.parent = parent
        self.children: list[Turn] = []
        self.chosen: Turn | None = None
        self.run = run
        self.seed = run.request.seed if run is not None else seed
        self._said = said

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the turn adds to the conversation; of an answer that is being written, this waits for its end."""
        return self._said if self.run is None else (*self._said, *messages_of(self.run))

    @property
    def text(self) -> str:
        """What is said, as far as it has come; doesn't wait."""
        if self.run is not None and not self.run.ended:
            return self.run.text_so_far
        return "\n\n".join(message.text for message in self.messages if message.role == self.role and message.text)

    @property
    def content(self) -> Content:
        """Of a user's message, what was sent: text, or text and images."""
        return self._said[0].content if self._said else self.text

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be said in it."""
        return self.run is None or self.run.ended

    @property
    def path(self) -> tuple[Turn, ...]:
        """The turns from the first message to this one."""
        turns = [self]
        while turns[-1].parent is not None:
            turns.append(turns[-1].parent)
        return tuple(reversed(turns))

    def __repr__(self) -> str:
        text = self.text
        return f"<Turn {self.id} · {self.role}: {text if len(text) <= 80 else f'{text[:79]}…'!r}>"
