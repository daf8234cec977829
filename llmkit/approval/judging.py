"""What the rules and a tool itself say about a call, before anybody is asked."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from llmkit.approval.rules import match_rules
from llmkit.background import in_thread
from llmkit.tools.running import runs_on_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmkit.approval.decision import DecidedBy
    from llmkit.approval.rules import Action, Rule
    from llmkit.tools.context import ToolContext
    from llmkit.tools.tool import Tool

logger = logging.getLogger("llmkit")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be done about a call.

    Parameters
    ----------
    action : {"allow", "ask", "deny"}
        Run it, ask about it, or deny it.
    by : {"rule", "tool"}
        What says so.
    reason : str
        Why.
    """

    action: Action
    by: DecidedBy
    reason: str = ""


async def judge(tool: Tool, arguments: Mapping[str, Any], context: ToolContext, rules: Sequence[Rule]) -> Judgement:
    """Return what the rules say about a call, and if they say nothing, what its tool does.

    Plain functions of the user's are called in a thread, as they may take their time. One that fails, or answers with
    something that isn't a plain yes or no, makes the answer: ask.

    Parameters
    ----------
    tool : Tool
        What is called.
    arguments : mapping
        JSON values; rules and tool see what ``tool.validate`` makes of them.
    context : ToolContext
        Of the call.
    rules : sequence of Rule
        In force, in order.
    """
    look = partial(match_rules, rules, tool.name, partial(tool.validate, arguments))
    match = await _in_thread(look) if any(rule.where for rule in rules) else look()
    if match is not None:
        return Judgement(match.action, "rule", match.reason)
    if isinstance(tool.needs_approval, bool):
        return Judgement("ask" if tool.needs_approval else "allow", "tool")
    return await _ask_tool(tool, tool.needs_approval, arguments, context)


async def _ask_tool(
    tool: Tool, needs_approval: Callable[..., Any], arguments: Mapping[str, Any], context: ToolContext
) -> Judgement:
    try:
        call = partial(needs_approval, tool.validate(arguments), context)
        answer = call() if runs_on_loop(needs_approval) else await _in_thread(call)
        if inspect.isawaitable(answer):
            answer = await answer
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        logger.warning("needs_approval of %r failed; somebody is asked.", tool.name, exc_info=True)
        return Judgement("ask", "tool", f"needs_approval failed: {type(error).__name__}: {error}")
    if not isinstance(answer, bool):
        return Judgement("ask", "tool", f"needs_approval returned {type(answer).__name__}, not True or False")
    return Judgement("ask" if answer else "allow", "tool")


async def _in_thread(function: Callable[[], Any]) -> Any:
    return await in_thread(copy_context().run, function)
