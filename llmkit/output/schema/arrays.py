"""Arrays: the items that several schemas ask for, one by one and the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.output.schema.keywords import refused
from llmkit.output.schema.nodes import distinct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkit.output.schema.nodes import Node

_MOST = 2048


def arrays(parts: Sequence[Node], of: Callable[[tuple[Node, ...]], dict[str, Any] | bool]) -> dict[str, Any] | bool:
    """Return the schema of arrays that fit several schemas; false if there are none.

    Parameters
    ----------
    parts : sequence of Node
        The schemas; only what they say of arrays counts.
    of : Callable
        Returns the schema of what fits several schemas.

    Raises
    ------
    ValidationError
        For more items than a grammar can count.
    """
    least = max((part.get("minItems", 0) for part in parts), default=0)
    told = [part.get("maxItems") for part in parts if part.get("maxItems") is not None]
    if least > _MOST:
        guilty = next(part for part in parts if part.get("minItems", 0) == least)
        raise refused("minItems", guilty.where, f"asks for more than {_MOST} items, which can't be enforced")
    if told and min(told) < least:
        return False
    first = max((len(part.get("prefixItems", ())) for part in parts), default=0)
    schema: dict[str, Any] = {"type": "array"}
    if first:
        schema["prefixItems"] = [of(_at(parts, position)) for position in range(first)]
    rest = _at(parts, first)
    if rest:
        schema["items"] = of(rest)
    if least:
        schema["minItems"] = int(least)
    if told:
        schema["maxItems"] = min(int(min(told)), _MOST)
    return schema


def _at(parts: Sequence[Node], position: int) -> tuple[Node, ...]:
    """Return the schemas of the item at a position."""
    found = []
    for part in parts:
        if position < len(part.get("prefixItems", ())):
            found.append(part.child("prefixItems", position))
        elif part.get("items") is not None:
            found.append(part.child("items"))
    return distinct(found)
