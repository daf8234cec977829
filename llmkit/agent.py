"""The step loop: asks the engine for an answer, step by step, until the run ends one way or another."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit import events
from llmkit.deadlines import Deadlines
from llmkit.engines.base import EngineRequest
from llmkit.engines.decoder import Done
from llmkit.errors import EngineError, Error
from llmkit.results import Stats, Usage
from llmkit.step import Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from llmkit.cancellation import CancelToken
    from llmkit.engines.base import Engine
    from llmkit.log import EventLog
    from llmkit.request import RunRequest
    from llmkit.resident import Resident
    from llmkit.results import StepResult

T = TypeVar("T")

logger = logging.getLogger("llmkit")

STOP_GRACE = 30.0
"""Seconds that an engine has to end an answer after it was told to; then the run ends without it."""


class StepLoop:
    """Drives one run from its start to one of its ends.

    Parameters
    ----------
    request : RunRequest
        What is asked.
    resident : Resident
        The model that answers.
    log : EventLog
        Where events go.
    cancel : CancelToken
        Ends the run early.
    on_end : Callable
        Called just before the run's last event.
    """

    def __init__(
        self,
        request: RunRequest,
        resident: Resident,
        log: EventLog,
        cancel: CancelToken,
        *,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.request = request
        self.resident = resident
        self.log = log
        self.cancel = cancel
        self._on_end = on_end
        self._steps: list[StepResult] = []
        self._step: Step | None = None
        self._began = time.perf_counter()
        self._load_time: float | None = None

    async def run(self) -> None:
        """Run to the end; every ending is an event, none an exception."""
        self._emit_start()
        self._deadlines = Deadlines(self.request.settings.timeout, self.cancel, asyncio.get_running_loop())
        self._deadlines.start("total")
        try:
            await self._run_step(0)
            self._emit_finish()
        except _Stopped:
            self._emit_stopped()
        except Error as error:
            self._emit_failure(error)
        except Exception as error:
            logger.exception("A run failed unexpectedly.")
            self._emit_failure(_unexpected(error))
        finally:
            self._deadlines.stop("total", "step", "chunk")

    async def _run_step(self, number: int) -> None:
        asked = time.perf_counter()
        # The place comes before the model: while it loads, runs keep the order in which they came.
        async with self.resident.admission.place(self.cancel, self._emit_position) as peak:
            if self.cancel.cancelled:
                raise _Stopped
            queue_time = time.perf_counter() - asked
            engine = await self._engine()
            began = self._began if number == 0 else asked
            step = self._step = Step(number, self.request, self.log, began)
            self.log.emit(events.StepStart, step=number)
            await self._answer(engine, step)
            result = step.result(
                engine.info,
                queue_time=queue_time,
                load_time=self._load_time if number == 0 else None,
                concurrency=peak.count,
            )
        self._steps.append(result)
        self.log.emit(events.StepFinish, step=number, result=result)
        assert step.done is not None  # noqa: S101 - _answer saw to it
        if step.done.reason == "cancelled":
            raise _Stopped
        if step.done.reason == "error":
            raise step.done.error or EngineError("The engine ended the answer with an error it doesn't name.")

    async def _engine(self) -> Engine:
        """Return the loaded model, waiting for it no longer than the run is wanted."""
        began = time.perf_counter()
        ready = self.resident.loaded(self._emit_load)
        engine = await self._unless_cancelled(ready)
        waited = time.perf_counter() - began
        self._load_time = waited if waited > 0.001 else None
        return engine

    async def _answer(self, engine: Engine, step: Step) -> None:
        request = self.request
        engine_request = EngineRequest(
            id=f"{request.run_id}-{step.number}",
            messages=request.messages,
            settings=request.settings,
            seed=request.seed,
            cache=request.cache,
        )
        self._deadlines.start("step")
        try:
            async with _stop_grace(self.cancel):
                async for delta in engine.generate(engine_request, self.cancel):
                    step.take(delta)
                    if step.decoding:
                        self._deadlines.start("chunk")
        except _Hung:
            logger.exception("The engine didn't stop within %s s; the run ends without it.", STOP_GRACE)
            step.take(Done("cancelled", raw_reason="no answer to cancel"))
        finally:
            self._deadlines.stop("step", "chunk")
        if step.done is None:
            step.take(Done("error", error=EngineError("The engine stopped without saying why.")))

    async def _unless_cancelled(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``, but give up when the run is cancelled. What it waits for goes on for others."""
        with self.cancel.event() as thrown:
            task = asyncio.ensure_future(work)
            stopped = asyncio.ensure_future(thrown.wait())
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not task.done():
                task.cancel()
                raise _Stopped
            return task.result()

    def _emit_start(self) -> None:
        request = self.request
        self.log.emit(
            events.Start,
            run_id=request.run_id,
            session_id=request.session_id,
            model=request.model,
            engine=self.resident.engine_name,
            messages=request.messages,
            settings=request.settings,
            stream=request.stream,
            metadata=request.metadata,
            note=self.resident.note,
        )

    def _emit_load(self, **progress: Any) -> None:
        if not self.cancel.cancelled:
            self.log.emit(events.Load, **progress)

    def _emit_position(self, position: int) -> None:
        self.log.emit(events.Queue, position=position)

    def _emit_finish(self) -> None:
        last = self._steps[-1]
        self.log.emit(
            events.Finish, **self._ending(), finish_reason=last.finish_reason, raw_finish_reason=last.raw_finish_reason
        )

    def _emit_stopped(self) -> None:
        cause = self.cancel.cause
        if isinstance(cause, Exception):
            self._emit_failure(cause if isinstance(cause, Error) else _unexpected(cause))
            return
        self.log.emit(
            events.Abort,
            **self._ending(),
            finish_reason="cancelled",
            raw_finish_reason="cancelled",
            reason=cause or "",
        )

    def _emit_failure(self, error: Error) -> None:
        self.log.emit(
            events.Failure, **self._ending(), finish_reason="error", raw_finish_reason=error.code, error=error
        )

    def _ending(self) -> dict[str, Any]:
        """Return what every ending tells."""
        self._on_end()
        step = self._step
        stats = None
        if self.request.profiling:
            known = [result.stats for result in self._steps if result.stats is not None]
            stats = Stats.total(known, total_time=time.perf_counter() - self._began)
        return {
            "text": step.text if step else "",
            "reasoning": step.reasoning if step else "",
            "tool_calls": step.calls if step else (),
            "usage": Usage.total([result.usage for result in self._steps]),
            "stats": stats,
            "steps": tuple(self._steps),
        }


class _Stopped(Exception):
    """The run's cancel token was thrown."""


class _Hung(Exception):
    """The engine didn't stop when told to."""


@asynccontextmanager
async def _stop_grace(cancel: CancelToken) -> AsyncIterator[None]:
    """Raise :class:`_Hung` in the block if it goes on for longer than the grace after a cancel."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - runs are tasks
    timers: list[asyncio.TimerHandle] = []
    forget = cancel.on_cancel(
        lambda: loop.call_soon_threadsafe(lambda: timers.append(loop.call_later(STOP_GRACE, task.cancel)))
    )
    try:
        yield
    except asyncio.CancelledError:
        raise _Hung from None
    finally:
        forget()
        for timer in timers:
            timer.cancel()


def _unexpected(error: Exception) -> Error:
    wrapped = EngineError(f"Something unforeseen went wrong: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
