"""How long something went on, told from a run's events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmkit.events import Event


def tool_time(log: Iterable[Event]) -> float | None:
    """Return the seconds in which at least one handler ran; ``None`` if none did."""
    return _busy(log, _tool_edge)


def approval_time(log: Iterable[Event]) -> float | None:
    """Return the seconds in which at least one call waited for somebody's decision; ``None`` if none did."""
    return _busy(log, _approval_edge)


def _busy(log: Iterable[Event], edge: Callable[[Event], tuple[str, bool] | None]) -> float | None:
    """Return the length of the union of all stretches; ``edge`` tells where a call's begins and ends."""
    open_: set[str] = set()
    total: float | None = None
    began = 0.0
    for event in log:
        found = edge(event)
        if found is None:
            continue
        call_id, begins = found
        if begins and not open_:
            began = event.time
        if begins:
            open_.add(call_id)
        elif call_id in open_:
            open_.discard(call_id)
            if not open_:
                total = (total or 0.0) + max(0.0, event.time - began)
    return total


def _tool_edge(event: Event) -> tuple[str, bool] | None:
    match event:
        case events.ToolStarted(call=call):
            return call.id, True
        case events.ToolFinished(result=result) | events.ToolFailed(result=result):
            return result.call.id, False
    return None


def _approval_edge(event: Event) -> tuple[str, bool] | None:
    match event:
        case events.ApprovalRequested(request=request):
            return request.call.id, True
        case events.ApprovalDecided(ruling=ruling) if ruling.accepted:
            return ruling.call_id, False
    return None
