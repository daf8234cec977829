"""Tools with schemas that decoding can be bound to."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.tools.checking import subschemas

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.output.schema import Enforceable
    from llmkit.tools.tool import Tool

_ANY = json.dumps({"type": "object"})
"""Stands in for a schema of which nothing can be enforced."""


def bound(tool: Tool, room: int) -> Tool:
    """Return a tool whose schema can be enforced and lets calls end within about so many tokens.

    Raises
    ------
    ValidationError
        If it can't be enforced; names the tool and the keyword.
    """
    try:
        return replace(tool, parameters=_enforceable(json.dumps(tool.parameters)).within(room))
    except ValidationError as error:
        cause = str(error).removeprefix("The output can't be bound to its schema: ").split(". ")[0].rstrip(".")
        raise ValidationError(
            f"A call of {tool.name!r} can't be bound to the tool's schema: {cause}. Leave it out of the schema and "
            "check it in the handler, or use tool_choice='auto'.",
            field="tools",
        ) from error


def loosely_bound(tool: Tool, room: int) -> Tool:
    """Return a tool with as much of its schema as can be enforced; what is written is checked afterwards."""
    for parameters in (tool.parameters, _loosened(tool.parameters)):
        try:
            return bound(replace(tool, parameters=parameters), room)
        except ValidationError:
            continue
    return replace(tool, parameters=_enforceable(_ANY).within(room))


@lru_cache(maxsize=256)
def _enforceable(parameters: str) -> Enforceable:
    from llmkit.output.schema import Enforceable

    return Enforceable(json.loads(parameters), generated=True)  # a tool's schema was checked when the tool was made


def _loosened(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without the keywords that can't be enforced."""
    from llmkit.output.schema.formats import FORMATS
    from llmkit.output.schema.keywords import TURNED_DOWN

    copy: dict[str, Any] = json.loads(json.dumps(schema))
    for each in subschemas(copy):
        for keyword in TURNED_DOWN.keys() & each.keys():
            del each[keyword]
        if each.get("format") not in FORMATS:
            each.pop("format", None)
    return copy
