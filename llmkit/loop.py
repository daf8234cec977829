"""The step loop: asks the model, has its calls decided on and run, and asks again, until the run ends."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from llmkit import events
from llmkit.answering import Answering
from llmkit.background import in_thread
from llmkit.beginning import start_fields, step_fields
from llmkit.cancellation import Stopped
from llmkit.deadlines import Deadlines
from llmkit.engines.decoder import Done
from llmkit.errors import EngineError, Error
from llmkit.prefix import Prefix
from llmkit.preparing import StepPlan, prepared
from llmkit.results import Stats, Usage
from llmkit.seen import Seen
from llmkit.step import Outcome, Step
from llmkit.stopping import failing_again, met
from llmkit.timing import approval_time, tool_time
from llmkit.tools.calls import ToolCall, ToolCallError
from llmkit.tools.checked import checked
from llmkit.tools.context import ToolContext
from llmkit.tools.repair import repaired

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.cancellation import CancelToken
    from llmkit.engines.base import Engine
    from llmkit.invocations import Invocations
    from llmkit.lifecycle import Lifecycle
    from llmkit.log import EventLog
    from llmkit.messages import Message
    from llmkit.output.settled import Settled
    from llmkit.request import RunRequest
    from llmkit.resident import Resident
    from llmkit.results import StepResult
    from llmkit.tools.results import ToolResult

logger = logging.getLogger("llmkit")

NEARLY_FULL = 0.9
"""The part of a model's context from which on a run warns that the next step may not fit."""


