"""What a schema allows, as alternatives that each are one value or one kind of value.

``$ref``, ``allOf``, ``anyOf`` and ``oneOf`` are resolved here, so that what is left of a schema is a list of kinds,
each with the schemas that have to hold for it at the same time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.output.schema.keywords import ANNOTATIONS, APPLICATORS, KINDS, OF_KIND, check_keywords, refused
from llmkit.output.schema.nodes import Node, distinct
from llmkit.output.schema.strings import pattern_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

_MOST = 300
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Value:
    """Exactly one value.

    Parameters
    ----------
    value : Any
        As JSON has it.
    where : str
        A JSON pointer to the schema that lists it.
    """

    value: Any
    where: str

    @property
    def text(self) -> str:
        """A text that is the same for equal values alone."""
        return canonical(self.value)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value.

    Parameters
    ----------
    name : str
        One of :data:`~llmkit.output.schema.keywords.KINDS`, or ``"integer"``.
    parts : tuple of Node
        Schemas that hold for it; only what they say of this kind counts, and nothing in them that is an applicator.
    """

    name: str
    parts: tuple[Node, ...]


Alternative = Value | Kind


class _Circular(ValidationError):
    """A reference to what is being resolved."""

    def __init__(self, message: str) -> None:
        super().__init__(message, field="output")


class Alternatives:
    """Finds the alternatives of the schemas within one schema."""

    def __init__(self) -> None:
        self._added: list[Node] = []
        self._found: dict[Hashable, tuple[Alternative, ...]] = {}
        self._under_way: set[Hashable] = set()

    def of_all(self, nodes: Sequence[Node]) -> tuple[Alternative, ...]:
        """Return what fits several schemas at once.

        Raises
        ------
        ValidationError
            For a keyword that can't be enforced; names it and where it stands.
        """
        found = _anything()
        for node in nodes:
            found = self._both(found, self._of(node), node)
        return found

    def _of(self, node: Node) -> tuple[Alternative, ...]:
        if node.key not in self._found:
            if node.key in self._under_way:
                raise _Circular(refused("$ref", node.where, "leads back to itself, so it says nothing").message)
            self._under_way.add(node.key)
            try:
                self._found[node.key] = self._resolved(node)
            except RecursionError as error:
                raise ValidationError("The output's schema is nested too deep.", field="output") from error
            finally:
                self._under_way.discard(node.key)
        return self._found[node.key]

    def _resolved(self, node: Node) -> tuple[Alternative, ...]:
        if isinstance(node.schema, bool):
            return _anything() if node.schema else ()
        lists = "enum" in node.schema or "const" in node.schema
        check_keywords(node.schema, node.where, lists=lists)
        if lists:
            return _values(node)
        found = _kinds(node)
        for keyword in APPLICATORS:
            if keyword not in node.schema:
                continue
            match keyword:
                case "$ref":
                    found = self._both(found, self._of(node.target()), node)
                case "allOf":
                    for number in range(len(node.schema["allOf"])):
                        found = self._both(found, self._of(node.child("allOf", number)), node)
                case "anyOf":
                    branches = [self._of(node.child("anyOf", number)) for number in range(len(node.schema["anyOf"]))]
                    found = self._both(found, sum(branches, ()), node)
                case "oneOf":
                    found = self._one(found, node)
        return found

    def _one(self, found: tuple[Alternative, ...], node: Node) -> tuple[Alternative, ...]:
        branches = []
        for number in range(len(node.get("oneOf"))):
            branch = node.child("oneOf", number)
            branches.append(self._both(found, self._both(self._tagged(node), self._of(branch), node), node))
        for one, other in combinations(branches, 2):
            if not self._apart(one, other):
                why = "has alternatives that may hold at once, which can't be ruled out while decoding; use 'anyOf'"
                raise refused("oneOf", node.where, why)
        return sum(branches, ())

    def _tagged(self, node: Node) -> tuple[Alternative, ...]:
        """Return what ``discriminator`` asks for: an object with the property that it names."""
        tag = node.get("discriminator")
        if not isinstance(tag, dict) or "propertyName" not in tag:
            return _anything()
        extra = node.beside({"type": "object", "required": [tag["propertyName"]]})
        self._added.append(extra)
        return self._of(extra)

    def _both(
        self, some: tuple[Alternative, ...], others: tuple[Alternative, ...], node: Node
    ) -> tuple[Alternative, ...]:
        found: dict[Hashable, Alternative] = {}
        for one in some:
            for other in others:
                both = self._met(one, other)
                if both is not None:
                    key = both.text if isinstance(both, Value) else (both.name, *(part.key for part in both.parts))
                    found.setdefault(key, both)
            if len(found) > _MOST:
                raise ValidationError(
                    f"The output can't be bound to its schema: {node.where} has too many combinations of alternatives.",
                    field="output",
                )
        return tuple(found.values())

    def _met(self, one: Alternative, other: Alternative) -> Alternative | None:
        match one, other:
            case Value(), Value():
                return one if one.text == other.text else None
            case Value(), Kind():
                return one if _admits(other, one.value) else None
            case Kind(), Value():
                return other if _admits(one, other.value) else None
            case Kind(), Kind() if basic(one.name) == basic(other.name):
                name = "integer" if "integer" in {one.name, other.name} else one.name
                return Kind(name, distinct((*one.parts, *other.parts)))
        return None

    def _apart(self, some: Sequence[Alternative], others: Sequence[Alternative], depth: int = 0) -> bool:
        """Return whether it is certain that nothing fits both."""
        return depth < _DEEPEST and not any(self._may_meet(one, other, depth) for one in some for other in others)

    def _may_meet(self, one: Alternative, other: Alternative, depth: int) -> bool:
        both = self._met(one, other)
        if not isinstance(both, Kind) or not isinstance(one, Kind) or not isinstance(other, Kind):
            return both is not None
        if both.name != "object":
            return True
        asked = dict.fromkeys(name for part in both.parts for name in part.get("required", ()))
        return not any(self._apart_at(name, one, other, depth) for name in asked)

    def _apart_at(self, name: str, one: Kind, other: Kind, depth: int) -> bool:
        """Return whether it is certain that a property can't be what both kinds of object ask for."""
        try:
            some, others = self.of_all(named(one.parts, name)), self.of_all(named(other.parts, name))
        except _Circular:  # of the schema that is being resolved, as a tree's branches are
            return False
        return self._apart(some, others, depth + 1)


