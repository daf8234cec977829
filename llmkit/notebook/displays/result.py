"""A run's result as the value of a cell: the answer, the calls and what they came to, how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.notebook import markdown
from llmkit.notebook.displays.card import Markup, card, code, folded, pre, quiet, table, title
from llmkit.notebook.json_text import pretty
from llmkit.notebook.values import shown_value
from llmkit.notebook.visible import one_line
from llmkit.tools.results import json_value

if TYPE_CHECKING:
    from llmkit.results import Result

_LONGEST = 160


def html(result: Result) -> str:
    """Return the last step's answer, every step's calls, and the stats."""
    steps = len(result.steps)
    calls = [each for step in result.steps for each in step.tool_results]
    rows = [
        (
            code(each.call.name),
            code(one_line(pretty(json_value(each.call.arguments)), _LONGEST)),
            each.outcome,
            shown_value(each.output)["short"],
        )
        for each in calls
    ]
    waiting = len(result.pending_approvals)
    usage = result.total_usage
    return card(
        "Result",
        title(
            "Result",
            result.finish_reason,
            f"{steps} steps" if steps > 1 else "",
            f"{waiting} waiting for approval" if waiting else "",
            result.stop_reason if steps > 1 else "",
        ),
        folded("Reasoning", Markup(markdown.html(result.reasoning))) if result.reasoning else "",
        _answer(result),
        table(("call", "arguments", "outcome", "result"), rows),
        quiet(str(result.stats) if result.stats is not None else f"{usage.output_tokens} tokens"),
    )


def _answer(result: Result) -> Markup:
    if result.output_error is not None:
        why = quiet(f"{type(result.output_error).__name__}: {result.output_error}")
        return Markup(f"{why}{pre(result.text)}")
    if result.output_value is None or isinstance(result.output_value, str):
        return Markup(markdown.html(result.text))
    form = shown_value(result.output_value)
    return pre(form.get("text", form["short"]))
