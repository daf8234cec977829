"""A JSON schema in short, as a model reads it: ``{"name": string, "tags": [string, …]}``.

A list by itself keeps the words of JSON schema: told as ``[string, …]``, the smallest models leave it empty. That and
the sentence before it were found by trying them on SmolLM2-135M; try again when you change them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAYS_NOTHING = {"$defs", "additionalProperties", "default", "examples", "required", "title"}
_TOLD = {
    "format": "{}",
    "pattern": "matching {}",
    "minimum": "from {}",
    "maximum": "to {}",
    "exclusiveMinimum": "above {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
}
_DEEPEST = 6


class _Untold(Exception):
    """A schema says what has no short form."""


def outline(schema: Mapping[str, Any]) -> str:
    """Return a schema in short; the schema itself, in JSON, if it says more than has a short form."""
    try:
        short = _Outline(schema.get("$defs", {}))
        if schema.get("type") != "array" or "items" not in schema:
            return short.of(schema, 0)
        limits = "".join(f', "{key}": {schema[key]}' for key in ("minItems", "maxItems") if key in schema)
        told = {key: each for key, each in schema.items() if key not in {"minItems", "maxItems"}}
        short.of(told, 0)  # whether all of it can be told
        return f'{{"type": "array", "items": {short.of(schema["items"], 1)}{limits}}}'
    except _Untold:
        return json.dumps(schema, ensure_ascii=False)


class _Outline:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def of(self, schema: Any, depth: int) -> str:
        """Return a schema in short, with what is said of it in words behind."""
        if not isinstance(schema, dict) or depth > _DEEPEST:
            raise _Untold
        left = dict(schema)
        words = [str(left.pop("description"))] if "description" in left else []
        words += [form.format(left.pop(keyword)) for keyword, form in _TOLD.items() if keyword in left]
        kind = self._kind(left, depth)
        if left.keys() - _SAYS_NOTHING:
            raise _Untold
        return f"{kind} ({', '.join(' '.join(word.split()) for word in words)})" if words else kind

    def _kind(self, left: dict[str, Any], depth: int) -> str:
        """Return what kind of value it is, and take what tells that away."""
        name = left.pop("type", None)
        match left:
            case {"$ref": reference}:
                del left["$ref"]
                return self.of(self._definitions.get(str(reference).removeprefix("#/$defs/")), depth + 1)
            case {"const": value}:
                del left["const"]
                return _json(value)
            case {"enum": values}:
                del left["enum"]
                return " | ".join(map(_json, values))
            case {"anyOf": options}:
                del left["anyOf"]
                return " | ".join(self.of(each, depth + 1) for each in options)
        return self._of_type(name, left, depth)

    def _of_type(self, name: Any, left: dict[str, Any], depth: int) -> str:
        match name:
            case "object":
                return self._object(left, depth)
            case "array" if "prefixItems" in left and not left.pop("items", False):
                return f"[{', '.join(self.of(each, depth + 1) for each in left.pop('prefixItems'))}]"
            case "array" if "items" in left:
                return f"[{self.of(left.pop('items'), depth + 1)}, …]"
            case str():
                return name
            case [*names]:
                return " | ".join(map(str, names))
        raise _Untold

    def _object(self, left: dict[str, Any], depth: int) -> str:
        further = left.get("additionalProperties", False)
        if isinstance(further, dict):
            return f"{{name: {self.of(further, depth + 1)}, …}}"
        required = left.get("required", ())
        members = [
            f"{_json(name)}: {self.of(each, depth + 1)}{'' if name in required else ' or left out'}"
            for name, each in left.pop("properties", {}).items()
        ]
        return f"{{{', '.join([*members, *(['…'] if further or not members else [])])}}}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
