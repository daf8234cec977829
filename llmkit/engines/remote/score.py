"""Scoring on a server: it is asked to continue the text by a token and to echo it with its log-probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.cancellation import Stopped
from llmkit.engines.base import Decoded
from llmkit.engines.decoder import Done
from llmkit.engines.raw import RawRequest
from llmkit.errors import EngineError, ValidationError
from llmkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from llmkit.cancellation import CancelToken
    from llmkit.engines.decoder import Token
    from llmkit.engines.raw import RawPiece
    from llmkit.engines.score import ScoreRequest


async def scored(
    complete: Callable[[RawRequest, CancelToken], AsyncIterator[RawPiece]],
    request: ScoreRequest,
    cancel: CancelToken,
    host: str,
) -> tuple[Token, ...]:
    """Return a text's tokens with their log-probabilities; see :meth:`llmkit.engines.base.Engine.score`.

    It takes the ``echo`` and ``logprobs`` of OpenAI's first completions interface
    (https://platform.openai.com/docs/api-reference/completions/create), as vLLM has them.
    """
    if request.messages or not isinstance(request.text, str):
        raise ValidationError(
            f"{host} can score a text, and what follows another with after=, but no answers to messages and no token "
            "ids: only a model that runs here knows its template.",
            field="prompt" if request.messages else "text",
        )
    settings = Settings(max_output_tokens=1, temperature=0.0, logprobs=max(1, request.alternatives))
    raw = RawRequest(request.id, request.after + request.text, settings, echo=True, stream=False)
    tokens: list[Token] = []
    async for piece in complete(raw, cancel):
        if isinstance(piece.delta, Decoded):
            tokens += piece.delta.tokens
        elif isinstance(piece.delta, Done) and piece.delta.reason == "error" and piece.delta.error is not None:
            raise piece.delta.error
    if cancel.cancelled:
        raise Stopped
    part = _part(tokens, len(request.after), len(raw.prompt))
    if part is None or "".join(token.text for token in part) != request.text:
        raise EngineError(
            f"{host} doesn't tell the log-probabilities of a prompt (echo with logprobs in /completions), so it can't "
            "score. vLLM does; so do models that run here (engine='llamacpp' or 'mlx')."
        )
    return tuple(part)


def _part(tokens: Sequence[Token], begin: int, end: int) -> list[Token] | None:
    """Return the tokens whose texts are the characters from ``begin`` to ``end``; ``None`` if they don't fit."""
    at, part = 0, []
    for token in tokens:
        if at >= begin and at + len(token.text) <= end and (at < end or not token.text):
            part.append(token)
        elif at < begin < at + len(token.text):
            return None
        at += len(token.text)
    return part or None
