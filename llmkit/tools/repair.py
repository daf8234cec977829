"""``repair``: a second chance for a call that the model got wrong."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from llmkit.engines.base import CallRead
from llmkit.errors import ToolCallRepairError
from llmkit.tools.calls import ToolCall, ToolCallError
from llmkit.tools.checked import checked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llmkit.messages import Message
    from llmkit.tools.tool import Tool

Repaired: TypeAlias = "ToolCall | Awaitable[ToolCall | None] | None"
Repair: TypeAlias = "Callable[[ToolCall, ToolCallError, Sequence[Tool], Sequence[Message]], Repaired]"


async def repaired(
    error: ToolCallError,
    repair: Repair | None,
    tools: Sequence[Tool],
    offered: Sequence[Tool],
    messages: Sequence[Message],
) -> ToolCall | ToolCallError:
    """Return the call that ``repair`` makes of a wrong one, or the error if it makes none.

    Parameters
    ----------
    error : ToolCallError
        What is wrong.
    repair : Callable, optional
        Called with the call as far as it could be read, the error, the offered tools and the messages; may be async.
        Returns a call, or ``None`` to keep the error.
    tools, offered : sequence of Tool
        All tools of the run, and those of this step.
    messages : sequence of Message
        The conversation so far.

    Raises
    ------
    ToolCallRepairError
        If ``repair`` raises, or returns something that is no call.
    """
    if repair is None:
        return error
    call = ToolCall(error.id, error.name, error.arguments or {}, error.raw)
    try:
        fixed = repair(call, error, offered, messages)
        if inspect.isawaitable(fixed):
            fixed = await fixed
    except Exception as cause:
        raise ToolCallRepairError(
            f"repair raised {type(cause).__name__} for a call of {error.name!r}: {cause}."
        ) from cause
    if fixed is None:
        return error
    if not isinstance(fixed, ToolCall):
        raise ToolCallRepairError(f"repair returned {type(fixed).__name__}; it returns a ToolCall or None.")
    again = checked(CallRead(error.id, fixed.name, fixed.arguments, error.raw), tools, offered)
    if isinstance(again, ToolCallError):
        return replace(again, message=f"{again.message} (After repair; before: {error.message})")
    return again
