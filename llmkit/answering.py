"""Asking the engine for one step's answer: its deltas go to the step, and failures that may pass are tried again."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from llmkit import events
from llmkit.engines.base import EngineRequest
from llmkit.engines.decoder import Done
from llmkit.errors import EngineError, Error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from llmkit.cancellation import CancelToken
    from llmkit.deadlines import Deadlines
    from llmkit.engines.base import Engine
    from llmkit.log import EventLog
    from llmkit.request import RunRequest
    from llmkit.step import Step

logger = logging.getLogger("llmkit")

STOP_GRACE = 30.0
"""Seconds that an engine has to end an answer after it was told to; then the run ends without it."""

FIRST_RETRY = 1.0
"""Seconds before the first retry; each further one waits twice as long, unless the server says how long."""

LONGEST_RETRY = 120.0
"""Seconds before a retry at most, whatever the server asks for."""


class Answering:
    """Has a run's engine answer, step by step.

    Parameters
    ----------
    request : RunRequest
        What the run was asked.
    log : EventLog
        Where events go.
    cancel : CancelToken
        Ends the answer.
    deadlines : Deadlines
        The run's clocks.
    check : Callable
        Awaited when the step has calls that nobody has looked at.
    """

    def __init__(
        self,
        request: RunRequest,
        log: EventLog,
        cancel: CancelToken,
        deadlines: Deadlines,
        check: Callable[[Step], Awaitable[None]],
    ) -> None:
        self._request = request
        self._log = log
        self._cancel = cancel
        self._deadlines = deadlines
        self._check = check

    async def answer(self, engine: Engine, step: Step) -> None:
        """Have the model answer; ask again after failures that may pass."""
        for attempt in range(step.plan.settings.max_retries + 1):
            error: BaseException | None
            try:
                await self._ask(engine, step)
                error = step.done.error if step.done is not None and step.done.reason == "error" else None
            except Error as raised:
                error = raised
                step.done = None
            retry = isinstance(error, Error) and error.retryable and step.silent
            if not retry or attempt == step.plan.settings.max_retries or self._cancel.cancelled:
                if error is not None and step.done is None:
                    raise error
                return
            assert isinstance(error, Error)  # noqa: S101 - for the type checker
            delay = FIRST_RETRY * 2.0**attempt if error.retry_after is None else min(error.retry_after, LONGEST_RETRY)
            self._log.emit(events.Retry, step=step.number, attempt=attempt + 1, delay=delay, error=error)
            step.done = None
            await self._cancel.guard(asyncio.sleep(delay))

    async def _ask(self, engine: Engine, step: Step) -> None:
        plan = step.plan
        request = EngineRequest(
            id=f"{self._request.run_id}-{plan.number}",
            messages=tuple(plan.messages),
            settings=plan.settings,
            seed=self._request.seed,
            cache=self._request.cache,
            tools=plan.offered,
            tool_choice=plan.tool_choice,
            headers=self._request.headers,
            provider_options=self._request.provider_options,
            output=plan.output,
            beginning=self._request.beginning if plan.number == 0 else (),
        )
        try:
            async with _stop_grace(self._cancel):
                async for delta in engine.generate(request, self._cancel):
                    step.take(delta)
                    while step.unchecked:
                        await self._check(step)
                    if step.decoding:
                        self._deadlines.start("chunk")
        except _Hung:
            logger.exception("The engine didn't stop within %s s; the run ends without it.", STOP_GRACE)
            step.take(Done("cancelled", raw_reason="no answer to cancel"))
        finally:
            self._deadlines.stop("chunk")
        if step.done is None:
            step.take(Done("error", error=EngineError("The engine stopped without saying why.")))


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
