"""When a loop of steps ends, besides ending by itself because the model calls no more tools."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llmkit.results import StepResult

StopCondition: TypeAlias = "Callable[[Sequence[StepResult]], bool | Awaitable[bool]]"

SAME_FAILURES = 3
"""After so many steps in a row whose calls were the same and all failed, a loop ends."""


class step_count_is:  # noqa: N801 - reads as the condition that it is
    """Stop once there are ``count`` steps.

    Parameters
    ----------
    count : int
        At least 1.

    Raises
    ------
    ValidationError
        For a count below 1.
    """

    def __init__(self, count: int) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValidationError(
                f"step_count_is({count!r}): a number of steps from 1 on is wanted.", field="stop_when"
            )
        self.count = count

    def __call__(self, steps: Sequence[StepResult]) -> bool:
        """Return whether there are that many."""
        return len(steps) >= self.count

    def __repr__(self) -> str:
        return f"step_count_is({self.count})"


ONE_STEP = (step_count_is(1),)
"""What ``complete`` does: one answer and what it calls for."""


class has_tool_call:  # noqa: N801 - reads as the condition that it is
    """Stop after a step that called the tool ``name``.

    Parameters
    ----------
    name : str
        The tool's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, steps: Sequence[StepResult]) -> bool:
        """Return whether the last step called it."""
        return any(call.name == self.name for call in steps[-1].tool_calls)

    def __repr__(self) -> str:
        return f"has_tool_call({self.name!r})"


def conditions_from(value: Any) -> tuple[StopCondition, ...]:
    """Return the conditions that ``stop_when=`` stands for: one, several, or a number of steps.

    Raises
    ------
    ValidationError
        For something that is no condition.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return (step_count_is(value),)
    values = value if isinstance(value, list | tuple) else (value,)
    if not values or not all(callable(each) for each in values):
        raise ValidationError(
            "stop_when is a condition or a list of them: step_count_is(n), has_tool_call(name), or a function of the "
            "steps.",
            field="stop_when",
        )
    return tuple(values)


async def met(conditions: Sequence[StopCondition], steps: Sequence[StepResult]) -> str:
    """Return the first condition that holds, in words; "" if none does."""
    for condition in conditions:
        holds = condition(steps)
        if inspect.isawaitable(holds):
            holds = await holds
        if holds:
            return words_for(condition)
    return ""


def words_for(condition: object) -> str:
    """Return a function or condition in words, the same in every process."""
    return getattr(condition, "__qualname__", None) or repr(condition)


def failing_again(steps: Sequence[StepResult]) -> str:
    """Return why a loop that repeats the same failing calls is stopped; "" while it doesn't."""
    last = steps[-SAME_FAILURES:]
    attempts = [_failed_attempt(step) for step in last]
    if len(last) < SAME_FAILURES or attempts[0] is None or any(attempt != attempts[0] for attempt in attempts):
        return ""
    names = sorted({name for name, _ in attempts[0]})
    return f"the same failing call of {', '.join(names)} was made {SAME_FAILURES} times in a row"


def _failed_attempt(step: StepResult) -> list[tuple[str, str]] | None:
    """Return what a step called for if all of it failed, else ``None``."""
    if any(result.outcome not in {"error", "timeout"} for result in step.tool_results):
        return None
    made = [(call.name, json.dumps(call.arguments, sort_keys=True)) for call in step.tool_calls]
    meant = [(error.name, error.raw) for error in step.tool_call_errors]
    return sorted(made + meant) or None
