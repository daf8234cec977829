"""``prepare_step``: what may be changed for one step before the model is asked."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.errors import ValidationError
from llmkit.messages import messages_from
from llmkit.tools.choice import AUTO, ToolChoice, active_from, choice_from

if TYPE_CHECKING:
    from llmkit.messages import Message
    from llmkit.output.spec import OutputSpec
    from llmkit.results import StepResult
    from llmkit.settings import Settings
    from llmkit.tools.tool import Tool

PrepareStep: TypeAlias = "Callable[..., Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None]"

_CHANGES = ("model", "tool_choice", "active_tools", "system", "messages", "settings", "context")


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What one step asks the model.

    Parameters
    ----------
    number : int
        From 0.
    model : str or Path, optional
        Another model than the run's.
    messages : sequence of Message
        The conversation so far.
    settings : Settings
        How to sample.
    tools : tuple of Tool
        What is offered over the whole run.
    tool_choice : ToolChoice
        Whether the model may, must or must not call.
    active_tools : tuple of str, optional
        The names of those offered in this step; ``None`` for all.
    context : Any
        The user's own.
    output : OutputSpec, optional
        What the answer must be.
    """

    number: int
    model: Any
    messages: Sequence[Message]
    settings: Settings
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = AUTO
    active_tools: tuple[str, ...] | None = None
    context: Any = None
    output: OutputSpec | None = None

    @property
    def offered(self) -> tuple[Tool, ...]:
        """The tools of this step."""
        if self.tool_choice.mode == "none":
            return ()
        return tuple(tool for tool in self.tools if self.active_tools is None or tool.name in self.active_tools)


async def prepared(plan: StepPlan, prepare_step: PrepareStep | None, steps: Sequence[StepResult]) -> StepPlan:
    """Return the plan with the changes that ``prepare_step`` asks for.

    Parameters
    ----------
    plan : StepPlan
        What would be asked.
    prepare_step : Callable, optional
        Called with ``step_number``, ``steps``, ``messages``, ``model`` and ``context`` by name, as many of them as it
        takes; may be async. Returns a mapping of changes, or ``None``.
    steps : sequence of StepResult
        The steps so far.

    Raises
    ------
    ValidationError
        For a change that doesn't exist or can't be made.
    """
    if prepare_step is None:
        return plan
    known = {
        "step_number": plan.number,
        "steps": steps,
        "messages": plan.messages,
        "model": plan.model,
        "context": plan.context,
    }
    changes = prepare_step(**_taken(prepare_step, known))
    if inspect.isawaitable(changes):
        changes = await changes
    if changes is None:
        return plan
    if not isinstance(changes, Mapping) or (unknown := set(changes) - set(_CHANGES)):
        what = f"{min(unknown)!r}" if isinstance(changes, Mapping) else type(changes).__name__
        raise ValidationError(
            f"prepare_step returned {what}; it returns a dict of some of {', '.join(_CHANGES)}, or None.",
            field="prepare_step",
        )
    return _changed(plan, changes)


def _changed(plan: StepPlan, changes: Mapping[str, Any]) -> StepPlan:
    messages = plan.messages
    if changes.get("messages") is not None:
        messages = messages_from(changes["messages"])
    if changes.get("system") is not None:
        messages = messages_from(messages, system=changes["system"])
    choice = plan.tool_choice
    if changes.get("tool_choice") is not None:
        choice = choice_from(changes["tool_choice"], plan.tools)
    active = plan.active_tools
    if changes.get("active_tools") is not None:
        active = active_from(changes["active_tools"], plan.tools)
    return replace(
        plan,
        model=changes.get("model") or plan.model,
        messages=messages,
        settings=plan.settings.merged(changes.get("settings") or {}),
        tool_choice=choice,
        active_tools=active,
        context=changes.get("context", plan.context),
    )


def _taken(function: Callable[..., Any], known: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments among ``known`` that a function takes."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return known
    names = {parameter.name for parameter in parameters}
    return {name: value for name, value in known.items() if name in names}
