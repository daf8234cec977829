"""Limits for what a schema leaves without any, so that an answer ends within the tokens there are for it.

Small models go on without end where nothing stops them: a text that repeats itself, a list with ever more items, a tree
that grows ever deeper. What limits there are depends on the room; those of the schema itself stay.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from llmkit.output.grammar import grammar_problem
from llmkit.output.schema.patterns import ANY
from llmkit.output.schema.writing import references
from llmkit.tools.dialects.grammar import json_expression

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.output.schema.writing import Schema

SHORTEST = 32
"""Characters that a text may have in any case."""

_COUNTS = (512, 384, 256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8)
"""How many items a list without a limit may have, or properties that aren't named an object: as many as there is room
for, but never fewer than the last."""

_COUNTS_WITHIN = (6, 4)
"""And where a schema stands within itself, so that lists are within lists, and so on."""

_DEPTHS = (8, 6, 4, 3)
"""How often a schema may stand within itself, likewise."""

_BRANCHES = 2
"""How many items a list has that stands within itself, mostly."""

_TEXT, _NUMBER, _MARK = 6, 8, 3
"""Tokens that texts and numbers take, mostly; and quotes, colons and commas."""

_LETTERS = 3
"""Characters a token, in names and listed values."""

_LEAST = 2
"""Characters a token in texts, at least mostly."""

_NAME = "(?s:.{0,40})"
_LARGEST = 2**53 - 1
"""The largest whole number that all JSON readers agree on (RFC 8259, section 6)."""

_LARGEST_FRACTION = 10**15
_FINE, _NARROW = 1e-10, 1e-3
"""Decimal places are limited to these, where bounds are further apart than those."""

_ANY = "any"
_OF_COUNT = ("minProperties", "maxProperties")


def rounded(room: int) -> int:
    """Return a room that is a little smaller, so that few different grammars are made: a power of two, or half more."""
    size = 1 << max(room, 1).bit_length() - 1
    return size + size // 2 if room >= size + size // 2 else size


def fitted(definitions: Mapping[str, Schema], start: str, room: int) -> tuple[dict[str, Schema], str]:
    """Return definitions whose answers end within about so many tokens.

    An answer of ordinary texts, with as many items as are allowed, takes no more. One whose texts all are as long as
    they may be can take more.

    Parameters
    ----------
    definitions : Mapping
        Schemas by name. Within them every schema is false or ``{"$ref": name}``, or stands in an ``anyOf``.
    start : str
        The name of the definition to begin with.
    room : int
        Tokens that the answer may take.

    Returns
    -------
    definitions, start
        The same, with limits; what stands within itself is written out as often as it may.
    """
    told: dict[str, Any] = {name: _spelled_out(schema) for name, schema in definitions.items()}
    told[_ANY] = _spelled_out({})
    if definitions[start] == {}:  # whoever asks for JSON of any kind wants more than a word or a number
        told[start] = {"anyOf": [each for each in told[_ANY]["anyOf"] if each["type"] in {"array", "object"}]}
    reached, returning = _walked(told, start)
    size = _chosen(told, start, room, returning)
    length = max(_LEAST * (room - size.tokens) // max(1, size.texts * (4 if size.lists else 1)), SHORTEST)
    made = {
        f"{name}-{level}": _leveled(_limited(told[name], size.count(level), length), returning[name], level)
        for name in reached
        for level in range(size.depth + 1)
    }
    return made, f"{start}-{size.depth}"


def _chosen(told: Mapping[str, Schema], start: str, room: int, returning: Mapping[str, set[str]]) -> _Size:
    """Return the most items and the greatest depth for which there is room."""
    for most in (*_COUNTS, *_COUNTS_WITHIN) if returning else _COUNTS:
        for depth in _DEPTHS if returning else (0,):
            size = _Size(told, start, returning, most, depth)
            if size.tokens <= room:
                return size
    return size


class _Size:
    """What an ordinary answer takes, if its lists are as long as they may be.

    Parameters
    ----------
    definitions : Mapping
        Schemas by name.
    start : str
        The one to begin with.
    returning : Mapping
        By name, the references that lead back to what they stand in.
    most : int
        How many items a list without a limit has; half as many within itself, and so on.
    depth : int
        How often a definition may stand within itself.
    """

    def __init__(
        self, definitions: Mapping[str, Schema], start: str, returning: Mapping[str, set[str]], most: int, depth: int
    ) -> None:
        self.depth = depth
        self.texts = 0
        self.lists = False
        self._definitions = definitions
        self._returning = returning
        self._most = most
        self._known: dict[tuple[str, int], int] = {}
        self.tokens = self._of_name(start, depth)

    def count(self, level: int) -> int:
        """Return how many items a list has from which one may still go down so many levels."""
        return max(self._most >> (self.depth - level), 1)

    def _of(self, schema: Schema, name: str, level: int) -> int:
        if isinstance(schema, bool):
            return 0
        match schema:
            case {"$ref": target}:
                below = target in self._returning.get(name, ())
                size = 0 if below and not level else self._of_name(target, level - below)
            case {"anyOf": options}:
                size = max(self._of(each, name, level) for each in options)
            case {"enum": values}:
                size = max(len(str(value)) for value in values) // _LETTERS + _MARK
            case {"type": "array"}:
                size = self._of_array(schema, name, level)
            case {"type": "object"}:
                size = self._of_object(schema, name, level)
            case {"type": "integer" | "number"}:
                size = _of_number(schema)
            case {"type": "string"}:
                self.texts += level == self.depth and "maxLength" not in schema
                size = min(int(schema.get("maxLength", _TEXT)), _TEXT) + _MARK
            case _:  # null, boolean
                size = _MARK
        return size

    def _of_name(self, name: str, level: int) -> int:
        if name == _ANY:
            return _TEXT + _MARK  # mostly it is no more than that
        if (name, level) not in self._known:
            self._known[name, level] = self._of(self._definitions[name], name, level)
        return self._known[name, level]

    def _usual(self, level: int) -> int:
        """Return how many items a list has that is taken to be as long as it may be: within itself it rarely is."""
        return self.count(level) if level == self.depth else min(self.count(level), _BRANCHES)

    def _of_array(self, schema: dict[str, Any], name: str, level: int) -> int:
        first = schema.get("prefixItems", [])
        rest = self._of(schema["items"], name, level)
        self.lists = self.lists or ("maxItems" not in schema and schema["items"] is not False)
        count = max(int(schema.get("maxItems", self._usual(level))) - len(first), 0)
        return sum(self._of(each, name, level) for each in first) + count * (rest + 1) + _MARK

    def _of_object(self, schema: dict[str, Any], name: str, level: int) -> int:
        properties = schema.get("properties", {})
        named = sum(len(key) // _LETTERS + _MARK + self._of(each, name, level) for key, each in properties.items())
        further = max((self._of(each, name, level) + _TEXT for each in _further(schema)), default=0)
        self.lists = self.lists or bool(further)
        return named + further * int(schema.get("maxProperties", self._usual(level))) + _MARK


def _of_number(schema: dict[str, Any]) -> int:
    if schema["type"] == "number" or not {"minimum", "maximum"} <= schema.keys():
        return _NUMBER
    return min(max(len(str(schema["minimum"])), len(str(schema["maximum"]))), _NUMBER)


def _further(schema: dict[str, Any]) -> list[Schema]:
    beside = schema.get("additionalProperties", False)
    return [*schema.get("patternProperties", {}).values(), *([beside] if beside is not False else [])]


def _spelled_out(schema: Schema) -> Schema:
    """Return a schema in which anything at all is told as its kinds."""
    if isinstance(schema, bool):
        return schema
    if not schema:
        kinds = ({"type": kind} for kind in ("null", "boolean", "number", "string", "array"))
        return {"anyOf": [*map(_spelled_out, kinds), {"type": "object", "additionalProperties": {"$ref": _ANY}}]}
    if "anyOf" in schema:
        return {"anyOf": [_spelled_out(each) for each in schema["anyOf"]]}
    if schema.get("type") == "array":
        return {"items": {"$ref": _ANY}, **schema}
    return schema


def _walked(definitions: Mapping[str, Schema], start: str) -> tuple[set[str], dict[str, set[str]]]:
    """Return the names that a definition leads to, and which of the references from each lead back to where it stands.

    They are found depth first: whatever stands within itself does so by one of them.
    """
    reached, returning = {start}, defaultdict[str, set[str]](set)
    path = [(start, references(definitions[start]))]
    while path:
        name, left = path[-1]
        for target in left:
            if any(target == above for above, _ in path):
                returning[name].add(target)
            elif target not in reached:
                reached.add(target)
                path.append((target, references(definitions[target])))
                break
        else:
            path.pop()
    return reached, returning


def _limited(schema: Schema, count: int, length: int) -> Schema:
    """Return a schema with limits where it has none."""
    if isinstance(schema, bool):
        return schema
    limited = schema
    match schema:
        case {"anyOf": options}:
            limited = {"anyOf": [_limited(each, count, length) for each in options]}
        case {"allOf": [first, *rest]}:  # of texts
            limited = {"allOf": [_limited(first, count, length), *rest]}
        case {"type": "array"}:
            least = max(len(schema.get("prefixItems", ())), schema.get("minItems", 0))
            limited = {"maxItems": max(count, least), **schema}
        case {"type": "object"} if _further(schema):
            limited = _limited_object(schema, count)
        case {"type": "integer"}:
            limited = _limited_whole(schema)
        case {"type": "number"} if schema.keys() & {"minimum", "maximum"}:
            limited = _limited_fraction(schema)
        case {"type": "string"}:
            limited = _limited_text(schema, length)
    return limited


def _limited_object(schema: dict[str, Any], count: int) -> dict[str, Any]:
    """Return the schema of an object with few further properties, and with these only beside all that are named.

    The compiler counts them where nothing that is named may be missing, and only there.
    """
    patterns = dict(schema.get("patternProperties", {}))
    if schema.get("additionalProperties", False) is not False:
        patterns[f"^{ANY}$"] = schema["additionalProperties"]
    patterns = {pattern.replace(ANY, _NAME): each for pattern, each in patterns.items()}
    named, required = schema.get("properties", {}), schema.get("required", [])
    closed = {"type": "object", "properties": named, "additionalProperties": False}
    least = max(len(named), schema.get("minProperties", 0))
    counts = {"maxProperties": least + count, **{key: schema[key] for key in _OF_COUNT if key in schema}}
    full = {**closed, "required": list(named), "patternProperties": patterns, **counts}
    return full if len(required) == len(named) else {"anyOf": [{**closed, "required": required}, full]}


def _limited_whole(schema: dict[str, Any]) -> dict[str, Any]:
    least = min(-_LARGEST, schema.get("maximum", 0))
    most = max(_LARGEST, schema.get("minimum", 0))
    return {"minimum": least, "maximum": most, **schema}


def _limited_fraction(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a number with bounds and few decimal places.

    The compiler counts those of positive numbers alone. A number without any bound may have an exponent, which a limit
    would forbid, so that one stays as it is.
    """
    least, most = schema.get("minimum", -_LARGEST_FRACTION), schema.get("maximum", _LARGEST_FRACTION)
    if "multipleOf" in schema:
        return {**schema, "maximum": most}
    if most - max(least, 0) < _NARROW:
        return schema
    positive = {"type": "number", "minimum": max(least, 0), "maximum": most, "multipleOf": _FINE}
    return positive if least >= 0 else {"anyOf": [positive, {"type": "number", "minimum": least, "maximum": -_FINE}]}


def _limited_text(schema: dict[str, Any], length: int) -> dict[str, Any]:
    length = max(length, schema.get("minLength", 0))
    limited = {"maxLength": length, **schema}
    # What has to be longer, as an address has, stays as it is.
    return limited if "pattern" not in schema or _writable(limited) else schema


def _writable(schema: dict[str, Any]) -> bool:
    return grammar_problem(f"start: {json_expression(schema)}") is None


def _leveled(schema: Schema, returning: set[str], level: int) -> Schema:
    """Return a schema that leads to definitions of its level, and of the one below where it leads back."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        below = schema["$ref"] in returning
        return False if below and not level else {"$ref": f"{schema['$ref']}-{level - below}"}
    copy = dict(schema)
    for keyword in ("anyOf", "prefixItems"):
        if keyword in schema:
            copy[keyword] = [_leveled(each, returning, level) for each in schema[keyword]]
    for keyword in ("properties", "patternProperties"):
        if keyword in schema:
            copy[keyword] = {key: _leveled(each, returning, level) for key, each in schema[keyword].items()}
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            copy[keyword] = _leveled(schema[keyword], returning, level)
    return copy
