"""JSON schemas of many kinds, made by chance but always the same ones."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = ("id", "name", "tags", "score", "when", "place", "items", "kind", "note", "größe", 'a "b"', "x/y~z")
PATTERNS = (r"^[A-Z]{2}\d{4}$", r"^\w+(-\w+)*$", r"\d", r"^(yes|no)$", r"^[^\s,]{1,8}$")
FORMATS = ("date", "date-time", "time", "email", "uuid", "ipv4", "hostname", "duration", "uri")


def schemas(count: int = 200, seed: int = 7) -> list[dict[str, Any]]:
    """Return as many schemas, most of them enforceable and some not.

    Parameters
    ----------
    count : int
        How many.
    seed : int
        Another one gives other schemas.
    """
    chance = random.Random(seed)  # noqa: S311 - the same every time
    return [_Maker(chance).root(number) for number in range(count)]


class _Maker:
    """Makes one schema."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._definitions: dict[str, Any] = {}

    def root(self, number: int) -> dict[str, Any]:
        """Return a schema: an object, mostly, since that is what people ask for."""
        make = self._array if number % 7 == 3 else self._any if number % 7 == 5 else self._object
        schema = make(3)
        if number % 5 == 0:
            schema = self._combined(schema)
        return {**schema, **({"$defs": self._definitions} if self._definitions else {})}

    def _any(self, depth: int) -> dict[str, Any]:
        makers: list[Callable[[int], dict[str, Any]]] = [
            self._string,
            self._number,
            self._integer,
            self._literal,
            self._plain,
        ]
        if depth > 0:
            makers += [self._object, self._array, self._union, self._map, self._reference]
        return self._chance.choice(makers)(depth - 1)

    def _plain(self, _: int) -> dict[str, Any]:
        return {"type": self._chance.choice(["boolean", "null", ["string", "null"], ["integer", "null"]])}

    def _string(self, _: int) -> dict[str, Any]:
        least = self._chance.randint(0, 3)
        said: dict[str, Any] = self._chance.choice(
            [
                {},
                {"maxLength": self._chance.randint(3, 30)},
                {"minLength": least, "maxLength": least + self._chance.randint(0, 9)},
                {"pattern": self._chance.choice(PATTERNS)},
                {"pattern": self._chance.choice(PATTERNS), "maxLength": 12},
                {"format": self._chance.choice(FORMATS)},
            ]
        )
        return {"type": "string", **said}

    def _number(self, _: int) -> dict[str, Any]:
        low = round(self._chance.uniform(-1000, 1000), self._chance.randint(0, 6))
        high = low + round(self._chance.uniform(0.001, 500), 3)
        said: dict[str, Any] = self._chance.choice(
            [
                {},
                {"minimum": low},
                {"exclusiveMinimum": low, "maximum": high},
                {"minimum": low, "exclusiveMaximum": high},
                {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"minimum": 0, "maximum": high + 2000, "multipleOf": self._chance.choice([0.5, 0.01, 2])},
            ]
        )
        return {"type": "number", **said}

    def _integer(self, _: int) -> dict[str, Any]:
        low = self._chance.randint(-2000, 2000)
        said: dict[str, Any] = self._chance.choice(
            [
                {},
                {"minimum": low, "maximum": low + self._chance.randint(0, 300)},
                {"exclusiveMinimum": low},
                {"maximum": low},
                {"multipleOf": self._chance.choice([3, 7, 100])},
                {"minimum": -20, "maximum": 20, "multipleOf": 5},
                {"maximum": 2**63 - 1, "minimum": -(2**63)},
            ]
        )
        return {"type": "integer", **said}

    def _literal(self, _: int) -> dict[str, Any]:
        values: list[Any] = [
            "red",
            "green",
            'a "quote"',
            "ünïcode",
            "line\nend",
            1,
            -2.5,
            True,
            None,
            [1, "x"],
            {"k": 0},
        ]
        if self._chance.random() < 0.3:
            return {"const": self._chance.choice(values)}
        return {"enum": self._chance.sample(values, self._chance.randint(2, 5))}

    def _object(self, depth: int) -> dict[str, Any]:
        names = self._chance.sample(WORDS, self._chance.randint(1, 5))
        schema: dict[str, Any] = {"type": "object", "properties": {name: self._any(depth - 1) for name in names}}
        schema["required"] = [name for name in names if self._chance.random() < 0.7]
        said = self._chance.choice([None, False, False, True, {"type": "integer"}])
        if said is not None:
            schema["additionalProperties"] = said
        if said is False and self._chance.random() < 0.2:
            schema["minProperties"] = self._chance.randint(0, len(names))
        return schema

    def _map(self, depth: int) -> dict[str, Any]:
        inside = self._any(depth - 1)
        return self._chance.choice(
            [
                {"type": "object", "additionalProperties": inside},
                {"type": "object", "patternProperties": {"^x-[a-z]{1,9}$": inside}, "additionalProperties": False},
                {"type": "object", "additionalProperties": inside, "propertyNames": {"enum": list(WORDS[:3])}},
                {"type": "object", "additionalProperties": inside, "minProperties": 1, "maxProperties": 3},
            ]
        )

    def _array(self, depth: int) -> dict[str, Any]:
        least = self._chance.randint(0, 2)
        said: dict[str, Any] = self._chance.choice(
            [{}, {"minItems": least}, {"minItems": least, "maxItems": least + 2}, {"maxItems": 3}]
        )
        if self._chance.random() < 0.25:
            said = {"prefixItems": [self._any(depth - 1), self._any(depth - 1)], "items": False, "minItems": 2}
        elif self._chance.random() < 0.1:
            said["uniqueItems"] = True
        return {"type": "array", "items": self._any(depth - 1), **said}

    def _union(self, depth: int) -> dict[str, Any]:
        if self._chance.random() < 0.4:
            return {"oneOf": [self._tagged(tag, depth) for tag in ("cat", "dog", "fish")]}
        return {"anyOf": [self._any(depth - 1) for _ in range(self._chance.randint(2, 3))]}

    def _tagged(self, tag: str, depth: int) -> dict[str, Any]:
        properties = {"kind": {"const": tag}, "value": self._any(depth - 1)}
        return {"type": "object", "properties": properties, "required": ["kind"], "additionalProperties": False}

    def _reference(self, depth: int) -> dict[str, Any]:
        if "node" not in self._definitions:
            self._definitions["node"] = True  # in the making
            self._definitions["node"] = {
                "type": "object",
                "properties": {
                    "value": self._any(depth - 1),
                    "next": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                },
                "required": ["value"],
                "additionalProperties": False,
            }
        return {"$ref": "#/$defs/node"}

    def _combined(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a schema with more said of it beside or around, some of which can't be enforced."""
        return self._chance.choice(
            [
                {"allOf": [schema, {"type": ["object", "array", "string", "integer", "number"]}]},
                {"$ref": "#/$defs/whole", "$defs": {}, **self._named(schema)},
                {**schema, "anyOf": [{"required": ["id"]}, {"required": ["name"]}]},
                {**schema, "not": {"required": ["id"]}},
                {**schema, "if": {"required": ["id"]}, "then": {"required": ["name"]}},
                {"allOf": [schema, {"properties": {"name": {"type": "string", "maxLength": 9}}, "required": ["name"]}]},
            ]
        )

    def _named(self, schema: dict[str, Any]) -> dict[str, Any]:
        self._definitions["whole"] = schema
        return {"type": "object"} if schema.get("type") == "object" else {}
