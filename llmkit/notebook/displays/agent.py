"""An agent as the value of a cell: its model, its instructions, its tools, what it was made with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.notebook.displays.card import card, code, pre, table, title
from llmkit.notebook.displays.tool import tools_table
from llmkit.notebook.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.agent import Agent

_LONGEST = 160


def html(agent: Agent, model: str, options: Mapping[str, Any]) -> str:
    """Return an agent.

    Parameters
    ----------
    agent : Agent
        The agent.
    model : str
        The model's name.
    options : Mapping
        What it was made with.
    """
    system = options.get("system") or agent.session.system
    told = {name: each for name, each in options.items() if name not in {"system", "model"} and each is not None}
    return card(
        "Agent",
        title("Agent", model, f"session {agent.session.id}"),
        pre(system) if system else "",
        tools_table(agent.tools),
        table(("option", "value"), [(code(name), code(_short(each))) for name, each in told.items()]),
    )


def _short(value: Any) -> str:
    items = value if isinstance(value, tuple | list) else [value]
    return one_line(", ".join(getattr(each, "__name__", None) or repr(each) for each in items), _LONGEST)
