"""Raw completions: texts or token ids continued, without messages, several at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llmkit.engines.decoder import Done
from llmkit.engines.remote.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.engines.base import Delta
    from llmkit.settings import Settings


@dataclass(frozen=True, slots=True)
class RawRequest:
    """Prompts to continue.

    Parameters
    ----------
    id : str
        Unique among the requests in flight.
    prompt : str, tuple of str, or tuple of int
        A text, several, or token ids.
    settings : Settings
        How to sample and when to end.
    n : int
        How many continuations of each prompt.
    echo : bool
        Whether the prompt comes first in the text.
    options : mapping
        Further fields of the body, such as a server's own for grammars.
    """

    id: str
    prompt: str | tuple[str, ...] | tuple[int, ...]
    settings: Settings
    n: int = 1
    echo: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many continuations there will be: those of the first prompt first."""
        several = not isinstance(self.prompt, str) and all(isinstance(part, str) for part in self.prompt)
        return self.n * (len(self.prompt) if several else 1)

    @property
    def fields(self) -> dict[str, Any]:
        """The body's fields beyond prompt and settings."""
        return {**({"n": self.n} if self.n > 1 else {}), **({"echo": True} if self.echo else {}), **self.options}


@dataclass(frozen=True, slots=True)
class RawPiece:
    """A piece of a continuation.

    Parameters
    ----------
    index : int or None
        Which continuation; ``None`` for the request as a whole, whose ``Done`` comes last and holds the counts.
    delta : Delta
        The piece; each continuation ends with a ``Done`` of its own.
    """

    index: int | None
    delta: Delta


class RawAnswers:
    """Takes what a server sends of several continuations; see :class:`llmkit.engines.remote.answer.Answer`."""

    def __init__(self, request: RawRequest) -> None:
        settings = request.settings
        self._answers = [
            Answer(f"{request.id}-{index}", stop=settings.stop, logprobs=settings.logprobs is not None, index=index)
            for index in range(request.count)
        ]

    @property
    def begun(self) -> bool:
        """Whether anything came of any, so that the request can't be sent again."""
        return any(answer.begun for answer in self._answers)

    @property
    def announced(self) -> bool:
        """Whether the server said of all that they are over."""
        return all(answer.announced or answer.stopped for answer in self._answers)

    @property
    def stopped(self) -> bool:
        """Whether stop strings ended all of them; the rest isn't wanted."""
        return all(answer.stopped for answer in self._answers)

    def take(self, chunk: Any) -> list[RawPiece]:
        """Take a chunk of a stream, or a whole answer; return what is certain by now."""
        return [RawPiece(index, delta) for index, answer in enumerate(self._answers) for delta in answer.take(chunk)]

    def finish(self) -> list[RawPiece]:
        """Return what is left at the end."""
        return self._end(lambda answer: answer.finish())

    def cancel(self) -> list[RawPiece]:
        """Return what is left when nobody wants the rest."""
        return self._end(lambda answer: answer.cancel())

    def fail(self, error: Exception) -> list[RawPiece]:
        """Return what is left when the rest can't be had."""
        return self._end(lambda answer: answer.fail(error))

    def _end(self, end: Callable[[Answer], list[Delta]]) -> list[RawPiece]:
        pieces: list[RawPiece] = []
        whole: Done | None = None
        for index, answer in enumerate(self._answers):
            for delta in end(answer):
                if isinstance(delta, Done):
                    whole = delta
                    pieces.append(RawPiece(index, _uncounted(delta)))
                else:
                    pieces.append(RawPiece(index, delta))
        return pieces if whole is None else [*pieces, RawPiece(None, whole)]


def _uncounted(done: Done) -> Done:
    return replace(done, prompt_tokens=None, cached_tokens=None, generated_tokens=None, reasoning_tokens=None)
