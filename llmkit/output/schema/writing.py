"""Puts definitions together to one schema, without those that nothing fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Schema = dict[str, Any] | bool

_DEEPEST = 30


def written(definitions: Mapping[str, Schema], start: str) -> dict[str, Any] | None:
    """Return one schema from definitions that refer to each other by name; ``None`` if nothing finite fits it.

    Parameters
    ----------
    definitions : Mapping
        Schemas by name. Within them every schema is false or ``{"$ref": name}``, or stands in an ``anyOf``.
    start : str
        The name of the definition to begin with.
    """
    possible = _possible(definitions)
    if start not in possible:
        return None
    kept = {name: _pruned(definitions[name], possible) for name in possible}
    uses: dict[str, int] = {start: 1}
    waiting = [start]
    while waiting:
        for name in references(kept[waiting.pop()]):
            if name not in uses:
                waiting.append(name)
            uses[name] = uses.get(name, 0) + 1
    writer = _Writer(kept, {name for name, count in uses.items() if count > 1 and any(references(kept[name]))})
    schema = writer.reference(start, 0)
    named: dict[str, Any] = {}
    while len(named) < len(writer.named):
        for name in [name for name in writer.named if name not in named]:
            named[name] = writer.schema(kept[name], 0)
    return {**({"$defs": named} if named else {}), **schema}


def _possible(definitions: Mapping[str, Schema]) -> set[str]:
    """Return the names of the definitions that a finite value fits."""
    found: set[str] = set()
    before = -1
    while before < len(found):
        before = len(found)
        found.update(name for name, schema in definitions.items() if name not in found and _fitted(schema, found))
    return found


def _fitted(schema: Schema, possible: set[str]) -> bool:
    """Return whether something fits a schema, as far as is known by now."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        return schema["$ref"] in possible
    if "anyOf" in schema:
        return any(_fitted(each, possible) for each in schema["anyOf"])
    asked = [schema["properties"][name] for name in schema.get("required", ())]
    least = schema.get("minItems", 0)
    first = schema.get("prefixItems", [])
    asked.extend(first[:least])
    if least > len(first):
        asked.append(schema.get("items", True))
    if not all(_fitted(each, possible) for each in asked):
        return False
    further = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties", True)]
    free = schema.get("minProperties", 0) <= len(schema.get("required", ()))
    return free or any(_fitted(each, possible) for each in further)


def _pruned(schema: Schema, possible: set[str]) -> Schema:
    """Return a schema that something fits, without the alternatives, properties and items that nothing fits."""
    if isinstance(schema, bool) or "$ref" in schema:
        return schema
    if "anyOf" in schema:
        options = [_pruned(each, possible) for each in schema["anyOf"] if _fitted(each, possible)]
        return options[0] if len(options) == 1 else {"anyOf": options}
    match schema.get("type"):
        case "object":
            return _pruned_object(schema, possible)
        case "array":
            return _pruned_array(schema, possible)
    return schema


def _pruned_object(schema: dict[str, Any], possible: set[str]) -> dict[str, Any]:
    pruned = dict(schema)
    patterns = schema.get("patternProperties", {})
    if patterns:
        # What one pattern forbids another might let in, so all stay: the compiler refuses those that overlap.
        patterns = {key: each if _fitted(each, possible) else False for key, each in patterns.items()}
        if not any(patterns.values()):
            patterns = {}
        pruned["patternProperties"] = patterns
        if not patterns:
            del pruned["patternProperties"]
    if "properties" in schema:
        # A name that must not be there is still told where a pattern might let it in.
        told = {name: each if _fitted(each, possible) else False for name, each in schema["properties"].items()}
        pruned["properties"] = {name: each for name, each in told.items() if each is not False or patterns}
    beside = schema.get("additionalProperties", True)
    if not _fitted(beside, possible):
        pruned["additionalProperties"] = False
    return pruned


def _pruned_array(schema: dict[str, Any], possible: set[str]) -> dict[str, Any]:
    pruned = dict(schema)
    first = schema.get("prefixItems", [])
    end = next((at for at, each in enumerate(first) if not _fitted(each, possible)), None)
    if end is None and not _fitted(schema.get("items", True), possible):
        end = len(first)
    if end is not None:
        pruned.pop("prefixItems", None)
        if first[:end]:
            pruned["prefixItems"] = first[:end]
        pruned["items"] = False
        pruned["maxItems"] = min(end, schema.get("maxItems", end))
    return pruned


def references(schema: Schema) -> Iterator[str]:
    """Yield the names that a definition refers to."""
    if isinstance(schema, bool):
        return
    if "$ref" in schema:
        yield schema["$ref"]
    for keyword in ("anyOf", "prefixItems"):
        for each in schema.get(keyword, ()):
            yield from references(each)
    for keyword in ("properties", "patternProperties"):
        for each in schema.get(keyword, {}).values():
            yield from references(each)
    for keyword in ("items", "additionalProperties"):
        yield from references(schema.get(keyword, False))


class _Writer:
    """Writes schemas in place of references, but for those that are shared or very deep."""

    def __init__(self, definitions: Mapping[str, Schema], shared: set[str]) -> None:
        self._definitions = definitions
        self._shared = shared
        self.named: dict[str, None] = {}

    def reference(self, name: str, depth: int) -> dict[str, Any]:
        """Return what a reference comes to."""
        if name in self._shared or depth > _DEEPEST:
            self.named[name] = None
            return {"$ref": f"#/$defs/{name}"}
        found: dict[str, Any] = self.schema(self._definitions[name], depth + 1)
        return found

    def schema(self, schema: Schema, depth: int) -> Any:
        """Return a schema with its references resolved."""
        if isinstance(schema, bool):
            return schema
        if "$ref" in schema:
            return self.reference(schema["$ref"], depth)
        copy = dict(schema)
        for keyword in ("anyOf", "prefixItems"):
            if keyword in schema:
                copy[keyword] = [self.schema(each, depth) for each in schema[keyword]]
        for keyword in ("properties", "patternProperties"):
            if keyword in schema:
                copy[keyword] = {key: self.schema(each, depth) for key, each in schema[keyword].items()}
        for keyword in ("items", "additionalProperties"):
            if keyword in schema:
                copy[keyword] = self.schema(schema[keyword], depth)
        return copy
