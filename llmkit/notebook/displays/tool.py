"""Tools as values of cells: what they do, and what they may be called with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmkit.notebook.displays.card import Markup, card, code, folded, pre, quiet, table, title
from llmkit.notebook.json_text import pretty
from llmkit.notebook.visible import one_line
from llmkit.tools.signature_text import signature_text, type_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.mcp.toolset import Toolset
    from llmkit.tools.tool import Tool

MOST_TOOLS = 100
"""So many tools of a server are listed."""

_LONGEST = 160


def html(tool: Tool) -> str:
    """Return a tool: its name and description, its parameters as a table, the whole schema folded."""
    return card(
        f"Tool {tool.name}",
        title(tool.name, *facts(tool)),
        pre(tool.description) if tool.description else "",
        parameters(tool.parameters),
        folded("JSON schema", pre(pretty(tool.parameters))),
    )


def parameters(schema: dict[str, Any]) -> Markup:
    """Return the parameters of a schema as a table."""
    required = schema.get("required", ())
    rows = [
        (code(name), code(type_text(each)), _when(name, each, required), _about(each))
        for name, each in schema.get("properties", {}).items()
    ]
    return table(("parameter", "type", "default", "meaning"), rows) or quiet("Takes nothing.")


def facts(tool: Tool) -> tuple[str, ...]:
    """Return who is asked before a tool runs, and other short facts."""
    asks = "asks first" if tool.needs_approval is True else "may ask first" if tool.needs_approval else "never asks"
    limit = f"{tool.timeout:g} s at most" if tool.timeout is not None else ""
    return (asks, limit, "" if tool.handler is not None else "no handler")


def toolset_html(tools: Toolset, name: str, *states: str) -> str:
    """Return the tools of a server.

    Parameters
    ----------
    tools : Toolset
        The tools.
    name : str
        What the server calls itself.
    *states : str
        What there is to say about the connection.
    """
    count = f"{len(tools)} tool{'' if len(tools) == 1 else 's'}"
    more = f"… and {len(tools) - MOST_TOOLS} more" if len(tools) > MOST_TOOLS else ""
    return card("MCP server", title(f"MCP server {name}", count, *states), tools_table(tools[:MOST_TOOLS]), quiet(more))


def tools_table(tools: Sequence[Tool]) -> Markup:
    """Return a row a tool."""
    rows = [(code(each.name), code(signature_text(each.parameters)), _summary(each), facts(each)[0]) for each in tools]
    return table(("tool", "parameters", "does", "approval"), rows)


def _summary(tool: Tool) -> str:
    return one_line(tool.description.strip().partition("\n")[0], _LONGEST)


def _when(name: str, schema: Any, required: Sequence[str]) -> str:
    if name in required:
        return "required"
    default = schema.get("default") if isinstance(schema, dict) else None
    return code(one_line(json.dumps(default, ensure_ascii=False), _LONGEST)) if default is not None else "optional"


def _about(schema: Any) -> str:
    return str(schema.get("description", "")) if isinstance(schema, dict) else ""
