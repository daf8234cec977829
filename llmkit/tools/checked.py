"""A call as the model wrote it, checked: is there such a tool, is it offered now, do its arguments fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.errors import ValidationError
from llmkit.tools.arguments import ToolArgumentsError, read_arguments
from llmkit.tools.calls import ToolCall, ToolCallError
from llmkit.tools.problems import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.engines.base import CallRead, CallUnread
    from llmkit.tools.tool import Tool


def checked(read: CallRead | CallUnread, tools: Sequence[Tool], offered: Sequence[Tool]) -> ToolCall | ToolCallError:
    """Return the call, or why it is none.

    Parameters
    ----------
    read : CallRead or CallUnread
        What the engine made of the model's words.
    tools : sequence of Tool
        All tools of the run.
    offered : sequence of Tool
        Those that may be called in this step.
    """
    if not hasattr(read, "arguments"):
        return ToolCallError("PARSE_ERROR", read.message, read.raw, read.id, read.name)
    tool = next((tool for tool in offered if tool.name == read.name), None)
    if tool is None:
        return ToolCallError("UNKNOWN_TOOL", _unknown(read.name, tools, offered), read.raw, read.id, read.name)
    try:
        arguments = read_arguments(read.arguments)
    except ToolArgumentsError as error:
        return ToolCallError(error.code, error.message, read.raw, read.id, read.name)
    try:
        tool.validate(arguments)
    except ToolArgumentsError as error:
        return ToolCallError(error.code, error.message, read.raw, read.id, read.name, arguments)
    except ValidationError as error:
        return ToolCallError("VALIDATION_ERROR", error.message, read.raw, read.id, read.name, arguments)
    return ToolCall(read.id, read.name, arguments, read.raw)


def _unknown(name: str, tools: Sequence[Tool], offered: Sequence[Tool]) -> str:
    now = ", ".join(tool.name for tool in offered) or "none"
    if any(tool.name == name for tool in tools):
        return f"The tool {shown(name)} isn't active in this step. Active: {now}."
    return f"There is no tool {shown(name)}. Offered: {now}."
