"""The loop of answers and tool calls with a real model: the same order of events as with a script."""

from __future__ import annotations

import llmkit as lk
from tests.unit.lifecycle_runs import Told


def get_weather(city: str) -> dict[str, object]:
    """Current weather for a city."""  # noqa: D401 - the model reads it
    return {"temperature": 22, "condition": "sunny"}


def test_two_steps_of_a_real_model() -> None:
    """CONTRACT 34, 39: a call, its handler and the answer, on the embedded model."""
    told = Told()
    with lk.Session(engine="llamacpp", show=False, ledger=None, temperature=0, max_output_tokens=40) as session:
        agent = lk.Agent(session, tools=[get_weather], approval=[("get_*", "allow")])
        run = agent.stream("What's the weather in Tokyo?", **told.callbacks)
        answer = run.text

        assert told.table == [
            'on_start "What\'s the weather in Tokyo?"',
            "on_step_start 0",
            "on_approval_decision 0 get_weather allow by rule",
            'on_tool_call_start 0 get_weather {"city": "Tokyo"}',
            'on_tool_call_finish 0 get_weather {"temperature": 22, "condition": "sunny"} success=True',
            "on_step_finish 0 tool-calls ''",
            "on_step_start 1",
            f"on_step_finish 1 stop {answer!r}",
            f"on_finish stop {answer!r} because the model called no tool",
        ]
        assert "sunny" in answer
        assert [message.role for message in run.messages] == ["user", "assistant", "tool", "assistant"]
        first, second = run.steps
        assert second.stats is not None
        assert (second.stats.cache_tokens or 0) > 100  # the second step reuses what the first one read
        assert first.stats is not None
        assert first.stats.tool_time is not None
