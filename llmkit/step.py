"""One step of a run: an engine's deltas become events and, at the end, a result."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llmkit import events
from llmkit.engines.base import (
    Begun,
    CallDelta,
    CallRead,
    CallStart,
    CallUnread,
    Decoded,
    Note,
    ReasoningPiece,
    TextPiece,
)
from llmkit.engines.decoder import Done, Prefill
from llmkit.measuring import Meter
from llmkit.messages import Message
from llmkit.results import Response, Spoken, Stats, StepResult, Usage
from llmkit.tools.calls import ToolCall

if TYPE_CHECKING:
    from llmkit.engines.base import Delta, EngineInfo
    from llmkit.engines.decoder import Token
    from llmkit.log import EventLog
    from llmkit.preparing import StepPlan
    from llmkit.request import RunRequest
    from llmkit.seen import Seen
    from llmkit.settings import FinishReason
    from llmkit.tools.calls import ToolCallError
    from llmkit.tools.results import ToolResult

Kind: TypeAlias = Literal["text", "reasoning"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step's calls came to.

    Parameters
    ----------
    results : tuple of ToolResult
        In the order of the calls.
    tool_time, approval_time : float, optional
        Seconds in which any handler ran, and in which any call waited for a decision.
    """

    results: tuple[ToolResult, ...] = ()
    tool_time: float | None = None
    approval_time: float | None = None


@dataclass(slots=True)
class _Pieces:
    """Text or reasoning that is still coming."""

    kind: Kind
    pieces: list[str]


def _told(result: ToolResult) -> Message:
    return Message("tool", result.model_text, tool_call_id=result.call.id, name=result.call.name)


def _whole(part: _Pieces | ToolCall | ToolCallError) -> Spoken | ToolCall | ToolCallError:
    return Spoken(part.kind, "".join(part.pieces)) if isinstance(part, _Pieces) else part


_STRETCHES: dict[str, tuple[type[events.Event], type[events.Event], type[events.Event]]] = {
    "text": (events.TextStart, events.TextDelta, events.TextEnd),
    "reasoning": (events.ReasoningStart, events.ReasoningDelta, events.ReasoningEnd),
}


