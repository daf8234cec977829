"""Raw completions on a local model: tokenise what is given, decode, and let nothing come between."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from llmkit.background import in_thread
from llmkit.engines.base import Decoded, TextPiece
from llmkit.engines.decoder import DecodeRequest, Done, Prefill, Token, Tokens
from llmkit.engines.local import sampling_from
from llmkit.engines.raw import Echo, RawPiece, abreast
from llmkit.errors import ContextLengthError, ValidationError
from llmkit.prompting.constraint import constraint

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from llmkit.cancellation import CancelToken
    from llmkit.engines.decoder import Decoder, Report
    from llmkit.engines.raw import RawPrompt, RawRequest
    from llmkit.settings import Settings

UNFINISHED = "\ufffd"
"""What tokens show as that end within a character."""

_LONGEST_STRETCH = 16
"""Tokens in a row that may each end within a character, before they are given up on."""


class Decode(Protocol):
    """Decodes on the running loop; see :meth:`llmkit.engines.decoder.Decoder.decode`."""

    def __call__(self, request: DecodeRequest, cancel: CancelToken) -> AsyncIterator[Report]:
        """Yield the reports of a request, the last of which is its ``Done``."""


async def continued(
    decoder: Decoder, decode: Decode, request: RawRequest, cancel: CancelToken
) -> AsyncGenerator[RawPiece, None]:
    """Continue prompts as they are; see :meth:`llmkit.engines.base.Engine.complete_raw`.

    A text is read as TabbyAPI reads it: control tokens in it are such, and the begin token comes first if the model's
    tokenizer puts it there and the text doesn't begin with it. What the model writes comes as it is, control tokens
    too, so that prompt and continuation together are the prompt that continues them.

    Parameters
    ----------
    decoder : Decoder
        The model.
    decode : Decode
        Decodes on it.
    request : RawRequest
        What to continue.
    cancel : CancelToken
        Ends all continuations.

    Raises
    ------
    ValidationError
        For a prompt that is empty or has ids that the model doesn't know.
    ContextLengthError
        If a prompt leaves no room for a token of output.
    """
    parts = await in_thread(_parts, decoder, request)
    pieces: asyncio.Queue[RawPiece | None] = asyncio.Queue()
    ends: list[Done] = []

    async def one(index: int, read: Callable[[], None]) -> None:
        part, echo = parts[index]
        if echo is not None:
            pieces.put_nowait(RawPiece(index, echo))
        async with aclosing(decode(part, cancel)) as reports:  # type: ignore[type-var] # it is a generator
            async for report in reports:
                for delta in _deltas(report):
                    pieces.put_nowait(RawPiece(index, delta))
                if isinstance(report, Done):
                    ends.append(report)
                if not isinstance(report, Prefill) or report.done >= report.total:
                    read()

    async def all_of_them() -> None:
        try:
            await abreast([part.prompt for part, _ in parts], one, limit=max(1, decoder.info.slots))
        finally:
            pieces.put_nowait(None)

    decoding = asyncio.create_task(all_of_them())
    try:
        while (piece := await pieces.get()) is not None:
            yield piece
        await decoding
    finally:
        decoding.cancel()
    yield RawPiece(None, _together(ends, request.n))


def token_texts(ids: Sequence[int], text: str, text_of: Callable[[Sequence[int]], str]) -> list[str]:
    """Return what each token adds to the text of all; joined, they are that text.

    Tokens that end within a character add nothing, the one that completes it adds it. Tokens that the text doesn't
    show, as a begin token that was put before it, add nothing either.

    Parameters
    ----------
    ids : sequence of int
        The tokens.
    text : str
        Their text.
    text_of : Callable
        Returns the text of token ids.
    """
    texts: list[str] = []
    first = begins = at = 0  # of the tokens and the text since a character was last complete; where the text is now
    for place in range(len(ids)):
        whole = text_of(ids[first : place + 1])
        certain = _found(whole.rstrip(UNFINISHED), text, begins)
        end = max(at, begins + len(certain))
        texts.append(text[at:end])
        at = end
        if not whole.endswith(UNFINISHED) or place - first >= _LONGEST_STRETCH:
            first, begins = place + 1, at
    if texts:
        texts[-1] += text[at:]
    return texts


def _found(piece: str, text: str, at: int) -> str:
    """Return a token's text if it stands at a place in the text, "" if not; tokenizers add a blank at the beginning."""
    if at == 0 and not text.startswith(piece):
        piece = piece.removeprefix(" ")
    return piece if text.startswith(piece, at) else ""


