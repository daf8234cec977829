"""Texts: all lengths and patterns of several schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.output.schema.formats import FORMATS, OF_NUMBERS, SAYS_NOTHING
from llmkit.output.schema.keywords import refused
from llmkit.output.schema.patterns import Pattern, PatternError, full, searched

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.output.schema.nodes import Node


def string(parts: Sequence[Node]) -> dict[str, Any] | bool:
    """Return the schema of texts that fit several schemas; false if there are none.

    Parameters
    ----------
    parts : sequence of Node
        The schemas; only what they say of texts counts.

    Raises
    ------
    ValidationError
        For a pattern or format that can't be enforced.
    """
    patterns = {pattern.rust: pattern for part in parts for pattern in patterns_of(part)}
    shortest = max((part.get("minLength", 0) for part in parts), default=0)
    longest = min((part.get("maxLength") for part in parts if part.get("maxLength") is not None), default=None)
    if longest is not None and longest < shortest:
        return False
    lengths: dict[str, Any] = {}
    if shortest:
        lengths["minLength"] = int(shortest)
    if longest is not None:
        lengths["maxLength"] = int(longest)
    return _schema(patterns.values(), lengths)


def patterns_of(part: Node) -> list[Pattern]:
    """Return what ``pattern`` and ``format`` of a schema come to.

    Raises
    ------
    ValidationError
        If one can't be enforced.
    """
    found = []
    if part.get("pattern") is not None:
        found.append(pattern_of(part.get("pattern"), "pattern", part.where))
    name = part.get("format")
    if name in FORMATS:
        found.append(full(FORMATS[name]))
    elif name is not None and name not in SAYS_NOTHING and name not in OF_NUMBERS:
        raise refused("format", part.where, f"is {name!r}, which can't be enforced")
    return found


def pattern_of(pattern: str, keyword: str, where: str) -> Pattern:
    """Return a pattern that whole texts are matched with.

    Raises
    ------
    ValidationError
        If it can't be enforced; names the keyword.
    """
    try:
        return searched(pattern)
    except PatternError as error:
        raise refused(keyword, where, f"{error}: {pattern!r}") from error


def _schema(patterns: Iterable[Pattern], lengths: dict[str, Any]) -> dict[str, Any] | bool:
    schemas: list[dict[str, Any]] = [{"type": "string", "pattern": f"^{pattern.rust}$"} for pattern in patterns]
    if not schemas:
        return {"type": "string", **lengths}
    schemas[0].update(lengths)
    return schemas[0] if len(schemas) == 1 else {"allOf": schemas}
