"""The part of a step in which the model works: it reads the prompt, thinks, writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit import events

if TYPE_CHECKING:
    from llmkit.results import Stats, StepResult
    from llmkit.tracing.span import Kind, Status
    from llmkit.tracing.spans import Spans

_WRITING = (
    events.TextStart,
    events.TextDelta,
    events.TextEnd,
    events.ReasoningStart,
    events.ReasoningDelta,
    events.ReasoningEnd,
    events.TokensDecoded,
    events.ToolInputStart,
    events.ToolInputDelta,
    events.ToolInputEnd,
)
_ELSEWHERE = (events.ApprovalRequested, events.ToolStarted)


class Answer:
    """The spans ``prefill``, ``decode`` and ``reasoning`` of one step.

    A model may go on writing while its first call waits for a decision or runs already. So what looks like the end of
    decoding is taken back when another piece comes. What doesn't stream tells no times by its events; then the step's
    stats do, when it is over.

    Parameters
    ----------
    spans : Spans
        Where they go.
    step : int
        The id of the step's span.
    """

    def __init__(self, spans: Spans, step: int) -> None:
        self._spans = spans
        self._step = step
        self._prefill: int | None = None
        self._decode: int | None = None
        self._reasoning: int | None = None
        self._last = 0.0

    def take(self, event: events.Event) -> None:
        """Fold the step's next event in; those of other matters change nothing."""
        match event:
            case events.Prefill():
                tokens = {"prompt_tokens": event.total, "cache_tokens": event.cached, "done": event.done}
                self._spans.note(self._reading(), **tokens)
            case _ if isinstance(event, _WRITING):
                self._write(event)
            case _ if isinstance(event, _ELSEWHERE):
                self._pause()

    def finish(self, result: StepResult, time: float) -> None:
        """End what is open when the step does, and add what its stats tell."""
        stats = result.stats
        if self._decode is None and stats is not None:
            self._derive(stats, time)
        if stats is not None and self._prefill is not None:
            rate = stats.prompt_tokens_per_second
            self._spans.note(self._prefill, prompt_tokens=stats.prompt_tokens, cache_tokens=stats.cache_tokens)
            self._spans.note(self._prefill, done=None, tokens_per_second=rate)
        if stats is not None and self._decode is not None:
            rate, count = stats.tokens_per_second, stats.generated_tokens
            self._spans.note(self._decode, generated_tokens=count, tokens_per_second=rate)
        self.stop(time, {"cancelled": "cancelled", "error": "error"}.get(result.finish_reason, "ok"))  # type: ignore[arg-type]  # both are literals

    def stop(self, time: float, status: Status) -> None:
        """End what is open: the last piece was the end of decoding, unless the run was stopped in it."""
        for id_ in (self._reasoning, self._decode, self._prefill):
            if id_ is not None and self._spans[id_].status == "open":
                known = status == "ok" and id_ != self._prefill
                self._spans.close(id_, self._last if known else time, status)

    def _open(self, kind: Kind, start: float, parent: int | None = None) -> int:
        step = self._spans[self._step]
        return self._spans.open(kind, kind, start, step.step, step.id if parent is None else parent)

    def _reading(self) -> int:
        """Return the prefill's span; it began with the step."""
        if self._prefill is None:
            self._prefill = self._open("prefill", self._spans[self._step].start)
        return self._prefill

    def _write(self, event: events.Event) -> None:
        self._last = event.time
        if self._decode is None:
            self._spans.close(self._reading(), event.time)
            self._decode = self._open("decode", event.time)
        elif self._spans[self._decode].status != "open":
            self._spans.change(self._decode, end=None, status="open")
        if isinstance(event, events.ReasoningStart):
            self._reasoning = self._open("reasoning", event.time, self._decode)
        elif isinstance(event, events.ReasoningEnd) and self._reasoning is not None:
            self._spans.close(self._reasoning, event.time)
            self._reasoning = None

    def _pause(self) -> None:
        if self._decode is not None and self._spans[self._decode].status == "open":
            self._spans.close(self._decode, self._last)

    def _derive(self, stats: Stats, time: float) -> None:
        """Make the spans of an answer that came in one piece."""
        start = self._spans[self._step].start
        if not stats.generated_tokens or stats.prefill_time is None:
            return
        first = min(time, start + stats.prefill_time)
        self._spans.close(self._reading(), first)
        self._decode = self._open("decode", first)
        self._spans.close(self._decode, min(time, first + (stats.decode_time or 0.0)))