def _parts(decoder: Decoder, request: RawRequest) -> list[tuple[DecodeRequest, Echo | None]]:
    """Return a request to the decoder for each continuation, and what comes before it; blocks."""
    settings = request.settings
    drawn = settings.seed if settings.seed is not None else request.seed
    read = {prompt: _read(decoder, request, prompt) for prompt in dict.fromkeys(request.prompts)}
    parts = []
    for single in request.singles(secrets.randbits(32) if drawn is None else drawn):
        asked, echo = read[single.prompts[0]]
        parts.append((replace(asked, id=single.id, sampling=sampling_from(settings, single.seed or 0)), echo))
    return parts


def _read(decoder: Decoder, request: RawRequest, prompt: RawPrompt) -> tuple[DecodeRequest, Echo | None]:
    """Return what all continuations of a prompt have in common."""
    settings, info = request.settings, decoder.info
    ids = _ids(decoder, prompt)
    left = info.context_length - len(ids)
    room = min(settings.max_output_tokens or left, left)
    rules = None if request.output is None else request.output.rules(room=room)
    asked = DecodeRequest(
        id=request.id,
        prompt=ids,
        max_tokens=room,
        stop=settings.stop,
        grammar=None if rules is None else constraint(rules, ends=info.end_ids).grammar,
        logprobs=settings.logprobs,
        special=True,
    )
    return asked, _echo(decoder, prompt, ids, settings) if request.echo else None


def _ids(decoder: Decoder, prompt: RawPrompt) -> tuple[int, ...]:
    info = decoder.info
    if isinstance(prompt, str):
        begins = info.add_bos and info.bos_token and not prompt.startswith(info.bos_token)
        ids = tuple(decoder.tokenize(info.bos_token + prompt if begins else prompt, special=True))
    else:
        ids = prompt
        wrong = next((id_ for id_ in ids if not 0 <= id_ < info.vocabulary_size), None)
        if wrong is not None:
            raise ValidationError(
                f"{wrong} is no token id of this model; it has those from 0 to {info.vocabulary_size - 1}.",
                field="prompt",
            )
    if not ids:
        raise ValidationError("The prompt is empty; a model needs a token at least to go on from.", field="prompt")
    if len(ids) >= info.context_length:
        raise ContextLengthError(
            f"The prompt has {len(ids):,} tokens and the model's context holds {info.context_length:,}. Shorten it, or "
            "load the model with a larger context_length.",
            prompt_tokens=len(ids),
            context_length=info.context_length,
        )
    return ids


def _echo(decoder: Decoder, prompt: RawPrompt, ids: tuple[int, ...], settings: Settings) -> Echo:
    text = prompt if isinstance(prompt, str) else decoder.detokenize(ids)
    if settings.logprobs is None:
        return Echo(text)
    texts = token_texts(ids, text, decoder.detokenize)
    return Echo(text, tuple(Token(id_, shown) for id_, shown in zip(ids, texts, strict=True)))


def _deltas(report: Report) -> list[Decoded | TextPiece | Prefill | Done]:
    match report:
        case Tokens(tokens):
            text = "".join(token.text for token in tokens)
            return [Decoded(tokens), *([TextPiece(text)] if text else [])]
        case Done(tail=tail):
            return [*([TextPiece(tail)] if tail else []), report]
    return [report]


def _together(ends: Sequence[Done], n: int) -> Done:
    """Return the end of all: the worst reason, and the counts, each prompt's once."""
    reasons = [end.reason for end in ends]
    worst = next((reason for reason in ("error", "cancelled", "length") if reason in reasons), "stop")
    last = next(end for end in ends if worst in {end.reason, "stop"})
    prompts = [end.prompt_tokens for end in ends]
    generated = [end.generated_tokens for end in ends]
    return replace(
        last,
        tail="",
        prompt_tokens=None if None in prompts else sum(count or 0 for count in prompts) // n,
        cached_tokens=None,
        generated_tokens=None if None in generated else sum(count or 0 for count in generated),
        prefill_time=None,
        decode_time=None,
    )
