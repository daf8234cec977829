"""A run for the tests of views: events come when the test says so, in the test's own thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit import events
from llmkit.approval.decision import Decision, Ruling
from llmkit.approval.request import ApprovalRequest
from llmkit.errors import EngineError
from llmkit.results import Stats, Usage
from llmkit.settings import Settings
from llmkit.tools.calls import ToolCall
from llmkit.tools.results import ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.tools.problems import Problem

E = TypeVar("E", bound=events.Event)

STATS = Stats(
    prompt_tokens=20, cache_tokens=8, generated_tokens=12, time_to_first_token=0.25, decode_time=0.15, device="cpu"
)


class FakeRules:
    """Keeps what was revoked."""

    def __init__(self) -> None:
        self.revoked: list[str] = []

    def revoke(self, rule_id: str) -> None:
        self.revoked.append(rule_id)


class FakeApprovals:
    """Decides as it is told to: every decision takes effect, unless `refusal` says why not."""

    def __init__(self) -> None:
        self.rules = FakeRules()
        self.decisions: list[Decision] = []
        self.checked: list[tuple[str, str]] = []
        self.visits = 0
        self.refusal = ""
        self.problems: tuple[Problem, ...] = ()

    def decide(self, decision: Decision) -> Ruling:
        self.decisions.append(decision)
        accepted = not self.refusal
        return Ruling(decision.call_id, "tool", decision.verdict, decision.by, accepted=accepted, refusal=self.refusal)

    def check(self, call_id: str, arguments: str) -> tuple[Problem, ...]:
        self.checked.append((call_id, arguments))
        return self.problems

    def attended(self) -> None:
        self.visits += 1


class FakeRun:
    """What views see of a run."""

    def __init__(self, number: int = 1) -> None:
        self.id = f"run-{number}"
        self.approvals = FakeApprovals()
        self.cancelled = 0
        self.events: list[events.Event] = []
        self._subscribers: list[Callable[[events.Event], object]] = []
        self._ended = threading.Event()

    def emit(self, kind: type[E], **fields: Any) -> E:
        event = kind(index=len(self.events), **fields)
        self.events.append(event)
        for subscriber in self._subscribers:
            subscriber(event)
        if isinstance(event, events.End):
            self._ended.set()
        return event

    def subscribe(self, callback: Callable[[events.Event], object]) -> None:
        for event in self.events:
            callback(event)
        self._subscribers.append(callback)

    def wait(self, timeout: float | None = None) -> bool:
        return self._ended.wait(timeout)

    def cancel(self) -> bool:
        self.cancelled += 1
        return True

    def start(self, *, model: str = "SmolLM2", engine: str = "llamacpp", note: str = "") -> None:
        self.emit(
            events.Start,
            run_id=self.id,
            session_id="session-1",
            model=model,
            engine=engine,
            messages=(),
            settings=Settings(),
            note=note,
        )

    def text(self, *pieces: str) -> None:
        for piece in pieces:
            self.emit(events.TextDelta, step=0, text=piece)

    def call(self, name: str = "get_weather", call_id: str = "call-1", **arguments: Any) -> ToolCall:
        """Have the model make a call."""
        call = ToolCall(call_id, name, arguments)
        self.emit(events.ToolCallMade, step=0, call=call)
        return call

    def ask(self, name: str = "get_weather", call_id: str = "call-1", **arguments: Any) -> ToolCall:
        """Have the model make a call that needs approval."""
        call = self.call(name, call_id, **arguments)
        request = ApprovalRequest(call, description="Current weather for a city.")
        self.emit(events.ApprovalRequested, step=0, request=request)
        return call

    def decide(self, call: ToolCall, verdict: str = "allow", by: str = "panel", **changes: Any) -> None:
        """Have somebody decide on a call; `arguments` are what it runs with."""
        fields = {"shown_arguments": call.arguments, "arguments": call.arguments if verdict == "allow" else None}
        ruling = Ruling(call.id, call.name, verdict, by, **{**fields, **changes})  # type: ignore[arg-type]
        self.emit(events.ApprovalDecided, step=0, ruling=ruling)

    def end_call(self, call: ToolCall, output: Any = None, **fields: Any) -> None:
        """Have a handler run to its end, or a denied call settled."""
        outcome = fields.get("outcome", "success")
        kinds: dict[str, type[events.Event]] = {"success": events.ToolFinished, "denied": events.ToolDenied}
        kind = kinds.get(outcome, events.ToolFailed)
        if outcome != "denied":
            self.emit(events.ToolStarted, step=0, call=call, arguments=call.arguments)
        self.emit(kind, step=0, result=ToolResult(call, **{"outcome": outcome, "output": output, **fields}))

    def finish(self, text: str = "", **changes: Any) -> None:
        self.emit(events.Finish, **_end(text, **{"finish_reason": "stop", **changes}))

    def abort(self, text: str = "") -> None:
        self.emit(events.Abort, **_end(text, finish_reason="cancelled"))

    def fail(self, message: str = "No memory left.") -> None:
        self.emit(events.Failure, **_end("", finish_reason="error"), error=EngineError(message))

    def answer(self, *pieces: str) -> None:
        """Be a whole run."""
        self.start()
        self.emit(events.StepStart, step=0)
        self.text(*pieces)
        self.finish("".join(pieces))


def _end(text: str, **changes: Any) -> dict[str, Any]:
    end = {"text": text, "reasoning": "", "raw_finish_reason": "", "usage": Usage(), "stats": STATS}
    return {**end, **changes}
