"""Lifecycle callbacks: functions that are called with a run's events, in order, and can't disturb it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import warnings
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit import events
from llmkit.background import in_thread
from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from llmkit.events import Event

Callback: TypeAlias = "Callable[[Any], Awaitable[None] | None]"

logger = logging.getLogger("llmkit")

CALLBACKS: dict[str, tuple[type[Event], ...]] = {
    "on_start": (events.Start,),
    "on_step_start": (events.StepStart,),
    "on_chunk": (
        events.TextDelta,
        events.ReasoningDelta,
        events.ToolInputStart,
        events.ToolInputDelta,
        events.ToolCallMade,
        events.ToolCallFailed,
        events.ToolPreliminary,
        events.ToolFinished,
        events.ToolFailed,
    ),
    "on_approval_request": (events.ApprovalRequested,),
    "on_approval_decision": (events.ApprovalDecided,),
    "on_tool_call_start": (events.ToolStarted,),
    "on_tool_call_finish": (events.ToolFinished, events.ToolFailed),
    "on_step_finish": (events.StepFinish,),
    "on_finish": (events.Finish,),
    "on_abort": (events.Abort,),
    "on_error": (events.Failure,),
}
"""Which events each callback is called with."""


class CallbackWarning(UserWarning):
    """A lifecycle callback raised; the run goes on. ``run.callback_errors`` has all of them."""


@dataclass(frozen=True, slots=True)
class CallbackError:
    """What a callback raised.

    Parameters
    ----------
    callback : str
        ``on_start``, ….
    event : Event
        What it was called with.
    error : BaseException
        What it raised.
    """

    callback: str
    event: Event
    error: BaseException


def callbacks_in(options: Mapping[str, Any]) -> tuple[dict[str, Callback], dict[str, Any]]:
    """Return the callbacks among keyword arguments, and the rest.

    Raises
    ------
    ValidationError
        For a callback that doesn't exist or can't be called; names it.
    """
    found = {name: value for name, value in options.items() if name.startswith("on_")}
    for name, value in found.items():
        if name not in CALLBACKS:
            raise ValidationError(f"There is no callback {name!r}. Callbacks: {', '.join(CALLBACKS)}.", field=name)
        if value is not None and not callable(value):
            raise ValidationError(f"{name} is a function of one event, not {type(value).__name__}.", field=name)
    given = {name: value for name, value in found.items() if value is not None}
    return given, {name: value for name, value in options.items() if name not in found}


class Lifecycle:
    """The callbacks of one run. Used on the event loop thread.

    Async ones are awaited; others are called in a thread, so that a slow one holds no other run up. All calls come one
    after another, in the order of the events, and for one event in the order of ``sources``.

    Parameters
    ----------
    sources : iterable of mappings
        Callbacks by name: the session's, the agent's, the call's.
    """

    def __init__(self, sources: Iterable[Mapping[str, Callback]] = ()) -> None:
        self.errors: list[CallbackError] = []
        self._callbacks: dict[type[Event], list[tuple[str, Callback]]] = {}
        self._waiting: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None
        for source in sources:
            for name, callback in source.items():
                for kind in CALLBACKS[name]:
                    self._callbacks.setdefault(kind, []).append((name, callback))

    def take(self, event: Event) -> None:
        """Have the callbacks called with the run's next event, soon."""
        if type(event) not in self._callbacks:
            return
        self._waiting.append(event)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def heard(self) -> None:
        """Return when all callbacks are done with all events so far."""
        while self._task is not None and not self._task.done():
            await asyncio.shield(self._task)

    async def _work(self) -> None:
        while self._waiting:
            event = self._waiting.popleft()
            for name, callback in self._callbacks[type(event)]:
                await self._call(name, callback, event)

    async def _call(self, name: str, callback: Callback, event: Event) -> None:
        try:
            if inspect.iscoroutinefunction(callback):
                await callback(event)
                return
            answer = await in_thread(callback, event)
            if inspect.isawaitable(answer):
                await answer
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - a callback's trouble is kept, and the run goes on
            self._keep(CallbackError(name, event, error))

    def _keep(self, failure: CallbackError) -> None:
        self.errors.append(failure)
        logger.warning("The callback %s raised.", failure.callback, exc_info=failure.error)
        if len(self.errors) > 1:
            return
        told = f"{failure.callback} raised {type(failure.error).__name__}: {failure.error}. The run goes on."
        try:
            warnings.warn(told, CallbackWarning, stacklevel=2)
        except CallbackWarning:
            logger.debug("Warnings are errors here; the run goes on all the same.")
