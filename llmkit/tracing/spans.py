"""A run's events, folded into spans: live, as they come, or from a record of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit import events
from llmkit.records.outputs import output_json
from llmkit.records.values import bounded, error_text, to_bounded_json
from llmkit.tracing.answer import Answer
from llmkit.tracing.span import MAX_NAME, MAX_TEXT, Kind, Span, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmkit.errors import Error
    from llmkit.results import StepResult, Usage
    from llmkit.tools.results import ToolResult

_TOOL_STATUS: dict[str, Status] = {"success": "ok", "timeout": "timeout", "cancelled": "cancelled", "denied": "denied"}
_VERDICT_STATUS: dict[str, Status] = {"allow": "ok", "deny": "denied", "pend": "pending", "cancel": "cancelled"}
_END_STATUS: dict[str, Status] = {"finish": "ok", "abort": "cancelled", "error": "error"}


class Spans:
    """The spans of one run, as far as its events have come. Iterating gives them in the order of their ids."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._changed: dict[int, None] = {}
        self._run: int | None = None
        self._step: int | None = None
        self._next_step = 0
        self._wait: int | None = None
        self._answer: Answer | None = None
        self._approvals: dict[str, int] = {}
        self._tools: dict[str, int] = {}
        self._deciders: dict[str, str] = {}

    def __iter__(self) -> Iterator[Span]:
        return iter(tuple(self._spans))

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, id_: int) -> Span:
        return self._spans[id_]

    def take(self, event: events.Event) -> tuple[Span, ...]:
        """Fold the run's next event in.

        Returns
        -------
        tuple of Span
            Those that are new or have changed. A piece of text changes none.
        """
        self._changed.clear()
        if self._run is None:
            self._run = self.open("run", "run", event.time, None)
        self._fold(event)
        return tuple(self._spans[each] for each in self._changed)

    # -- for the parts ------------------------------------------------------------------------------------------

    def open(
        self, kind: Kind, name: str, start: float, step: int | None, parent: int | None = None, **attributes: Any
    ) -> int:
        """Begin a span in ``parent``, or in the run; return its id."""
        id_ = len(self._spans)
        up = self._run if parent is None else parent
        self._spans.append(Span(id_, up, kind, bounded(name, MAX_NAME), step, start, attributes=_known(attributes)))
        self._changed[id_] = None
        return id_

    def change(self, id_: int, **fields: Any) -> None:
        """Replace fields of a span."""
        self._spans[id_] = replace(self._spans[id_], **fields)
        self._changed[id_] = None

    def note(self, id_: int, **attributes: Any) -> None:
        """Set attributes of a span; ``None`` takes one away."""
        self.change(id_, attributes=_known({**self._spans[id_].attributes, **attributes}))

    def close(self, id_: int, end: float, status: Status = "ok", **attributes: Any) -> None:
        """End a span. The clock may have been set back meanwhile; no span ends before it begins."""
        self.change(id_, end=max(end, self._spans[id_].start), status=status)
        self.note(id_, **attributes)

    # -- events -------------------------------------------------------------------------------------------------

    def _fold(self, event: events.Event) -> None:
        match event:
            case events.Start():
                self._start(event)
            case events.Queue(position=position):
                self._waits("queue", "queue", event.time, position=position)
            case events.Load():
                total = event.total if event.stage == "fetch" else None
                self._waits("load", event.stage, event.time, file=_text(event.file), bytes=total)
            case events.StepStart():
                self._start_step(event)
            case events.Retry():
                self._retry(event)
            case events.ToolCallFailed():
                self._call_failed(event)
            case events.ApprovalRequested() | events.ApprovalDecided():
                self._approval(event)
            case events.ToolStarted() | events.ToolPreliminary() | events.ToolFinished() | events.ToolFailed():
                self._tool(event)
            case events.StepFinish(result=result):
                self._finish_step(result, event.time)
            case events.End():
                self._end(event)
        if self._answer is not None:
            self._answer.take(event)

    def _start(self, event: events.Start) -> None:
        assert self._run is not None  # noqa: S101 - take() saw to it
        self.change(self._run, name=bounded(event.function_id or "run", MAX_NAME), start=event.time)
        self.note(
            self._run,
            run_id=event.run_id,
            session_id=event.session_id,
            model=event.model,
            engine=event.engine,
            stream=event.stream,
            prompt=_text(event.prompt),
        )

    def _waits(self, kind: Kind, name: str, time: float, **attributes: Any) -> None:
        """Note that the run waits for its turn or for the model; such spans follow one another."""
        current = None if self._wait is None else self._spans[self._wait]
        if current is not None and (current.kind, current.name) == (kind, name):
            self.note(current.id, **attributes)
            return
        self._end_wait(time)
        self._wait = self.open(kind, name, time, self._next_step, **attributes)

    def _end_wait(self, time: float, status: Status = "ok") -> None:
        if self._wait is not None:
            self.close(self._wait, time, status)
            self._wait = None

    def _start_step(self, event: events.StepStart) -> None:
        self._end_wait(event.time)
        self._next_step = event.step + 1
        self._step = self.open(
            "step", f"step {event.step}", event.time, event.step, model=event.model, engine=event.engine
        )
        self._answer = Answer(self, self._step)

    def _retry(self, event: events.Retry) -> None:
        retry = self.open(
            "retry", f"retry {event.attempt}", event.time, event.step, self._step, error=_error(event.error)
        )
        self.close(retry, event.time + max(0.0, event.delay))

    def _call_failed(self, event: events.ToolCallFailed) -> None:
        error = event.error
        failed = self.open("call-error", error.name or "unreadable call", event.time, event.step, self._step)
        told = {"error_code": error.code, "error": _text(error.message), "raw": _text(error.raw)}
        self.close(failed, event.time, "error", call_id=error.id, **told)

    def _approval(self, event: events.ApprovalRequested | events.ApprovalDecided) -> None:
        if isinstance(event, events.ApprovalRequested):
            call = event.request.call
            self._approvals[call.id] = self.open(
                "approval",
                call.name,
                event.time,
                event.step,
                self._step,
                call_id=call.id,
                arguments=_json(call.arguments),
                request_reason=_text(event.request.reason),
            )
        elif event.ruling.accepted:
            self._decided(event)

    def _decided(self, event: events.ApprovalDecided) -> None:
        ruling, time = event.ruling, event.time
        self._deciders[ruling.call_id] = ruling.by
        approval = self._approvals.pop(ruling.call_id, None)
        if approval is None and ruling.verdict == "deny":  # by a rule, say: nobody was asked, and no tool will run
            arguments = _json(ruling.shown_arguments)
            approval = self.open(
                "approval", ruling.tool, time, event.step, self._step, call_id=ruling.call_id, arguments=arguments
            )
        if approval is not None:
            self.close(
                approval,
                time,
                _VERDICT_STATUS[ruling.verdict],
                decided_by=ruling.by,
                reason=_text(ruling.reason),
                edited=ruling.edited if ruling.verdict == "allow" else None,
            )

    def _tool(
        self, event: events.ToolStarted | events.ToolPreliminary | events.ToolFinished | events.ToolFailed
    ) -> None:
        match event:
            case events.ToolStarted(call=call):
                self._tools[call.id] = self.open(
                    "tool",
                    call.name,
                    event.time,
                    event.step,
                    self._step,
                    call_id=call.id,
                    arguments=_json(event.arguments),
                    decided_by=self._deciders.get(call.id),
                )
            case events.ToolPreliminary(call=call) if call.id in self._tools:
                tool = self._tools[call.id]
                count = self._spans[tool].attributes.get("preliminary_results", 0) + 1
                self.note(tool, preliminary_results=count)
            case events.ToolFinished(result=result) | events.ToolFailed(result=result):
                self._finish_tool(result, event.time)

    def _finish_tool(self, result: ToolResult, time: float) -> None:
        tool = self._tools.pop(result.call.id, None)
        if tool is None:
            return
        self.close(
            tool,
            time,
            _TOOL_STATUS.get(result.outcome, "error"),
            output=output_json(result.output, MAX_TEXT) if result.success else None,
            error=None if result.error is None else bounded(error_text(result.error), MAX_TEXT),
            error_kind=None if result.error is None else type(result.error).__name__,
            printed=_text(result.printed),
            handler_time=result.duration,
        )

    def _finish_step(self, result: StepResult, time: float) -> None:
        if self._step is None:
            return
        if self._answer is not None:
            self._answer.finish(result, time)
        status: Status = {"cancelled": "cancelled", "error": "error"}.get(result.finish_reason, "ok")  # type: ignore[assignment]  # both are literals
        self.close(
            self._step,
            time,
            status,
            **_usage(result.usage),
            finish_reason=result.finish_reason,
            response_id=result.response.id,
            time_to_first_token=None if result.stats is None else result.stats.time_to_first_token,
            text=_text(result.text),
            reasoning=_text(result.reasoning),
        )
        self._step = self._answer = None

    def _end(self, event: events.End) -> None:
        status = _END_STATUS[event.type]
        error = _error(event.error) if isinstance(event, events.Failure) else None
        if self._answer is not None:
            self._answer.stop(event.time, status)
        self._end_wait(event.time, status)
        for span in self._spans[1:]:
            if span.status == "open":
                left = span.kind == "approval" and status == "ok"
                self.close(span.id, event.time, "pending" if left else status)
            elif span.end is not None and span.end > event.time:  # a pause before a retry that never came
                self.change(span.id, end=max(span.start, event.time), status=status)
        assert self._run is not None  # noqa: S101 - take() saw to it
        self.close(
            self._run,
            event.time,
            status,
            **_usage(event.usage),
            steps=self._next_step,
            finish_reason=event.finish_reason,
            stop_reason=event.stop_reason,
            reason=_text(event.reason) if isinstance(event, events.Abort) else None,
            error=error,
            error_kind=type(event.error).__name__ if isinstance(event, events.Failure) else None,
        )
        self._step = self._answer = None


def spans_of(log: Iterable[events.Event]) -> tuple[Span, ...]:
    """Return the spans of a run, or of as much of it as there is.

    Parameters
    ----------
    log : iterable of Event
        The run's events from the first on.
    """
    spans = Spans()
    for event in log:
        spans.take(event)
    return tuple(spans)


def _known(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return what there is of attributes, its texts clean and bounded; JSON in JSON may be twice as long as text."""
    return {
        name: bounded(value, 2 * MAX_TEXT + 4) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None and value != ""
    }


def _text(text: str) -> str:
    return bounded(text, MAX_TEXT)


def _json(arguments: Any) -> str | None:
    return None if arguments is None else to_bounded_json(arguments, MAX_TEXT)


def _error(error: Error) -> str:
    return bounded(error_text(error), MAX_TEXT)


def _usage(usage: Usage) -> dict[str, int | None]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
