"""Runs on a clock of their own, for what is made of the times of their events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.events import (
    Event,
    Load,
    Prefill,
    Queue,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    StepStart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallFailed,
    ToolInputDelta,
    ToolInputEnd,
    ToolInputStart,
)
from llmkit.results import Stats, Usage
from llmkit.tools.calls import ToolCallError
from tests.unit.ledger_runs import Story

if TYPE_CHECKING:
    from llmkit.tools.calls import ToolCall

BEGAN = 1.75e9
"""Unix time of each run's start, in seconds."""


class TimedStory(Story):
    """A run told on a clock; its events are kept.

    Parameters
    ----------
    **start
        Fields of the start that are to differ.
    """

    def __init__(self, **start: Any) -> None:
        self.at = 0.0
        self.events: list[Event] = []
        super().__init__(self.events.append, **start)

    @property
    def now(self) -> float:
        """Unix time in seconds, by the story's clock."""
        return BEGAN + self.at

    def step(self, number: int, at: float) -> None:
        """Tell that a step begins, and of its prompt's 36 tokens."""
        self.at = at
        self.tell(StepStart, step=number, model="small", engine="scripted")
        self.tell(Prefill, step=number, done=36, total=36, cached=12)

    def write(self, begin: float, end: float, *, step: int = 0, pieces: int = 4) -> None:
        """Tell of text that streams from ``begin`` to ``end``."""
        self.at = begin
        self.tell(TextStart, step=step)
        for number in range(pieces):
            self.at = begin + (end - begin) * number / pieces
            self.tell(TextDelta, step=step, text="word ")
        self.at = end
        self.tell(TextEnd, step=step)

    def think(self, begin: float, end: float, *, step: int = 0) -> None:
        """Tell of reasoning that streams from ``begin`` to ``end``."""
        self.at = begin
        self.tell(ReasoningStart, step=step)
        self.tell(ReasoningDelta, step=step, text="Hm.")
        self.at = end
        self.tell(ReasoningEnd, step=step)

    def write_call(self, call_id: str, tool: str, begin: float, end: float, *, step: int = 0, **given: Any) -> ToolCall:
        """Tell that the model writes a call from ``begin`` to ``end``."""
        self.at = begin
        self.tell(ToolInputStart, step=step, id=call_id, name=tool)
        self.tell(ToolInputDelta, step=step, id=call_id, text="{")
        self.at = end
        self.tell(ToolInputEnd, step=step, id=call_id)
        return self.call(call_id, tool, step=step, **given)

    def run_tool(self, call: ToolCall, begin: float, end: float, *, step: int = 0, **result: Any) -> None:
        """Tell that a handler runs from ``begin`` to ``end``."""
        self.at = begin
        self.start_tool(call, step=step)
        self.at = end
        self.finish_tool(call, step=step, duration=end - begin, **result)

    def finish(self, at: float, *, step: int, text: str = "", **fields: Any) -> None:
        """Tell of a step's end."""
        self.at = at
        stats = Stats(
            prompt_tokens=36,
            cache_tokens=12,
            generated_tokens=8,
            prefill_time=0.2,
            decode_time=0.4,
            time_to_first_token=0.2,
        )
        usage = Usage(input_tokens=36, output_tokens=8, total_tokens=44, cache_read_tokens=12, no_cache_tokens=24)
        self.finish_step(text, step=step, **{"stats": stats, "usage": usage, **fields})


def two_steps() -> TimedStory:
    """Tell a run that queues, loads, thinks, calls two tools, of which one is denied, and answers."""
    story = TimedStory(function_id="weather")
    story.at = 0.05
    story.tell(Queue, position=1)
    story.at = 0.1
    story.tell(Queue, position=0)
    story.at = 0.25
    story.tell(Load, stage="load", file="small.gguf")
    story.step(0, 0.5)
    story.think(0.7, 0.9)
    first = story.write_call("1", "get_weather", 0.9, 1.1, city="Tokio")
    story.ask("1", "get_weather", city="Tokio")
    second = story.write_call("2", "send_mail", 1.1, 1.3, to="everybody")
    story.ask("2", "send_mail", to="everybody")
    story.at = 1.8
    story.rule("1", "get_weather", shown_arguments={"city": "Tokio"}, arguments={"city": "Tokyo"}, waited=0.7)
    story.start_tool(first, city="Tokyo")
    story.at = 2.0
    story.rule("2", "send_mail", "deny", reason="not everybody", shown_arguments={"to": "everybody"}, waited=0.7)
    story.finish_tool(second, "denied", reason="not everybody")
    story.at = 2.2
    story.finish_tool(first, arguments={"city": "Tokyo"}, output={"temperature": 22}, duration=0.4)
    story.finish(2.2, step=0, finish_reason="tool-calls")
    story.step(1, 2.25)
    story.write(2.5, 2.9, step=1)
    story.finish(2.95, step=1, text="It is 22 degrees.")
    story.at = 3.0
    story.end("It is 22 degrees.", usage=Usage(input_tokens=72, output_tokens=16))
    return story


def troubles() -> TimedStory:
    """Tell a run in which everything goes wrong, until it is cancelled."""
    story = TimedStory()
    story.step(0, 0.1)
    story.write(0.2, 0.4)
    story.tell(
        ToolCallFailed, step=0, error=ToolCallError("UNKNOWN_TOOL", "There is no tool fly.", "fly()", name="fly")
    )
    slow = story.write_call("1", "look", 0.4, 0.5)
    bad = story.write_call("2", "count", 0.5, 0.6, to=3)
    story.rule("1", "look", by="tool", arguments={})
    story.run_tool(bad, 0.6, 0.7, outcome="error", error=ValueError("three is too many"))
    story.run_tool(slow, 0.6, 1.1, outcome="timeout", error=TimeoutError("0.5 s are over"))
    story.finish(1.1, step=0, finish_reason="tool-calls")
    story.step(1, 1.15)
    story.write_call("3", "wait", 1.3, 1.4, step=1)
    story.ask("3", "wait", step=1)
    left = story.write_call("4", "sleep", 1.4, 1.5, step=1)
    story.start_tool(left, step=1)
    story.at = 2.0
    story.end("", "cancelled")
    return story
