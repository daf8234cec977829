"""Which tools a model may, must or must not call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmkit.errors import ValidationError
from llmkit.tools.define import tool_from

if TYPE_CHECKING:
    from llmkit.tools.tool import Tool

Mode = Literal["auto", "none", "required", "named"]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """What the model is to do with its tools.

    Parameters
    ----------
    mode : {"auto", "none", "required", "named"}
        Call if it likes, don't call, call some tool, call the tool ``name``.
    name : str
        With ``named``: which.
    """

    mode: Mode = "auto"
    name: str = ""

    @property
    def binds(self) -> bool:
        """Whether the model must call."""
        return self.mode in {"required", "named"}

    def __str__(self) -> str:
        return self.name if self.mode == "named" else self.mode


AUTO = ToolChoice()
"""The model calls if it likes."""


def tools_from(values: Any) -> tuple[Tool, ...]:
    """Return the tools that ``tools=`` stands for.

    Parameters
    ----------
    values : sequence or mapping, optional
        Whatever :func:`llmkit.tool` takes or gives back; in a mapping, by the name it gets.

    Raises
    ------
    ValidationError
        For what can't be a tool, and for two of one name.
    """
    if isinstance(values, Mapping):
        tools = tuple(tool_from(value, name=name) for name, value in values.items())
    elif values is None or (isinstance(values, Sequence) and not isinstance(values, str)):
        tools = tuple(tool_from(value) for value in values or ())
    else:
        raise ValidationError("tools= is a list of tools.", field="tools")
    names = [tool.name for tool in tools]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValidationError(f"Two tools have the name {twice!r}; pass name=… to one of them.", field="tools")
    return tools


def choice_from(value: Any, tools: Sequence[Tool]) -> ToolChoice:
    """Return the choice that ``tool_choice=`` stands for.

    Parameters
    ----------
    value : str, Tool, Callable, mapping, ToolChoice or None
        ``"auto"``, ``"none"``, ``"required"``; or a tool, its function or its name; or as OpenAI-style APIs say it.
    tools : sequence of Tool
        What is offered.

    Raises
    ------
    ValidationError
        For a tool that isn't offered, or a choice that needs tools when there are none.
    """
    choice = _choice(value)
    if choice.mode == "named" and choice.name not in {tool.name for tool in tools}:
        offered = ", ".join(tool.name for tool in tools) or "none"
        raise ValidationError(
            f"tool_choice={choice.name!r} names a tool that isn't offered. Offered: {offered}.", field="tool_choice"
        )
    if choice.mode == "required" and not tools:
        raise ValidationError("tool_choice='required' needs tools=[…].", field="tool_choice")
    return choice


def active_from(value: Sequence[str] | None, tools: Sequence[Tool]) -> tuple[str, ...] | None:
    """Return the names of the tools that ``active_tools=`` leaves, ``None`` for all.

    Raises
    ------
    ValidationError
        For a name that isn't offered.
    """
    if value is None:
        return None
    names = [value] if isinstance(value, str) else list(value)
    strange = next((name for name in names if name not in {tool.name for tool in tools}), None)
    if strange is not None:
        raise ValidationError(f"active_tools names {strange!r}, which isn't offered.", field="active_tools")
    return tuple(names)


def _choice(value: Any) -> ToolChoice:
    match value:
        case None:
            return AUTO
        case ToolChoice():
            return value
        case "auto" | "none" | "required":
            return ToolChoice(value)
        case str():
            return ToolChoice("named", value)
        case {"type": "function", "function": {"name": str(name)}} | {"type": "tool" | "function", "name": str(name)}:
            return ToolChoice("named", name)
        case _:
            return ToolChoice("named", tool_from(value).name)
