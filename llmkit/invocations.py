"""The calls of one run: decided on, run once, and kept with what they came to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from llmkit import events, waiting
from llmkit.approval.decision import Decision
from llmkit.approval.request import ApprovalRequest, digest_of
from llmkit.background import loop_thread
from llmkit.errors import (
    ApprovalPending,
    RunCancelled,
    TimeoutError,  # noqa: A004 - llmkit's own, which is a built-in one too
    ToolDenied,
    ToolError,
    ValidationError,
)
from llmkit.tools.results import ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llmkit.approval.decision import Ruling
    from llmkit.approval.gate import Gate
    from llmkit.approval.rules import Scope
    from llmkit.cancellation import CancelToken
    from llmkit.log import EventLog
    from llmkit.tools.calls import CallStatus, ToolCall
    from llmkit.tools.context import ToolContext
    from llmkit.tools.running import ToolOutcome
    from llmkit.tools.tool import Tool

_OUTCOMES = {"success": "done", "denied": "denied", "cancelled": "cancelled"}


@dataclass(slots=True)
class _Entry:
    """One call's life."""

    call: ToolCall
    tool: Tool
    request: ApprovalRequest
    context: ToolContext
    status: CallStatus = "pending"
    result: ToolResult | None = None
    settled: waiting.Signal = field(default_factory=waiting.Signal)


