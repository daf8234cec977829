"""What a server sends of several raw continuations, told apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.engines.decoder import Done
from llmkit.engines.raw import RawPiece
from llmkit.engines.remote.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.engines.base import Delta
    from llmkit.engines.raw import RawRequest


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
