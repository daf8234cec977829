"""Runs for the ledger to record, made of events alone."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from llmkit.approval.decision import Ruling
from llmkit.approval.request import ApprovalRequest
from llmkit.engines.decoder import Alternative, Token
from llmkit.errors import Error, TimeoutError  # noqa: A004 - the field's name
from llmkit.events import (
    Abort,
    ApprovalDecided,
    ApprovalRequested,
    End,
    Event,
    Failure,
    Finish,
    ReasoningDelta,
    Start,
    StepFinish,
    StepStart,
    TextDelta,
    TokensDecoded,
    ToolCallMade,
    ToolDenied,
    ToolFailed,
    ToolFinished,
    ToolStarted,
)
from llmkit.messages import Message
from llmkit.results import Response, Stats, StepResult, Usage
from llmkit.settings import Settings
from llmkit.tools.calls import ToolCall
from llmkit.tools.results import ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable

USAGE = Usage(input_tokens=12, output_tokens=3, total_tokens=15, cache_read_tokens=8, no_cache_tokens=4)
STATS = Stats(
    prompt_tokens=12,
    cache_tokens=8,
    generated_tokens=3,
    time_to_first_token=0.25,
    prefill_time=0.2,
    decode_time=0.5,
    total_time=0.75,
    peak_memory=200_000_000,
    device="cpu",
    concurrency=2,
    seed=4_294_967_295,
)
TOKENS = (
    Token(7, "Hel", -0.5, (Alternative(7, "Hel", -0.5), Alternative(9, "Hi", -1.5))),
    Token(8, "lo", -0.25),
)
ENDS: dict[str, type[End]] = {"done": Finish, "cancelled": Abort, "failed": Failure}


class Story:
    """Tells a recorder the events of one run.

    Parameters
    ----------
    take : callable
        The recorder.
    run_id : str
        The run's id.
    **start
        Fields of the start that are to differ.
    """

    def __init__(self, take: Callable[[Event], None], run_id: str = "run-1", **start: Any) -> None:
        self._take = take
        self._numbers = itertools.count()
        self.tell(
            Start,
            **{
                "run_id": run_id,
                "session_id": "session-1",
                "model": "small",
                "engine": "scripted",
                "messages": (Message("system", "Be brief."), Message("user", "Why?")),
                "settings": Settings(temperature=0.5),
                **start,
            },
        )

    @property
    def now(self) -> float:
        """Unix time in seconds; stories that have their own clock say otherwise."""
        return time.time()

    def tell(self, kind: type[Event], **fields: Any) -> None:
        """Tell the next event."""
        self._take(kind(index=next(self._numbers), **{"time": self.now, **fields}))

    def say(self, text: str, *, reasoning: str = "", step: int = 0) -> None:
        """Tell of a step's beginning and what it streams."""
        self.tell(StepStart, step=step)
        if reasoning:
            self.tell(ReasoningDelta, step=step, text=reasoning)
        for piece in text:
            self.tell(TextDelta, step=step, text=piece)

    def decode(self, step: int = 0) -> None:
        """Tell of two tokens."""
        for token in TOKENS:
            self.tell(TokensDecoded, step=step, tokens=(token,))

    def finish_step(self, text: str, *, step: int = 0, **fields: Any) -> StepResult:
        """Tell of a step's end; return its result."""
        result = StepResult(
            **{
                "step_number": step,
                "model": "small",
                "text": text,
                "reasoning": "",
                "finish_reason": "stop",
                "raw_finish_reason": "eos",
                "usage": USAGE,
                "stats": STATS,
                "response": Response(f"response-{step}", 1.75e9 + step, "small"),
                "raw_text": text,
                **fields,
            }
        )
        self.tell(StepFinish, step=step, result=result)
        return result

    def call(self, call_id: str, tool: str, *, step: int = 0, **arguments: Any) -> ToolCall:
        """Tell that the model made a call; return it."""
        call = ToolCall(call_id, tool, arguments, raw=f"<call>{tool}</call>")
        self.tell(ToolCallMade, step=step, call=call)
        return call

    def ask(self, call_id: str, tool: str, *, step: int = 0, **arguments: Any) -> ApprovalRequest:
        """Tell that a call waits for a decision; return the request."""
        request = ApprovalRequest(ToolCall(call_id, tool, arguments), step, time=self.now)
        self.tell(ApprovalRequested, step=step, request=request)
        return request

    def rule(self, call_id: str, tool: str, verdict: str = "allow", *, step: int = 0, **fields: Any) -> Ruling:
        """Tell of a decision, or of an attempt at one; return the ruling."""
        ruling = Ruling(call_id, tool, **{"verdict": verdict, "by": "panel", "time": self.now, **fields})
        self.tell(ApprovalDecided, step=step, ruling=ruling)
        return ruling

    def start_tool(self, call: ToolCall, *, step: int = 0, **arguments: Any) -> None:
        """Tell that a handler is called, with the call's arguments or with others."""
        self.tell(ToolStarted, step=step, call=call, arguments=arguments or call.arguments)

    def finish_tool(self, call: ToolCall, outcome: str = "success", *, step: int = 0, **fields: Any) -> ToolResult:
        """Tell what a call came to; return it."""
        result = ToolResult(call, **{"outcome": outcome, **fields})
        kind = {"success": ToolFinished, "denied": ToolDenied}.get(outcome, ToolFailed)
        self.tell(kind, step=step, result=result)
        return result

    def end(self, text: str, status: str = "done", **fields: Any) -> None:
        """Tell of the run's end."""
        reasons = {"done": "stop", "cancelled": "cancelled", "failed": "error"}
        own: dict[str, dict[str, Any]] = {"cancelled": {"reason": "Stop was pressed"}, "failed": {"error": failure()}}
        self.tell(
            ENDS[status],
            **{
                "text": text,
                "reasoning": "",
                "finish_reason": reasons[status],
                "raw_finish_reason": "eos" if status == "done" else "",
                "usage": USAGE,
                "stats": STATS,
                **own.get(status, {}),
                **fields,
            },
        )


def failure() -> Error:
    """Return what failed runs fail with."""
    return TimeoutError("It took too long. Raise timeout=.", limit="total")


def record_run(take: Callable[[Event], None], run_id: str = "run-1", text: str = "Because.", **start: Any) -> None:
    """Record a whole run of one step."""
    story = Story(take, run_id, **start)
    story.say(text)
    story.end(text, steps=(story.finish_step(text),))
