"""A local model behind the engine seam: a decoder under the shared prompt path."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.background import in_thread
from llmkit.caches import NamedCaches, caches_folder
from llmkit.engines.base import (
    Begun,
    CallDelta,
    CallRead,
    CallStart,
    CallUnread,
    Decoded,
    Delta,
    EngineInfo,
    EngineRequest,
    Note,
    ReasoningPiece,
    TextPiece,
)
from llmkit.engines.decoder import DecodeRequest, Done, Prefill, Report, Sampling, Token, Tokens
from llmkit.engines.local_beginning import Beginning, go_on
from llmkit.engines.thinking import decode_within_budget
from llmkit.prompting.call_ids import call_id
from llmkit.prompting.prompt import Prompting
from llmkit.tools.arguments import last_of_each_name
from llmkit.tools.dialects.base import (
    CallBegun,
    CallEnded,
    CallInput,
    CallUnreadable,
    ReasoningPart,
    TextPart,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from llmkit.cancellation import CancelToken
    from llmkit.engines.decoder import Decoder
    from llmkit.engines.raw import RawPiece, RawRequest
    from llmkit.engines.score import ScoreRequest
    from llmkit.prompting.prompt import Prompt
    from llmkit.settings import Settings
    from llmkit.tools.dialects.base import Dialect, Part


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
    dialect : Dialect, optional
        How the model writes tool calls; found from its template by default.
    """

    def __init__(
        self, decoder: Decoder, model: str, folder: Path | None = None, *, dialect: Dialect | None = None
    ) -> None:
        self.decoder = decoder
        self.caches = NamedCaches(decoder, model, folder or caches_folder())
        self.prompting = Prompting(decoder, dialect)

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
        written = _Written(request.id, prompt, self.prompting)
        beginning = await in_thread(self._beginning, request, prompt) if request.beginning else None
        async for report in self._reports(request, prompt, beginning, cancel, written):
            match report:
                case Begun(tokens):
                    yield report
                    for delta in written.begin(tokens):
                        yield delta
                case Tokens(tokens):
                    yield Decoded(tokens)
                    for token in tokens:
                        for delta in written.take(token):
                            yield delta
                case Done():
                    for delta in written.finish(report):
                        yield delta
                    if request.cache is not None and report.reason in {"stop", "length"}:
                        await in_thread(self.caches.extended, request.cache, (*prompt.ids, *written.ids))
                    yield replace(report, reasoning_tokens=written.reasoning_tokens - written.begun_reasoning)
                case Prefill():
                    yield report

    async def complete_raw(self, request: RawRequest, cancel: CancelToken) -> AsyncIterator[RawPiece]:
        """Continue prompts as they are; see :meth:`llmkit.engines.base.Engine.complete_raw`."""
        from llmkit.engines.local_raw import continued

        async with aclosing(continued(self.decoder, self._decode, request, cancel)) as pieces:
            async for piece in pieces:
                yield piece

    async def score(self, request: ScoreRequest, cancel: CancelToken) -> tuple[Token, ...]:
        """Score a text; see :meth:`llmkit.engines.base.Engine.score`."""
        from llmkit.engines.local_score import scored

        return await scored(self.decoder, self.prompting, self._decode, request, cancel)

    def close(self) -> None:
        """End all requests and free the model; blocks. A second call does nothing."""
        self.decoder.close()

    def _prepare(self, request: EngineRequest) -> Prompt:
        if request.cache is not None:
            self.caches.use(request.cache)
        return self.prompting.prompt(
            request.messages, request.settings, request.tools, request.tool_choice, request.output
        )

    def _beginning(self, request: EngineRequest, prompt: Prompt) -> Beginning:
        settings = request.settings
        return Beginning(
            self.decoder, prompt.ids, request.beginning, stop=settings.stop, limit=settings.max_output_tokens
        )

    def _reports(
        self,
        request: EngineRequest,
        prompt: Prompt,
        beginning: Beginning | None,
        cancel: CancelToken,
        written: _Written,
    ) -> AsyncIterator[Report | Begun]:
        settings = request.settings
        begun = () if beginning is None else beginning.ids
        room = self.decoder.info.context_length - len(prompt.ids) - len(begun)
        limit = None if settings.max_output_tokens is None else settings.max_output_tokens - len(begun)
        decode_request = DecodeRequest(
            id=request.id,
            prompt=(*prompt.ids, *begun),
            max_tokens=max(1, room if limit is None else min(limit, room)),
            sampling=sampling_from(settings, request.seed),
            stop=settings.stop,
            grammar=None if prompt.constraint is None else prompt.constraint.grammar,
            logprobs=settings.logprobs,
            special=prompt.special,
            lenient=request.output is not None and not request.tool_choice.binds,
            begun=len(begun),
        )
        if beginning is None:
            return self._decode_within_budget(settings, decode_request, prompt, cancel, written)
        return go_on(
            lambda enough: self._decode_within_budget(settings, decode_request, prompt, enough, written),
            beginning,
            cancel,
        )

    def _decode_within_budget(
        self, settings: Settings, request: DecodeRequest, prompt: Prompt, cancel: CancelToken, written: _Written
    ) -> AsyncIterator[Report]:
        if settings.reasoning_budget is None or self.prompting.markers is None:
            return self._decode(request, cancel)
        return decode_within_budget(
            self._decode,
            request,
            cancel,
            budget=settings.reasoning_budget,
            reasoning_tokens=lambda: written.reasoning_tokens if written.reasoning else 0,
            closing=self.prompting.closing(),
            grammar=None if prompt.constraint is None else prompt.constraint.answer,
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

    def __init__(self, request_id: str, prompt: Prompt, prompting: Prompting) -> None:
        self.ids: list[int] = []
        self.reasoning_tokens = 0
        self.begun_reasoning = 0
        self._request_id = request_id
        self._prompting = prompting
        self._special = prompt.special
        self._bound = prompt.constraint is not None
        self._splitter = prompt.splitter
        self._calls = 0
        self._open = False

    @property
    def reasoning(self) -> bool:
        """Whether the model is reasoning now."""
        return self._splitter.reasoning

    def begin(self, tokens: tuple[Token, ...]) -> list[Delta]:
        """Take the tokens that the answer begins with; return what is certain by now, in few pieces."""
        deltas: list[Delta] = []
        for delta in (delta for token in tokens for delta in self.take(token)):
            match deltas[-1:], delta:
                case ([TextPiece(before)], TextPiece(text)):
                    deltas[-1] = TextPiece(before + text)
                case ([ReasoningPiece(before)], ReasoningPiece(text)):
                    deltas[-1] = ReasoningPiece(before + text)
                case _:
                    deltas.append(delta)
        self.begun_reasoning = self.reasoning_tokens
        return deltas

    def take(self, token: Token) -> list[Delta]:
        """Take the next token; return what is certain by now."""
        self.ids.append(token.id)
        self.reasoning_tokens += self.reasoning
        text = self._prompting.shown(token) if self._special else token.text
        return self._deltas(self._splitter.feed(text))

    def finish(self, done: Done) -> list[Delta]:
        """Take the last text; return what was held back."""
        parts = [*self._splitter.feed(done.tail), *self._splitter.finish(complete=done.reason == "stop")]
        return self._deltas(parts)

    def _deltas(self, parts: list[Part]) -> list[Delta]:
        return [delta for part in parts if (delta := self._delta(part)) is not None]

    def _delta(self, part: Part) -> Delta | None:
        """Return what is told of a part; ``None`` for markup."""
        delta: Delta | None = None
        match part:
            case TextPart(text):
                delta = TextPiece(text)
            case ReasoningPart(text):
                delta = ReasoningPiece(text)
            case CallBegun(name):
                delta = CallStart(self._id(begins=True), name)
            case CallInput(text):
                delta = CallDelta(self._id(), text)
            case CallEnded(name, arguments, raw):
                if self._bound and isinstance(arguments, str):
                    arguments = last_of_each_name(arguments)
                delta = CallRead(self._id(ends=True), name, arguments, raw)
            case CallUnreadable(message, raw, name):
                delta = CallUnread(self._id(begins=not self._open, ends=True), message, raw, name)
        return delta

    def _id(self, *, begins: bool = False, ends: bool = False) -> str:
        """Return the id of the call that is being written."""
        self._calls += begins
        self._open = not ends
        return call_id(self._request_id, self._calls)


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