def _values(node: Node) -> tuple[Alternative, ...]:
    """Return the values that a schema lists and that fit it; with a list, every keyword is enforced."""
    values = node.get("enum") if node.get("enum") is not None else [node.get("const")]
    others = set(node.schema if isinstance(node.schema, dict) else ()) - {"enum", *ANNOTATIONS}
    fitting = [Value(value, node.where) for value in values if not others or node.fits(value)]
    return tuple({each.text: each for each in fitting}.values())


def _kinds(node: Node) -> tuple[Alternative, ...]:
    told = node.get("type", KINDS)
    names = [told] if isinstance(told, str) else list(told)
    return tuple(
        Kind(name, (node,) if any(node.get(keyword) is not None for keyword in OF_KIND.get(basic(name), ())) else ())
        for name in names
        if not (name == "integer" and "number" in names)
    )


def _admits(kind: Kind, value: Any) -> bool:
    return kind_of(value, kind.name) and all(part.fits(value, without=APPLICATORS) for part in kind.parts)


def named(parts: Sequence[Node], name: str) -> tuple[Node, ...]:
    """Return the schemas that hold for a property of an object, by all that some schemas say of it."""
    found = []
    for part in parts:
        declared = [part.child("properties", name)] if name in part.get("properties", ()) else []
        declared.extend(
            part.child("patternProperties", pattern)
            for pattern in part.get("patternProperties", ())
            if pattern_of(pattern, "patternProperties", part.where).matches(name)
        )
        if not declared and part.get("additionalProperties") is not None:
            declared.append(part.child("additionalProperties"))
        if part.get("propertyNames") is not None and not part.child("propertyNames").fits(name):
            declared.append(Node(False, part.where, part.resolver, part.checker))
        found.extend(declared)
    return distinct(found)


def _anything() -> tuple[Alternative, ...]:
    return tuple(Kind(name, ()) for name in KINDS)


def basic(name: str) -> str:
    """Return a kind's name, where an integer is a number."""
    return "number" if name == "integer" else name


def canonical(value: Any) -> str:
    """Return a text that is the same for equal values alone: 1 and 1.0 are equal, 1 and true aren't."""
    return json.dumps(_whole(value), sort_keys=True, ensure_ascii=False)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return {key: _whole(each) for key, each in value.items()} if isinstance(value, dict) else value


def kind_of(value: Any, name: str) -> bool:
    """Return whether a value is of a kind."""
    if isinstance(value, float):
        return name == "number" or (name == "integer" and value.is_integer())
    kinds = {type(None): "null", bool: "boolean", int: "number", str: "string", list: "array", dict: "object"}
    return kinds[type(value)] == basic(name)