class Invocations:
    """Where a run's calls are decided on and run (a :class:`llmkit.tools.calls.Desk`).

    Parameters
    ----------
    gate : Gate
        Lets nothing run that isn't allowed.
    log : EventLog
        Where events go.
    cancel : CancelToken
        The run's.
    heard : Callable
        Awaited after each event, until the run's callbacks have had it.
    echo : bool
        Whether handlers' prints are also printed.
    """

    def __init__(
        self, gate: Gate, log: EventLog, cancel: CancelToken, heard: Callable[[], Awaitable[None]], *, echo: bool
    ) -> None:
        self.gate = gate
        self._log = log
        self._cancel = cancel
        self._heard = heard
        self._echo = echo
        self._entries: dict[str, _Entry] = {}

    # -- the loop's side, on the event loop thread ---------------------------------------------------------------

    def offer(self, call: ToolCall, tool: Tool, step: int, context: ToolContext) -> ToolCall:
        """Take a call in and return it with its methods working; :meth:`settle` comes next."""
        call = replace(call, _desk=self)
        context = replace(context, call_id=call.id, cancel=self._cancel)
        request = ApprovalRequest(call, step, tool.description, tool.parameters)
        self._entries[call.id] = _Entry(call, tool, request, context)
        if tool.handler is not None:
            self.gate.announce(request, tool)
        return call

    async def settle(self, call: ToolCall) -> ToolResult | None:
        """Have a call decided on, run it if it is allowed, and return what it came to.

        Returns
        -------
        ToolResult or None
            ``None`` if the tool has no handler, or the decision is left open beyond the run's end.

        Raises
        ------
        TimeoutError
            If the tool took too long and its ``timeout_error`` is ``"raise"``.
        """
        entry = self._entries[call.id]
        try:
            if entry.tool.handler is None:
                entry.status = "unhandled"
                return None
            ruling = await self.gate.settle(entry.request, entry.tool, entry.context)
            return await self._carry_out(entry, ruling)
        finally:
            entry.settled.set()

    async def _carry_out(self, entry: _Entry, ruling: Ruling) -> ToolResult | None:
        match ruling.verdict:
            case "allow" if self._cancel.cancelled:
                result = self._cancelled(entry, str(self._cancel.cause))
            case "allow":
                entry.status = "approved"
                return await self._execute(entry, self.gate.claim(entry.call.id))
            case "deny":
                result = ToolResult(entry.call, "denied", reason=ruling.reason)
                self._keep(entry, result)
                self._log.emit(events.ToolDenied, step=entry.request.step, result=result)
            case "cancel":
                result = self._cancelled(entry, ruling.reason)
            case "pend":
                return None
        await self._heard()
        return result

    async def _execute(self, entry: _Entry, arguments: dict[str, Any]) -> ToolResult:
        entry.status = "running"
        self._log.emit(events.ToolStarted, step=entry.request.step, call=entry.call, arguments=arguments)
        await self._heard()
        too_slow: TimeoutError | None = None
        try:
            outcome = await entry.tool.run(
                arguments, entry.context, on_preliminary=lambda value: self._preliminary(entry, value), echo=self._echo
            )
            result = _result(entry.call, arguments, outcome)
        except TimeoutError as error:
            too_slow = error
            result = ToolResult(entry.call, "timeout", arguments, error=error, duration=entry.tool.timeout)
        self._keep(entry, result)
        kind = events.ToolFinished if result.success else events.ToolFailed
        self._log.emit(kind, step=entry.request.step, result=result)
        await self._heard()
        if too_slow is not None:
            raise too_slow
        return result

    def _cancelled(self, entry: _Entry, reason: str) -> ToolResult:
        error = RunCancelled(f"The call of {entry.call.name!r} was cancelled: {reason}.")
        result = ToolResult(entry.call, "cancelled", error=error)
        self._keep(entry, result)
        return result

    def _preliminary(self, entry: _Entry, value: Any) -> None:
        self._log.emit(events.ToolPreliminary, step=entry.request.step, call=entry.call, output=value)

    def _keep(self, entry: _Entry, result: ToolResult) -> None:
        entry.result = result
        entry.status = _OUTCOMES.get(result.outcome, "failed")  # type: ignore[assignment]  # both are literals

    # -- the caller's side, on any thread ------------------------------------------------------------------------

    def approve(self, call: ToolCall, arguments: Mapping[str, Any] | str | None, always: Scope | None) -> bool:
        """Allow a call."""
        decision = Decision(call.id, digest_of(call), "allow", "code", arguments=arguments, always=always)
        return self.gate.decide(decision).accepted

    def deny(self, call: ToolCall, reason: str, always: Scope | None) -> bool:
        """Deny a call."""
        decision = Decision(call.id, digest_of(call), "deny", "code", reason=reason, always=always)
        return self.gate.decide(decision).accepted

    def status(self, call: ToolCall) -> CallStatus:
        """Return where a call is in its life."""
        return self._entries[call.id].status

    def invoke(self, call: ToolCall, *, rerun: bool) -> Any:
        """Return a call's result, waiting for its decision and its end."""
        entry = self._entries[call.id]
        waiting.wait(entry.settled)
        if entry.tool.handler is None:
            raise ValidationError(
                f"The tool {call.name!r} has no handler, so its call can't run: define it with handler=….",
                field="handler",
            )
        if entry.result is None:
            raise ApprovalPending(
                f"The call of {call.name!r} was left open; session.resume(run) goes on with it.",
                tool=call.name,
                call_id=call.id,
            )
        if rerun and entry.result.arguments is not None:
            self._run_now(entry, entry.result.arguments)
        return _output(entry.result)

    def _run_now(self, entry: _Entry, arguments: dict[str, Any]) -> None:
        done = waiting.Signal()
        future = loop_thread().start(lambda: self._execute(entry, arguments))
        future.add_done_callback(lambda _: done.set())
        waiting.wait(done)
        future.result()


def _result(call: ToolCall, arguments: dict[str, Any], outcome: ToolOutcome) -> ToolResult:
    return ToolResult(
        call,
        outcome.status,
        arguments,
        output=outcome.value,
        error=outcome.error,
        duration=outcome.duration,
        printed=outcome.printed,
        displayed=outcome.displayed,
    )


def _output(result: ToolResult | None) -> Any:
    """Return a result's output, or raise what stands in its place."""
    assert result is not None  # noqa: S101 - whoever calls has seen to it
    call = result.call
    match result.outcome:
        case "success":
            return result.output
        case "denied":
            why = f": {result.reason}" if result.reason else ""
            raise ToolDenied(f"The call of {call.name!r} was denied{why}.", tool=call.name, call_id=call.id)
        case "cancelled" if isinstance(result.error, RunCancelled):
            raise result.error
        case _:
            raise ToolError(
                f"The tool {call.name!r} failed: {type(result.error).__name__}: {result.error}",
                tool=call.name,
                call_id=call.id,
            ) from result.error
