"""A local model behind the engine seam: a decoder under the shared prompt path."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.background import in_thread
from llmkit.caches import NamedCaches, caches_folder
from llmkit.engines.base import (
    Decoded,
    Delta,
    EngineInfo,
    EngineRequest,
    Note,
    ReasoningPiece,
    TextPiece,
)
from llmkit.engines.decoder import DecodeRequest, Done, Prefill, Report, Sampling, Token, Tokens
from llmkit.engines.thinking import decode_within_budget
from llmkit.prompting.prompt import Prompting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from llmkit.cancellation import CancelToken
    from llmkit.engines.decoder import Decoder
    from llmkit.prompting.prompt import Prompt
    from llmkit.prompting.splitter import Piece, Splitter
    from llmkit.settings import Settings


class LocalEngine:
    """A decoder with the prompt path on top.

    Parameters
    ----------
    decoder : Decoder
        The model.
    model : str
        Its name.
    folder : Path, optional
        Where saved KV caches are kept; the user's cache folder by default.
    """

    def __init__(self, decoder: Decoder, model: str, folder: Path | None = None) -> None:
        self.decoder = decoder
        self.caches = NamedCaches(decoder, model, folder or caches_folder())
        self.prompting = Prompting(decoder)

    @property
    def info(self) -> EngineInfo:
        """What is known of the model; ``memory`` is measured when asked."""
        info = self.decoder.info
        return EngineInfo(info.engine, info.device, info.build, info.context_length, info.slots, info.memory)

    async def generate(self, request: EngineRequest, cancel: CancelToken) -> AsyncIterator[Delta]:
        """Answer a request; see :meth:`llmkit.engines.base.Engine.generate`."""
        prompt = await in_thread(self._prepare, request)
        for note in prompt.notes:
            yield Note(note)
        written = _Written(self.prompting.splitter(prompt))
        async for report in self._reports(request, prompt, cancel, written):
            match report:
                case Tokens(tokens):
                    yield Decoded(tokens)
                    for token in tokens:
                        for piece in written.take(token):
                            yield _delta(piece)
                case Done():
                    for piece in written.finish(report.tail):
                        yield _delta(piece)
                    if request.cache is not None and report.reason in {"stop", "length"}:
                        await in_thread(self.caches.extended, request.cache, (*prompt.ids, *written.ids))
                    yield replace(report, reasoning_tokens=written.reasoning_tokens)
                case Prefill():
                    yield report

    def close(self) -> None:
        """End all requests and free the model; blocks. A second call does nothing."""
        self.decoder.close()

    def _prepare(self, request: EngineRequest) -> Prompt:
        if request.cache is not None:
            self.caches.use(request.cache)
        return self.prompting.prompt(request.messages, request.settings)

    def _reports(
        self, request: EngineRequest, prompt: Prompt, cancel: CancelToken, written: _Written
    ) -> AsyncIterator[Report]:
        settings = request.settings
        room = self.decoder.info.context_length - len(prompt.ids)
        decode_request = DecodeRequest(
            id=request.id,
            prompt=prompt.ids,
            max_tokens=min(settings.max_output_tokens or room, room),
            sampling=sampling_from(settings, request.seed),
            stop=settings.stop,
            logprobs=settings.logprobs,
        )
        if settings.reasoning_budget is None or self.prompting.markers is None:
            return self._decode(decode_request, cancel)
        return decode_within_budget(
            self._decode,
            decode_request,
            cancel,
            budget=settings.reasoning_budget,
            reasoning_tokens=lambda: written.reasoning_tokens if written.reasoning else 0,
            closing=self.prompting.closing(),
        )

    async def _decode(self, request: DecodeRequest, cancel: CancelToken) -> AsyncIterator[Report]:
        """Yield the decoder's reports, brought over from its thread."""
        if cancel.cancelled:
            yield Done("cancelled")
            return
        loop = asyncio.get_running_loop()
        reports: asyncio.Queue[Report] = asyncio.Queue()

        def bring(report: Report) -> None:
            loop.call_soon_threadsafe(reports.put_nowait, report)

        self.decoder.decode(request, bring)
        forget = cancel.on_cancel(lambda: self.decoder.cancel(request.id))
        ended = False
        try:
            while not ended:
                report = await reports.get()
                ended = isinstance(report, Done)
                yield report
        finally:
            forget()
            if not ended:
                self.decoder.cancel(request.id)


class _Written:
    """What the model has written so far, as it is split."""

    def __init__(self, splitter: Splitter) -> None:
        self.ids: list[int] = []
        self.reasoning_tokens = 0
        self._splitter = splitter

    @property
    def reasoning(self) -> bool:
        """Whether the model is reasoning now."""
        return self._splitter.reasoning

    def take(self, token: Token) -> list[Piece]:
        """Take the next token; return what is certain by now."""
        self.ids.append(token.id)
        self.reasoning_tokens += self.reasoning
        return self._splitter.feed(token.text)

    def finish(self, tail: str) -> list[Piece]:
        """Take the last text; return what was held back."""
        return [*self._splitter.feed(tail), *self._splitter.finish()]


def sampling_from(settings: Settings, seed: int) -> Sampling:
    """Return the part of the settings that a decoder samples by."""
    return Sampling(
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        min_p=settings.min_p,
        presence_penalty=settings.presence_penalty,
        frequency_penalty=settings.frequency_penalty,
        repetition_penalty=settings.repetition_penalty,
        logit_bias=tuple(sorted(settings.logit_bias.items())),
        seed=seed,
    )


def _delta(piece: Piece) -> TextPiece | ReasoningPiece:
    return TextPiece(piece.text) if piece.kind == "text" else ReasoningPiece(piece.text)
