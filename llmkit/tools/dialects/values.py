"""Arguments that a model writes without quotes: which are text and which are JSON, by the tool's schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})

_NARROWING = {"enum", "const", "pattern", "format", "anyOf", "oneOf", "allOf", "not", "if", "$dynamicRef"}
_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null", list: "array"}
_WORDS = {"true": "true", "false": "false", "null": "null", "none": "null"}


class Parameters:
    """What is known of a tool's parameters.

    Parameters
    ----------
    schema : Mapping, optional
        The tool's schema; ``None`` for a tool that isn't offered.
    """

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self._root = schema or {}
        self._properties: Mapping[str, Any] = self._root.get("properties", {})

    def is_text(self, name: str) -> bool:
        """Whether any text does for a parameter, so that what is written is what is meant."""
        schema = self._resolved(self._properties.get(name))
        return isinstance(schema, dict) and schema.get("type") == "string" and not _NARROWING & schema.keys()

    def takes_text(self, name: str) -> bool:
        """Whether some text may do for a parameter."""
        return "string" in self._kinds(self._properties.get(name), 0)

    def json_of(self, name: str, text: str) -> str:
        """Return the JSON text for an argument written as ``text``.

        A text stays one where only texts fit, else what is JSON of a type that fits counts as that. What fits nothing
        is left for the validation to refuse.
        """
        if self.is_text(name):
            return json.dumps(text, ensure_ascii=False)
        kinds = self._kinds(self._properties.get(name), 0)
        kind, value = _read(text)
        if kind == "string" and kinds == {"string"} and text in self._choices(name):
            return json.dumps(text, ensure_ascii=False)
        if kind in kinds or (kind == "integer" and "number" in kinds):
            return text.strip()
        if kind == "number" and "integer" in kinds and float(value).is_integer():
            return str(int(value))
        word = _WORDS.get(text.strip().lower())
        if word is not None and ("null" if word == "null" else "boolean") in kinds:
            return word
        return text.strip() if kind and "string" not in kinds else json.dumps(text, ensure_ascii=False)

    def _choices(self, name: str) -> list[Any]:
        schema = self._resolved(self._properties.get(name))
        return [*schema.get("enum", ()), schema.get("const")] if isinstance(schema, dict) else []

    def _resolved(self, schema: Any) -> Any:
        """Return what a schema that only refers to another refers to."""
        for _ in range(10):
            if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
                return schema
            target: Any = self._root
            for step in schema["$ref"].lstrip("#").split("/")[1:]:
                key = step.replace("~1", "/").replace("~0", "~")
                target = target.get(key, {}) if isinstance(target, dict) else {}
            schema = {**target, **schema, "$ref": None} if schema.keys() & _NARROWING else target
        return schema

    def _kinds(self, schema: Any, depth: int) -> frozenset[str]:
        """Return the types that may fit a schema."""
        schema = self._resolved(schema)
        if not isinstance(schema, dict) or depth > 10:
            return ALL
        kinds = ALL
        named = schema.get("type")
        if named is not None:
            kinds &= frozenset([named] if isinstance(named, str) else named)
        if "enum" in schema or "const" in schema:
            values = schema["enum"] if "enum" in schema else [schema["const"]]
            kinds &= frozenset(_kind(each) for each in values)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                kinds &= frozenset().union(*(self._kinds(each, depth + 1) for each in schema[keyword]))
        for each in schema.get("allOf", ()):
            kinds &= self._kinds(each, depth + 1)
        return kinds | {"integer"} if "number" in kinds else kinds


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), "object")


def _read(text: str) -> tuple[str, Any]:
    """Return the type of what ``text`` says as JSON, and its value; "" if it is none."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return "", None
    return _kind(value), value


def _refuse(word: str) -> Any:
    raise ValueError(word)
