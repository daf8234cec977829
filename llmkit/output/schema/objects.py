"""Objects: the properties that several schemas name, and what may stand beside them."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any

from llmkit.output.grammar import grammar_problem
from llmkit.output.schema.alternatives import Value, named
from llmkit.output.schema.keywords import refused
from llmkit.output.schema.nodes import distinct
from llmkit.output.schema.patterns import ANY, none_of
from llmkit.output.schema.strings import pattern_of, patterns_of
from llmkit.tools.dialects.grammar import json_expression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmkit.output.schema.alternatives import Alternative
    from llmkit.output.schema.nodes import Node

    Of = Callable[[tuple[Node, ...]], dict[str, Any] | bool]
    Allowed = Callable[[Sequence[Node]], tuple[Alternative, ...]]

_MOST_CHOICES = 64


def objects(parts: Sequence[Node], of: Of, allowed: Allowed) -> dict[str, Any] | bool:
    """Return the schema of objects that fit several schemas; false if there are none.

    Where properties are named and nothing is said of further ones, there are none: an open object invites a small model
    to go on for ever. ``additionalProperties`` says otherwise.

    Parameters
    ----------
    parts : sequence of Node
        The schemas; only what they say of objects counts.
    of : Callable
        Returns the schema of what fits several schemas.
    allowed : Callable
        Returns the alternatives of what fits several schemas.

    Raises
    ------
    ValidationError
        For combinations of keywords that can't be enforced.
    """
    names = _names(parts)
    listed = _listed_names(parts, allowed)
    if listed is not None and _beside(parts) is not False:
        names.update(dict.fromkeys(listed))
    required = list(dict.fromkeys(name for part in parts for name in part.get("required", ())))
    properties = {name: of(named(parts, name)) for name in names}
    further = {} if listed is not None else _further(parts, names, of, allowed)
    return _counted(parts, properties, required, further)


def _names(parts: Sequence[Node]) -> dict[str, None]:
    """Return the names in order: as they are declared, and then those that are only required."""
    declared = [name for part in parts for name in part.get("properties", ())]
    return dict.fromkeys([*declared, *(name for part in parts for name in part.get("required", ()))])


def _beside(parts: Sequence[Node]) -> tuple[Node, ...] | bool:
    """Return the schemas of further properties; false if there are none, true if nothing is said of them."""
    told = [part.child("additionalProperties") for part in parts if part.get("additionalProperties") is not None]
    if any(each.schema is False for each in told):
        return False
    return distinct(told) if told else True


def _further(
    parts: Sequence[Node], names: dict[str, None], of: Of, allowed: Allowed
) -> dict[str, dict[str, Any] | bool]:
    """Return the schemas of further properties by the pattern of their names."""
    beside = _beside(parts)
    patterns = list(dict.fromkeys(pattern for part in parts for pattern in part.get("patternProperties", ())))
    limits = _limits(parts, allowed)
    if patterns:
        if not isinstance(beside, bool):
            guilty = next(part for part in parts if part.get("additionalProperties") is not None)
            raise refused(
                "additionalProperties", guilty.where, "allows more beside 'patternProperties', which can't be enforced"
            )
        if limits:
            raise refused("propertyNames", limits[0].where, "can't be enforced beside 'patternProperties'")
        found = {f"^{_rust(pattern, parts)}$": of(_matching(parts, pattern)) for pattern in patterns}
        _check_apart(found, next(part for part in parts if patterns[0] in part.get("patternProperties", ())))
        return found
    if beside is False or (beside is True and names):
        return {}
    schema = of(beside if isinstance(beside, tuple) else ())
    if not limits:
        return {f"^{none_of(set(names)).rust if names else ANY}$": schema}
    forms = [pattern for limit in limits for pattern in patterns_of(limit)]
    lengths = [limit for limit in limits if limit.get("minLength") is not None or limit.get("maxLength") is not None]
    if names or len(forms) + len(lengths) != 1:
        raise refused("propertyNames", limits[0].where, "can't be enforced beside other keywords of names")
    if forms:
        return {f"^{forms[0].rust}$": schema}
    least, most = lengths[0].get("minLength", 0), lengths[0].get("maxLength", "")
    return {f"^(?s:.{{{least},{most}}})$": schema}


def _rust(pattern: str, parts: Sequence[Node]) -> str:
    guilty = next(part for part in parts if pattern in part.get("patternProperties", ()))
    return pattern_of(pattern, "patternProperties", guilty.where).rust


def _check_apart(patterns: Iterable[str], node: Node) -> None:
    """Raise for patterns of names that a name may fit more than one of."""
    told = {"type": "object", "patternProperties": dict.fromkeys(patterns, True), "additionalProperties": False}
    if grammar_problem(f"start: {json_expression(told)}") is not None:
        raise refused(
            "patternProperties", node.where, "has patterns that the same name may fit, which can't be enforced"
        )


def _matching(parts: Sequence[Node], pattern: str) -> tuple[Node, ...]:
    """Return what holds for further properties whose name fits a pattern and, as is checked later, no other."""
    found = []
    for part in parts:
        if pattern in part.get("patternProperties", ()):
            found.append(part.child("patternProperties", pattern))
        elif part.get("additionalProperties") is not None:
            found.append(part.child("additionalProperties"))
    return distinct(found)


def _limits(parts: Sequence[Node], allowed: Allowed) -> tuple[Node, ...]:
    """Return the schemas that say something of names as texts."""
    found: list[Node] = []
    for part in parts:
        if part.get("propertyNames") is None:
            continue
        texts = [each for each in allowed([part.child("propertyNames")]) if getattr(each, "name", "") == "string"]
        if len(texts) != 1:
            raise refused("propertyNames", part.where)
        found.extend(getattr(texts[0], "parts", ()))
    return distinct(found)


def _listed_names(parts: Sequence[Node], allowed: Allowed) -> list[str] | None:
    """Return the names that ``propertyNames`` lists, if it does."""
    lists = []
    for part in parts:
        if part.get("propertyNames") is None:
            continue
        alternatives = allowed([part.child("propertyNames")])
        if not any(getattr(each, "name", "") == "string" for each in alternatives):
            values = [each.value for each in alternatives if isinstance(each, Value) and isinstance(each.value, str)]
            lists.append(values)
    if not lists:
        return None
    return [name for name in lists[0] if all(name in others for others in lists[1:])]


def _counted(
    parts: Sequence[Node],
    properties: dict[str, dict[str, Any] | bool],
    required: list[str],
    further: dict[str, dict[str, Any] | bool],
) -> dict[str, Any] | bool:
    """Return the schema of objects with as many properties as are asked for."""
    least = max((part.get("minProperties", 0) for part in parts), default=0) - len(required)
    told = [part.get("maxProperties") for part in parts if part.get("maxProperties") is not None]
    most = min(told) - len(required) if told else None
    if most is not None and (most < 0 or most < least):
        return False
    optional = [name for name in properties if name not in required]
    if least <= 0 and (most is None or (most >= len(optional) and not further)):
        return _object(properties, required, further)
    keyword = "minProperties" if least > 0 else "maxProperties"
    where = next(part.where for part in parts if part.get(keyword) is not None)
    if further:
        # Nothing keeps a model from writing a further name twice, so only the first of them can be asked for.
        if optional or least > 1:
            raise refused(keyword, where, "can't be enforced where names of properties are free")
        counts = {} if most is None else {"maxProperties": int(most) + len(required)}
        if least > 0:
            counts["minProperties"] = 1 + len(required)
        return {**_object(properties, required, further), **counts}
    least, most = max(int(least), 0), len(optional) if most is None else min(int(most), len(optional))
    if least > most:
        return False
    if comb(len(optional), most) * comb(most, least) > _MOST_CHOICES:
        raise refused(keyword, where, "leaves too many combinations of properties")
    choices: list[dict[str, Any]] = []
    for there in combinations(optional, most):
        kept = {name: schema for name, schema in properties.items() if name in required or name in there}
        choices.extend(_object(kept, [*required, *asked], {}) for asked in combinations(there, least))
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _object(
    properties: dict[str, dict[str, Any] | bool], required: list[str], further: dict[str, dict[str, Any] | bool]
) -> dict[str, Any]:
    if not properties and list(further) == [f"^{ANY}$"]:
        return {"type": "object", "additionalProperties": further[f"^{ANY}$"]}
    schema: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    if further:
        schema["patternProperties"] = further
    return {**schema, "additionalProperties": False}