class Step:
    """Takes a step's deltas as they come.

    Parameters
    ----------
    plan : StepPlan
        What this step asks.
    request : RunRequest
        What the run was asked.
    log : EventLog
        Where events go.
    began : float
        ``time.perf_counter()`` when the step was asked for, queueing included.
    seen : Seen
        What the run's earlier steps had.
    """

    def __init__(self, plan: StepPlan, request: RunRequest, log: EventLog, began: float, seen: Seen) -> None:
        self.number = plan.number
        self.plan = plan
        self.done: Done | None = None
        self.unchecked: list[CallRead | CallUnread] = []
        """Calls that were written and not yet looked at."""
        self._seen = seen
        self._request = request
        self._log = log
        self.meter = Meter(began)
        self._stretch: str | None = None
        self._writing: str | None = None
        self._written: dict[str, list[str]] = {"text": [], "reasoning": []}
        self._content: list[_Pieces | ToolCall | ToolCallError] = []
        self._raw: list[str] = []
        self._tokens: list[Token] = []
        self._calls: list[ToolCall] = []
        self._call_errors: list[ToolCallError] = []
        self._notes: list[str] = []

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
    def call_errors(self) -> tuple[ToolCallError, ...]:
        """What was meant as a call so far and is none."""
        return tuple(self._call_errors)

    @property
    def silent(self) -> bool:
        """Whether nothing at all has come yet, so that the engine can be asked again."""
        return not (self.meter.started or self._content or self._raw)

    @property
    def decoding(self) -> bool:
        """Whether the first token has come."""
        return self.meter.started

    def take(self, delta: Delta) -> None:
        """Turn a delta into events."""
        match delta:
            case TextPiece(text):
                self._write("text", text)
            case ReasoningPiece(text):
                self._write("reasoning", text)
            case Decoded(tokens):
                self._decoded(tokens)
            case Begun(tokens):
                self._keep(tokens)
            case Prefill(done, total, cached):
                self.meter.prefill(delta)
                self._log.emit(events.Prefill, step=self.number, done=done, total=total, cached=cached)
            case CallStart() | CallDelta() | CallRead() | CallUnread():
                self._write_call(delta)
            case Note(text):
                self.note(text)
            case Done():
                self.done = delta
                self._end_stretch()
                self._end_input()

    def note(self, text: str) -> None:
        """Tell a person something, now and in the step's warnings."""
        self._notes.append(text)
        if self._seen.first(text):
            self._log.emit(events.Noted, step=self.number, text=text)

    def made(self, call: ToolCall) -> None:
        """Take a call that was checked and found good."""
        self._calls.append(call)
        self._content.append(call)
        self._log.emit(events.ToolCallMade, step=self.number, call=call)

    def failed(self, error: ToolCallError) -> None:
        """Take words that were meant as a call and are none."""
        self._call_errors.append(error)
        self._content.append(error)
        self._log.emit(events.ToolCallFailed, step=self.number, error=error)

    def respond(self) -> None:
        """Tell that the model's answer is whole, if it is."""
        done = self.done
        if done is None or done.reason in {"cancelled", "error"}:
            return
        from llmkit.responses.answered import model_response

        content = tuple(_whole(part) for part in self._content)
        response = model_response(
            self._response_id(done), content, self.meter.usage(done), self._reason(done), self._provider_data(done)
        )
        self._log.emit(events.ResponseDone, step=self.number, response=response)

    def result(self, info: EngineInfo, outcome: Outcome, **known: Any) -> StepResult:
        """Return what the step came to; ``known`` are stats that only the loop knows."""
        done = self.done or Done("error")
        stats = self.meter.stats(
            done,
            tool_time=outcome.tool_time,
            approval_time=outcome.approval_time,
            peak_memory=info.memory,
            device=info.device,
            seed=self._request.seed,
            **known,
        )
        return self._result(
            outcome,
            stats,
            self._messages(outcome.results),
            engine=info.engine,
            finish_reason=self._reason(done),
            raw_finish_reason=done.raw_reason or done.reason,
            usage=self.meter.usage(done),
            raw_text=self._raw_text(done),
        )

    def resumed(self, outcome: Outcome) -> StepResult:
        """Return what a step came to that only carried out the calls of an earlier run; no model was asked."""
        told = tuple(_told(result) for result in outcome.results)
        stats = Stats(tool_time=outcome.tool_time, approval_time=outcome.approval_time, total_time=self.meter.elapsed)
        return self._result(
            outcome,
            stats,
            told,
            finish_reason="tool-calls",
            raw_finish_reason="resumed",
            usage=Usage(requests=0),
        )

    def _result(self, outcome: Outcome, stats: Stats, messages: tuple[Message, ...], **known: Any) -> StepResult:
        request, plan = self._request, self.plan
        model = str(plan.model)
        done = self.done or Done("error")
        response = Response(self._response_id(done), time.time(), model, messages, self._provider_data(done))
        return StepResult(
            step_number=self.number,
            model=model,
            content=(*(_whole(part) for part in self._content), *outcome.results),
            text=self.text,
            reasoning=self.reasoning,
            tool_calls=self.calls,
            tool_call_errors=tuple(self._call_errors),
            tool_results=outcome.results,
            stats=stats if request.profiling else None,
            response=response,
            tokens=tuple(self._tokens),
            warnings=tuple(self._notes),
            request=plan if "request" in request.include else None,
            function_id=request.function_id,
            metadata=request.metadata,
            context=plan.context,
            **known,
        )

    def _reason(self, done: Done) -> FinishReason:
        return "tool-calls" if done.reason == "stop" and (self._calls or self._call_errors) else done.reason

    def _response_id(self, done: Done) -> str:
        return str(done.provider_data.get("id") or f"{self._request.run_id}-{self.number}")

    def _provider_data(self, done: Done) -> dict[str, Any]:
        told = {"model": str(self.plan.model), "finish_reason": done.raw_reason or done.reason}
        return {**told, **done.provider_data}

    def _raw_text(self, done: Done) -> str:
        if "raw_text" not in self._request.include:
            return ""
        return "".join(self._raw) + done.tail if self._raw else self.reasoning + self.text

    def _messages(self, results: tuple[ToolResult, ...]) -> tuple[Message, ...]:
        """Return what the step adds to the conversation: the answer, then what its calls came to."""
        errors = self._call_errors
        meant = [ToolCall(error.id, error.name, error.arguments or {}, error.raw) for error in errors if error.name]
        unread = "".join(error.raw for error in errors if not error.name)
        answer = Message("assistant", self.text + unread, self.reasoning, (*self._calls, *meant))
        told = [_told(result) for result in results]
        wrong = [
            Message("tool", f"Error: {error.message}", tool_call_id=error.id, name=error.name or None)
            for error in errors
        ]
        return (answer, *told, *wrong)

    def _write_call(self, delta: CallStart | CallDelta | CallRead | CallUnread) -> None:
        delta = replace(delta, id=self._seen.unique(delta.id, new=isinstance(delta, CallStart)))
        match delta:
            case CallRead() | CallUnread():
                self.unchecked.append(delta)
                self._end_input()
            case CallStart(id_, name):
                self._end_stretch()
                if self._request.stream:
                    self._writing = id_
                    self._log.emit(events.ToolInputStart, step=self.number, id=id_, name=name)
            case CallDelta(id_, text):
                if self._request.stream:
                    self._log.emit(events.ToolInputDelta, step=self.number, id=id_, text=text)

    def _end_input(self) -> None:
        if self._writing is not None:
            self._log.emit(events.ToolInputEnd, step=self.number, id=self._writing)
            self._writing = None

    def _decoded(self, tokens: tuple[Token, ...]) -> None:
        self.meter.decoded(len(tokens))
        if tokens:
            self._keep(tokens)

    def _keep(self, tokens: tuple[Token, ...]) -> None:
        self._raw.extend(token.text for token in tokens)
        if self.plan.settings.logprobs is not None:
            self._tokens.extend(tokens)
            self._log.emit(events.TokensDecoded, step=self.number, tokens=tokens)

    def _write(self, kind: Kind, text: str) -> None:
        self._written[kind].append(text)
        self._say(kind, text)
        if not self._request.stream:
            return
        if self._stretch != kind:
            self._end_stretch()
            self._log.emit(_STRETCHES[kind][0], step=self.number)
            self._stretch = kind
        self._log.emit(_STRETCHES[kind][1], step=self.number, text=text)

    def _say(self, kind: Kind, text: str) -> None:
        """Add to the content in the order in which it came."""
        last = self._content[-1] if self._content else None
        if isinstance(last, _Pieces) and last.kind == kind:
            last.pieces.append(text)
        else:
            self._content.append(_Pieces(kind, [text]))

    def _end_stretch(self) -> None:
        if self._stretch is not None:
            self._log.emit(_STRETCHES[self._stretch][2], step=self.number)
            self._stretch = None
