"""JSON as people read it, and exactly: no number is rounded, no name reordered, no character hidden."""

from __future__ import annotations

import json
from typing import Any

from llmkit.notebook.visible import visible

LINE = 72
"""A list or object that fits in so many characters stays on one line."""

_DEEPEST = 8


def pretty(value: Any) -> str:
    """Return JSON values as indented JSON text.

    Invisible characters are escaped as JSON allows, so that the text means what it shows. What is nested deeper than
    eight levels stays on one line: indenting it would make the text longer by the square of its depth.
    """
    return visible(_written(value, 0))


def _written(value: Any, depth: int) -> str:
    compact = json.dumps(value, ensure_ascii=False)
    if len(compact) + 2 * depth <= LINE or depth >= _DEEPEST:
        return compact
    match value:
        case dict():
            named = ((json.dumps(str(name), ensure_ascii=False), item) for name, item in value.items())
            return _block("{", [f"{name}: {_written(item, depth + 1)}" for name, item in named], "}", depth)
        case list() | tuple():
            return _block("[", [_written(item, depth + 1) for item in value], "]", depth)
    return compact


def _block(opening: str, items: list[str], closing: str, depth: int) -> str:
    inner, outer = "\n" + "  " * (depth + 1), "\n" + "  " * depth
    return f"{opening}{inner}{f',{inner}'.join(items)}{outer}{closing}"