class StepLoop:
    """Drives one run from its start to one of its ends.

    Parameters
    ----------
    request : RunRequest
        What is asked.
    residents : Callable
        Returns the resident model of a name.
    log : EventLog
        Where events go.
    cancel : CancelToken
        Ends the run early.
    desk : Invocations
        Where calls are decided on and run.
    lifecycle : Lifecycle
        The callbacks.
    on_end : Callable
        Called just before the run's last event.
    """

    def __init__(
        self,
        request: RunRequest,
        residents: Callable[[Any], Resident],
        log: EventLog,
        cancel: CancelToken,
        desk: Invocations,
        lifecycle: Lifecycle,
        *,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.request = request
        self.log = log
        self.cancel = cancel
        self._residents = residents
        self._desk = desk
        self._lifecycle = lifecycle
        self._on_end = on_end
        self._messages: list[Message] = list(request.messages)
        self._steps: list[StepResult] = []
        self._step: Step | None = None
        self._calls: dict[str, asyncio.Task[ToolResult | None]] = {}
        self._undecided: set[str] = set()
        self._seen = Seen()
        self._context = request.context
        self._began = time.perf_counter()
        self._load_time: float | None = None
        self._stop_reason = ""
        self._output: Settled | None = None

    async def run(self) -> None:
        """Run to the end; every ending is an event, none an exception."""
        self._deadlines = Deadlines(self.request.settings.timeout, self.cancel, asyncio.get_running_loop())
        self._answering = Answering(self.request, self.log, self.cancel, self._deadlines, self._check)
        self._listen()
        started = self._residents(self.request.model)
        self.log.emit(events.Start, **start_fields(self.request, started, self.cancel))
        await self._lifecycle.heard()
        self._deadlines.start("total")
        try:
            await self._take_steps()
        except Stopped:
            await self._end_stopped()
        except Error as error:
            await self._end_failed(error)
        except Exception as error:
            logger.exception("A run failed unexpectedly.")
            await self._end_failed(_unexpected(error))
        else:
            last = self._steps[-1]
            await self._end(
                events.Finish,
                finish_reason=last.finish_reason,
                raw_finish_reason=last.raw_finish_reason,
                **self._answered(last),
            )

    def _listen(self) -> None:
        """Follow the run's own events, and everything that ends it early."""
        self.log.follow(self._call_back)
        self.log.follow(self._watch_approvals)
        self.cancel.on_cancel(lambda: self._desk.gate.cancel(str(self.cancel.cause)))

    def _call_back(self, event: events.Event) -> None:
        """Have callbacks called; of the end they hear before anybody else does."""
        if not isinstance(event, events.End):
            self._lifecycle.take(event)

    def _watch_approvals(self, event: events.Event) -> None:
        """Stop the clocks while somebody is asked."""
        match event:
            case events.ApprovalRequested(request=request):
                self._undecided.add(request.call.id)
                self._deadlines.pause()
            case events.ApprovalDecided(ruling=ruling) if ruling.accepted and ruling.call_id in self._undecided:
                self._undecided.discard(ruling.call_id)
                if not self._undecided:
                    self._deadlines.resume()

    # -- steps ---------------------------------------------------------------------------------------------------

    async def _take_steps(self) -> None:
        if self.request.resumed:
            await self._resume()
        while not self._stop_reason:
            await self._take_step(len(self._steps))

    async def _take_step(self, number: int) -> None:
        request = self.request
        plan = StepPlan(
            number,
            request.model,
            Prefix(self._messages),
            request.settings,
            request.tools,
            request.tool_choice,
            request.active_tools,
            self._context,
            request.output,
        )
        plan = await prepared(plan, request.prepare_step, Prefix(self._steps))
        self._context = plan.context
        resident = self._residents(plan.model)
        asked = time.perf_counter()
        begins_at = len(self.log)
        # The place comes before the model: while it loads, runs keep the order in which they came.
        async with resident.admission.place(self.cancel, self._emit_position) as peak:
            if self.cancel.cancelled:
                raise Stopped
            queue_time = time.perf_counter() - asked
            engine = await self._engine(resident)
            step = self._step = Step(plan, request, self.log, self._began if number == 0 else asked, self._seen)
            self.log.emit(events.StepStart, **step_fields(plan, self.request, resident, Prefix(self._steps)))
            await self._lifecycle.heard()
            self._deadlines.start("step")
            await self._answering.answer(engine, step)
        step.respond()
        outcome = await self._outcome(step, begins_at)
        self._deadlines.stop("step")
        await self._settle_output(step)
        self._foresee(step, outcome, engine.info.context_length)
        result = step.result(
            engine.info,
            outcome,
            queue_time=queue_time,
            load_time=self._load_time if number == 0 else None,
            concurrency=peak.count,
        )
        await self._finish_step(step, result)

    async def _finish_step(self, step: Step, result: StepResult) -> None:
        self._steps.append(result)
        self._messages.extend(result.response.messages)
        self.log.emit(events.StepFinish, step=step.number, result=result)
        await self._lifecycle.heard()
        assert step.done is not None  # noqa: S101 - _answer saw to it
        if self.cancel.cancelled:
            raise Stopped
        if step.done.reason == "error":
            raise step.done.error or EngineError("The engine ended the answer with an error it doesn't name.")
        self._stop_reason = await self._reason_to_stop(result)

    async def _reason_to_stop(self, result: StepResult) -> str:
        """Return why no further step follows; "" if one does."""
        if not result.tool_calls and not result.tool_call_errors:
            return "the model called no tool"
        if len(result.tool_results) < len(result.tool_calls):
            return "a call has no result"
        if result.finish_reason == "length":
            return "the answer was cut off"
        return failing_again(self._steps) or await met(self.request.stop_when, Prefix(self._steps))

    async def _settle_output(self, step: Step) -> None:
        """Make a value of the answer, once it is whole; say so if it can't be done."""
        spec, done = step.plan.output, step.done
        called = step.calls or step.call_errors
        if spec is None or called or done is None or done.reason in {"cancelled", "error"}:
            return
        from llmkit.output.settled import settled

        # In a thread: what it takes to check may have to be imported, and validators are the user's own.
        self._output = await self.cancel.guard(in_thread(settled, spec, step.text, done.reason))
        if self._output.error is not None:
            step.note(self._output.error.message)

    def _answered(self, last: StepResult) -> dict[str, Any]:
        """Return what the last event tells of the output."""
        if self.request.output is None:
            return {"output": last.text}
        from llmkit.output.settled import unanswered

        found = self._output or unanswered(last.text, last.finish_reason)
        return {"output": found.value, "output_error": found.error}

    def _foresee(self, step: Step, outcome: Outcome, limit: int | None) -> None:
        """Warn before the conversation outgrows the model's context."""
        used = step.meter.usage(step.done).total_tokens if step.done is not None else None
        if used is None or limit is None or not (step.calls or outcome.results):
            return
        expected = used + sum(len(result.model_text) // 3 for result in outcome.results)
        if expected > NEARLY_FULL * limit:
            step.note(
                f"The next step will have about {expected:,} tokens and the model's context holds {limit:,}. "
                "Drop old messages in prepare_step (llmkit.prune), or load the model with a larger context_length."
            )

    # -- the engine ----------------------------------------------------------------------------------------------

    async def _engine(self, resident: Resident) -> Engine:
        """Return the loaded model, waiting for it no longer than the run is wanted."""
        began = time.perf_counter()
        engine = await self.cancel.guard(resident.loaded(self._emit_load))
        waited = time.perf_counter() - began
        self._load_time = waited if waited > 0.001 else None
        return engine

    # -- calls ---------------------------------------------------------------------------------------------------

    async def _check(self, step: Step) -> None:
        """Look at the next call that was written, and have it decided on at once if it is one."""
        plan = step.plan
        # In a thread: the first check imports what it needs, and arguments may be a megabyte.
        call = await in_thread(checked, step.unchecked.pop(0), plan.tools, plan.offered)
        if isinstance(call, ToolCallError):
            call = await repaired(call, self.request.repair, plan.tools, plan.offered, plan.messages)
        if isinstance(call, ToolCallError):
            step.failed(call)
        else:
            self._offer(step, call)

    def _offer(self, step: Step, call: ToolCall) -> None:
        tool = next(tool for tool in step.plan.tools if tool.name == call.name)
        context = ToolContext(messages=step.plan.messages, context=step.plan.context)
        call = self._desk.offer(call, tool, step.number, context)
        # The task begins before the callbacks that hear of the call do, so that these can decide on it.
        self._calls[call.id] = asyncio.get_running_loop().create_task(self._desk.settle(call))
        step.made(call)

    async def _outcome(self, step: Step, begins_at: int) -> Outcome:
        """Wait until all calls of the step are settled."""
        if not step.calls:
            return Outcome()
        tasks = [self._calls.pop(call.id) for call in step.calls]
        settled = await asyncio.gather(*tasks, return_exceptions=True)
        for error in settled:
            if isinstance(error, BaseException):
                raise error
        log = [self.log[index] for index in range(begins_at, len(self.log))]
        results = tuple(result for result in settled if result is not None and not isinstance(result, BaseException))
        return Outcome(results, tool_time(log), approval_time(log))

    async def _resume(self) -> None:
        """Settle the calls that a pended run left open, as a step of their own that asks no model."""
        request = self.request
        plan = StepPlan(
            0, request.model, Prefix(self._messages), request.settings, request.tools, context=self._context
        )
        resident = self._residents(request.model)
        step = self._step = Step(plan, request, self.log, self._began, self._seen)
        self.log.emit(events.StepStart, **step_fields(plan, self.request, resident, Prefix(self._steps)))
        begins_at = len(self.log)
        for call in request.resumed:
            self._offer(step, call)
        step.take(Done("stop", raw_reason="resumed", prompt_tokens=0, cached_tokens=0, generated_tokens=0))
        outcome = await self._outcome(step, begins_at)
        result = step.resumed(outcome)
        await self._finish_step(step, result)

    # -- events --------------------------------------------------------------------------------------------------

    def _emit_load(self, **progress: Any) -> None:
        if not self.cancel.cancelled:
            self.log.emit(events.Load, **progress)

    def _emit_position(self, position: int) -> None:
        self.log.emit(events.Queue, position=position)

    # -- endings -------------------------------------------------------------------------------------------------

    async def _end_stopped(self) -> None:
        cause = self.cancel.cause
        if isinstance(cause, Exception):
            await self._end_failed(cause if isinstance(cause, Error) else _unexpected(cause))
        else:
            await self._end(events.Abort, finish_reason="cancelled", raw_finish_reason="cancelled", reason=cause or "")

    async def _end_failed(self, error: Error) -> None:
        self.cancel.cancel(error)  # so that calls which still wait or run end as well
        await self._end(events.Failure, finish_reason="error", raw_finish_reason=error.code, error=error)

    async def _end(self, kind: type[events.End], **fields: Any) -> None:
        """Settle what is open, let the callbacks hear of the end, and only then let everybody else."""
        self._deadlines.stop("total", "step", "chunk")
        await asyncio.gather(*self._calls.values(), return_exceptions=True)
        event = self.log.draft(kind, **self._ending(), **fields)
        self._lifecycle.take(event)
        await self._lifecycle.heard()
        self._on_end()
        self.log.append(event)
        self._desk.gate.close()

    def _ending(self) -> dict[str, Any]:
        """Return what every ending tells."""
        step = self._step
        last = self._steps[-1] if self._steps else None
        stats = None
        if self.request.profiling:
            known = [result.stats for result in self._steps if result.stats is not None]
            stats = Stats.total(known, total_time=time.perf_counter() - self._began)
        return {
            "text": step.text if step else "",
            "reasoning": step.reasoning if step else "",
            "tool_calls": step.calls if step else (),
            "tool_results": last.tool_results if last else (),
            "pending_approvals": self._desk.gate.left_open,
            "stop_reason": self._stop_reason,
            "usage": Usage.total([result.usage for result in self._steps]),
            "stats": stats,
            "steps": tuple(self._steps),
        }


def _unexpected(error: Exception) -> Error:
    wrapped = EngineError(f"Something unforeseen went wrong: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
