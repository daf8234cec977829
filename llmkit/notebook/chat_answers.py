"""A chat's answers as run views show them, also those that were loaded from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit import events
from llmkit.notebook.run_state import RunState
from llmkit.tools.results import ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.chatting import Turn
    from llmkit.events import Event
    from llmkit.messages import Message


def state_of(turn: Turn) -> dict[str, Any]:
    """Return an answer's state; waits for the end of one that is being written."""
    if turn.run is None:
        return saved_state(turn)
    state = RunState(turn.run.id)
    for event in turn.run.events:
        state.take(event)
    return state.to_dict()


def saved_state(turn: Turn) -> dict[str, Any]:
    """Return the state of an answer that was loaded: what its messages tell."""
    state = RunState(f"saved-{turn.id}")
    for event in _events(turn.messages):
        state.take(event)
    return {**state.to_dict(), "seq": 0, "status": "done"}


def _events(messages: tuple[Message, ...]) -> Iterator[Event]:
    calls = {call.id: call for message in messages for call in message.tool_calls}
    for number, message in enumerate(messages):
        at: Any = {"index": number, "time": 0.0, "step": 0}
        if message.role == "tool":
            call = calls.get(message.tool_call_id or "")
            if call is not None:
                yield events.ToolFinished(result=ToolResult(call, "success", output=message.text), **at)
            continue
        if message.reasoning:
            yield events.ReasoningStart(**at)
            yield events.ReasoningDelta(text=message.reasoning, **at)
        if message.text:
            yield events.TextStart(**at)
            yield events.TextDelta(text=message.text, **at)
        for call in message.tool_calls:
            yield events.ToolCallMade(call=call, **at)
