"""Scoring on a local model: in one pass where the decoder can, else by having it write the text, token by token."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.background import in_thread
from llmkit.cancellation import Stopped
from llmkit.engines.decoder import DecodeRequest, Done, Token, Tokens
from llmkit.engines.score import Scorer
from llmkit.errors import ContextLengthError, EngineError, ValidationError
from llmkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from llmkit.cancellation import CancelToken
    from llmkit.engines.decoder import Decoder, Report
    from llmkit.engines.score import ScoreRequest
    from llmkit.prompting.prompt import Prompting

    Decode = Callable[[DecodeRequest, CancelToken], AsyncIterator[Report]]

STRETCH = 256
"""So many tokens are written at a time, to keep grammars small."""


async def scored(
    decoder: Decoder, prompting: Prompting, decode: Decode, request: ScoreRequest, cancel: CancelToken
) -> tuple[Token, ...]:
    """Return a text's tokens with their log-probabilities; see :meth:`llmkit.engines.base.Engine.score`.

    llama.cpp's server tells no log-probabilities of a prompt. So each token is forced by a grammar that lets no other
    one through: what the decoder reports is from before sampling, and the grammar doesn't touch it. That costs a decode
    step a token, as writing the text would.
    """
    context, ids = await in_thread(_read, decoder, prompting, request)
    first = []
    if not context:  # nothing comes before the first token, so nothing can tell how likely it is
        first, context, ids = [Token(ids[0], decoder.detokenize(ids[:1]))], ids[:1], ids[1:]
    limit = decoder.info.context_length
    if len(context) + len(ids) >= limit:
        raise ContextLengthError(
            f"The text and what comes before it have {len(context) + len(ids):,} tokens and the model's context holds "
            f"{limit:,}. Score it in parts, with after= for what comes before.",
            prompt_tokens=len(context) + len(ids),
            context_length=limit,
        )
    if isinstance(decoder, Scorer):
        tokens = await in_thread(decoder.score, context, ids, request.alternatives, lambda: cancel.cancelled)
    else:
        tokens = await _Forced(decoder, decode, request, cancel).tokens(context, ids)
    if cancel.cancelled:
        raise Stopped
    return (*first, *tokens)


def _read(decoder: Decoder, prompting: Prompting, request: ScoreRequest) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ids before the text, and its own."""
    if request.messages:
        context = prompting.prompt(request.messages, Settings()).ids
    else:
        info = decoder.info
        context = tuple(decoder.tokenize(info.bos_token, special=True)) if info.add_bos and info.bos_token else ()
    context = (*context, *(decoder.tokenize(request.after, special=False) if request.after else ()))
    text = request.text
    ids = tuple(decoder.tokenize(text, special=False)) if isinstance(text, str) else text
    if len(ids) + len(context) < 2 or not ids:
        raise ValidationError(
            "There is nothing to score: a token's probability depends on those before it. Give a longer text, or "
            "what comes before it with prompt= or after=.",
            field="text",
        )
    return context, ids


class _Forced:
    """Has a decoder write given tokens."""

    def __init__(self, decoder: Decoder, decode: Decode, request: ScoreRequest, cancel: CancelToken) -> None:
        self._decoder = decoder
        self._decode = decode
        self._request = request
        self._cancel = cancel
        self._count = 0

    async def tokens(self, context: tuple[int, ...], ids: tuple[int, ...]) -> list[Token]:
        """Return the tokens ``ids`` after ``context``."""
        found: list[Token] = []
        for stretch in _stretches(ids, self._decoder.info.end_ids):
            written = await self._written((*context, *ids[: len(found)]), stretch)
            found += _matched(stretch, written)
        for place, token in enumerate(found):
            if token.logprob is None and not self._cancel.cancelled:
                found[place] = await self._looked_up(token, (*context, *ids[:place]))
        return found

    async def _written(self, prompt: tuple[int, ...], ids: Sequence[int]) -> list[Token]:
        if ids[0] in self._decoder.info.end_ids:
            return []  # a decoder doesn't report the token that ends
        grammar = "start: " + " ".join(f"<[{id_}]>" for id_ in ids)
        return await self._answer(prompt, grammar, len(ids), max(1, self._request.alternatives))

    async def _looked_up(self, token: Token, prompt: tuple[int, ...]) -> Token:
        """Return a token that wasn't reported, found among all tokens that there are at its place."""
        plain = self._decoder.tokenize("a", special=False)[0]
        size = self._decoder.info.vocabulary_size
        written = await self._answer(prompt, f"start: <[{plain}]>", 1, size)
        alternatives = written[0].alternatives if written else ()
        logprob = next((each.logprob for each in alternatives if each.id == token.id), None)
        return replace(token, logprob=logprob, alternatives=alternatives[: self._request.alternatives])

    async def _answer(self, prompt: tuple[int, ...], grammar: str, count: int, logprobs: int) -> list[Token]:
        self._count += 1
        name = f"{self._request.id}-{self._count}"
        request = DecodeRequest(name, prompt, count, grammar=grammar, logprobs=logprobs, special=True)
        tokens: list[Token] = []
        async for report in self._decode(request, self._cancel):
            if isinstance(report, Tokens):
                tokens += report.tokens
            elif isinstance(report, Done) and report.reason == "error":
                raise report.error or EngineError("The engine ended the scoring with an error it doesn't name.")
        return tokens


def _stretches(ids: Sequence[int], ends: Sequence[int]) -> list[Sequence[int]]:
    """Return the ids in pieces to be written at once; a token that ends an answer is a piece of its own."""
    pieces: list[list[int]] = []
    for id_ in ids:
        if not pieces or len(pieces[-1]) >= STRETCH or id_ in ends or pieces[-1][0] in ends:
            pieces.append([])
        pieces[-1].append(id_)
    return list(pieces)


def _matched(ids: Sequence[int], written: Sequence[Token]) -> list[Token]:
    """Return a token for each id: the one that was written, else one of which nothing is known yet."""
    rest = list(written)
    found = []
    for id_ in ids:
        known = rest.pop(0) if rest and rest[0].id == id_ else Token(id_, "")
        found.append(known)
    return found
