"""One step of a run: an engine's deltas become events and, at the end, a result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llmkit import events
from llmkit.engines.base import CallFailed, CallMade, Decoded, Note, ReasoningPiece, TextPiece
from llmkit.engines.decoder import Done, Prefill
from llmkit.messages import Message
from llmkit.results import Response, Stats, StepResult, Usage

if TYPE_CHECKING:
    from llmkit.engines.base import Delta, EngineInfo
    from llmkit.engines.decoder import Token
    from llmkit.log import EventLog
    from llmkit.request import RunRequest
    from llmkit.settings import FinishReason
    from llmkit.tools.calls import ToolCall, ToolCallError

_STRETCHES: dict[str, tuple[type[events.Event], type[events.Event], type[events.Event]]] = {
    "text": (events.TextStart, events.TextDelta, events.TextEnd),
    "reasoning": (events.ReasoningStart, events.ReasoningDelta, events.ReasoningEnd),
}


class Step:
    """Takes a step's deltas as they come.

    Parameters
    ----------
    number : int
        From 0.
    request : RunRequest
        What the run was asked.
    log : EventLog
        Where events go.
    began : float
        ``time.perf_counter()`` when the step was asked for, queueing included.
    """

    def __init__(self, number: int, request: RunRequest, log: EventLog, began: float) -> None:
        self.number = number
        self.done: Done | None = None
        self._request = request
        self._log = log
        self._began = began
        self._first_token_at: float | None = None
        self._last_token_at: float | None = None
        self._stretch: str | None = None
        self._written: dict[str, list[str]] = {"text": [], "reasoning": []}
        self._raw: list[str] = []
        self._tokens: list[Token] = []
        self._count = 0
        self._calls: list[ToolCall] = []
        self._call_errors: list[ToolCallError] = []
        self._notes: list[str] = []
        self._prefill: Prefill | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._written["text"])

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return "".join(self._written["reasoning"])

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far."""
        return tuple(self._calls)

    @property
    def decoding(self) -> bool:
        """Whether the first token has come."""
        return self._first_token_at is not None

    def take(self, delta: Delta) -> None:
        """Turn a delta into events."""
        match delta:
            case TextPiece(text):
                self._write("text", text)
            case ReasoningPiece(text):
                self._write("reasoning", text)
            case Decoded(tokens):
                self._decoded(tokens)
            case Prefill(done, total, cached):
                self._prefill = delta
                self._log.emit(events.Prefill, step=self.number, done=done, total=total, cached=cached)
            case CallMade(call):
                self._calls.append(call)
                self._log.emit(events.ToolCallMade, step=self.number, call=call)
            case CallFailed(error):
                self._call_errors.append(error)
                self._log.emit(events.ToolCallFailed, step=self.number, error=error)
            case Note(text):
                self._notes.append(text)
            case Done():
                self.done = delta
                self._end_stretch()

    def result(self, info: EngineInfo, *, queue_time: float, load_time: float | None, concurrency: int) -> StepResult:
        """Return what the step came to."""
        done = self.done or Done("error")
        reason: FinishReason = done.reason
        answer = Message("assistant", self.text, self.reasoning, self.calls)
        stats = self._stats(info, done, queue_time=queue_time, load_time=load_time, concurrency=concurrency)
        return StepResult(
            step_number=self.number,
            model=self._request.model,
            text=self.text,
            reasoning=self.reasoning,
            tool_calls=self.calls,
            tool_call_errors=tuple(self._call_errors),
            finish_reason=reason,
            raw_finish_reason=done.raw_reason or done.reason,
            usage=self._usage(done),
            stats=stats if self._request.profiling else None,
            response=Response(f"{self._request.run_id}-{self.number}", time.time(), self._request.model, (answer,)),
            tokens=tuple(self._tokens),
            warnings=tuple(self._notes),
            raw_text="".join(self._raw) + done.tail,
        )

    def _decoded(self, tokens: tuple[Token, ...]) -> None:
        self._last_token_at = time.perf_counter()
        self._first_token_at = self._first_token_at or self._last_token_at
        self._count += len(tokens)
        self._raw.extend(token.text for token in tokens)
        if self._request.settings.logprobs is not None:
            self._tokens.extend(tokens)
            self._log.emit(events.TokensDecoded, step=self.number, tokens=tokens)

    def _write(self, kind: str, text: str) -> None:
        self._written[kind].append(text)
        if not self._request.stream:
            return
        if self._stretch != kind:
            self._end_stretch()
            self._log.emit(_STRETCHES[kind][0], step=self.number)
            self._stretch = kind
        self._log.emit(_STRETCHES[kind][1], step=self.number, text=text)

    def _end_stretch(self) -> None:
        if self._stretch is not None:
            self._log.emit(_STRETCHES[self._stretch][2], step=self.number)
            self._stretch = None

    def _usage(self, done: Done) -> Usage:
        prompt, cached = self._prompt_counts(done)
        output = self._generated(done)
        known = prompt is not None and output is not None
        return Usage(
            input_tokens=prompt,
            output_tokens=output,
            total_tokens=prompt + output if known and prompt is not None and output is not None else None,
            no_cache_tokens=prompt - cached if prompt is not None and cached is not None else None,
            cache_read_tokens=cached,
            text_tokens=output - done.reasoning_tokens
            if output is not None and done.reasoning_tokens is not None
            else None,
            reasoning_tokens=done.reasoning_tokens,
        )

    def _prompt_counts(self, done: Done) -> tuple[int | None, int | None]:
        """Return prompt and cached tokens; after a cancel the engine may know less than its progress told."""
        seen = self._prefill
        prompt = done.prompt_tokens if done.prompt_tokens is not None else seen.total if seen else None
        cached = done.cached_tokens if done.cached_tokens is not None else seen.cached if seen else None
        return prompt, cached

    def _generated(self, done: Done) -> int | None:
        return done.generated_tokens if done.generated_tokens is not None else self._count

    def _stats(
        self, info: EngineInfo, done: Done, *, queue_time: float, load_time: float | None, concurrency: int
    ) -> Stats:
        first, last = self._first_token_at, self._last_token_at
        prompt, cached = self._prompt_counts(done)
        to_first = first - self._began if first is not None else None
        prefill_time = done.prefill_time
        if prefill_time is None and to_first is not None:
            prefill_time = max(0.0, to_first - queue_time - (load_time or 0.0))
        decode_time = done.decode_time
        if decode_time is None and first is not None and last is not None:
            decode_time = last - first
        return Stats(
            prompt_tokens=prompt,
            cache_tokens=cached,
            generated_tokens=self._generated(done),
            time_to_first_token=to_first,
            queue_time=queue_time,
            load_time=load_time,
            prefill_time=prefill_time,
            decode_time=decode_time,
            total_time=time.perf_counter() - self._began,
            peak_memory=info.memory,
            device=info.device,
            concurrency=concurrency,
            seed=self._request.seed,
        )
