"""What a tool returned, as JSON of bounded size, whatever it is and however much of it there is."""

from __future__ import annotations

from itertools import islice
from typing import Any

from llmkit.records.values import safe_repr, to_bounded_json
from llmkit.tools.results import json_value

MAX_OUTPUT = 1 << 16
"""So many characters of an output's JSON are kept."""

_MAX_DEPTH = 32


def output_json(value: Any, limit: int = MAX_OUTPUT) -> str:
    """Return ``value`` as JSON; of more than ``limit`` characters the beginning, as a JSON string.

    No more of it is looked at than fits: a table of a million rows costs what its first rows do.
    """
    try:
        plain = _Reader(limit).plain(value)
    except Exception:  # noqa: BLE001 - a key without words, a dictionary that changes meanwhile
        plain = safe_repr(value)
    return to_bounded_json(plain, limit)


class _Reader:
    """Turns a value into JSON values until they fill the room there is. Each item takes 2 characters at least."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = limit + 2

    def plain(self, value: Any, depth: int = 0) -> Any:
        self._left -= 2
        if depth > _MAX_DEPTH:
            return "…"
        if isinstance(value, str):
            self._left -= len(value)
            return value[: self._limit + 1]
        if isinstance(value, dict):
            return {str(key): self.plain(item, depth + 1) for key, item in self._fitting(value.items())}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.plain(item, depth + 1) for item in self._fitting(value)]
        return self._leaf(value)

    def _fitting(self, items: Any) -> Any:
        for item in items:
            if self._left <= 0:
                return
            yield item

    def _leaf(self, value: Any) -> Any:
        try:
            return json_value(_head(value, self._limit))
        except Exception:  # noqa: BLE001 - it is the tool's own object, and its fault is what the record then tells
            return safe_repr(value)


def _head(value: Any, limit: int) -> Any:
    """Return the first rows of a table, the first numbers of an array: more than fit, so that the JSON is cut."""
    if hasattr(value, "columns") and hasattr(value, "head"):
        return value.head(limit // 6 + 1)
    if hasattr(value, "tolist") and getattr(value, "size", 0) > limit:
        return list(islice(value.flat, limit)) if hasattr(value, "flat") else value[:limit]
    return value
