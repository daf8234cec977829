"""What is wrong with a call's arguments, field by field, in words for a person and for the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jsonschema.exceptions import ValidationError as SchemaViolation  # type: ignore[import-untyped]

_LONGEST = 80

_KINDS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    field : str
        Where: ``city``, ``place.city``, ``days[2]``; empty for the arguments as a whole.
    message : str
        What, as the rest of a sentence that begins with the field.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field or 'the arguments'} {self.message}"


def shown(value: Any) -> str:
    """Return a value as short JSON on one line, with everything invisible escaped."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    clipped = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    if isinstance(value, str):
        clipped = json.dumps(clipped, ensure_ascii=False)
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in clipped)


def field_path(path: Iterable[str | int]) -> str:
    """Return a path into the arguments as Python would write it."""
    written = ""
    for step in path:
        if isinstance(step, int):
            written += f"[{step}]"
        elif step.isidentifier() and len(step) <= _LONGEST:
            written += f".{step}" if written else step
        else:
            written += f"[{shown(step)}]"
    return written


def problems_of(violation: SchemaViolation) -> Iterator[Problem]:
    """Yield what one violation of a JSON schema comes to."""
    field = field_path(violation.absolute_path)
    rule, value = violation.validator_value, violation.instance
    match violation.validator:
        case "required":
            # jsonschema reports each missing name on its own, and quotes it in the message alone.
            names = [name for name in rule if name not in value and violation.message.startswith(repr(name))]
            yield from (Problem(field_path([*violation.absolute_path, name]), "is missing") for name in names[:1])
        case "additionalProperties" | "unevaluatedProperties" if rule is False:
            known = violation.schema.get("properties", {})
            for name in [name for name in value if name not in known][:10]:
                yield Problem(field_path([*violation.absolute_path, name]), _unknown(known))
        case "anyOf" | "oneOf" if violation.context:
            yield from _of_alternatives(field, violation)
        case _:
            yield Problem(field, f"{_must(violation)}, but is {shown(value)}")


_MUST = {
    "minimum": "be at least {}",
    "maximum": "be at most {}",
    "exclusiveMinimum": "be more than {}",
    "exclusiveMaximum": "be less than {}",
    "multipleOf": "be a multiple of {}",
    "minLength": "have at least {} characters",
    "maxLength": "have at most {} characters",
    "minItems": "have at least {} items",
    "maxItems": "have at most {} items",
    "minProperties": "have at least {} entries",
    "maxProperties": "have at most {} entries",
    "uniqueItems": "not have an item twice",
    "const": "be {}",
    "pattern": "match the pattern {}",
    "format": "be a valid {}",
}


def _must(violation: SchemaViolation) -> str:
    """Return what the violated keyword asks for."""
    rule = violation.validator_value
    match violation.validator:
        case "type":
            return f"must be {_either([_kind(kind) for kind in ([rule] if isinstance(rule, str) else rule)])}"
        case "enum":
            more = ", …" if len(rule) > 20 else ""
            return f"must be {'one of ' if len(rule) > 1 else ''}{', '.join(map(shown, rule[:20]))}{more}"
        case keyword:
            return f"must {_MUST.get(keyword, f'fit {keyword} {{}}').format(shown(rule))}"


def _kind(name: object) -> str:
    return _KINDS.get(str(name), str(name))


def _unknown(known: dict[str, Any]) -> str:
    names = list(known)[:20]
    return f"isn't known; there {'are ' if len(names) > 1 else 'is '}{', '.join(names) or 'nothing to pass'}"


def _of_alternatives(field: str, violation: SchemaViolation) -> Iterator[Problem]:
    """Yield the problems of the one alternative that was meant, if that can be told; else name them all."""
    branches: dict[int, list[SchemaViolation]] = {}
    for each in violation.context:
        branches.setdefault(each.relative_schema_path[0], []).append(each)
    meant = [errors for errors in branches.values() if not any(map(_another_kind, errors))]
    if len(meant) == 1:
        for each in meant[0][:10]:
            yield from problems_of(each)
    else:
        musts = [_must(each) for each in violation.context[:10]]
        forms = [must.removeprefix("must be ") if number else must for number, must in enumerate(musts)]
        yield Problem(field, f"{_either(forms)}, but is {shown(violation.instance)}")


def _another_kind(error: SchemaViolation) -> bool:
    """Whether an alternative is ruled out at its root: another type, or another tag."""
    depth = len(error.relative_path)
    return (error.validator == "type" and depth == 0) or (error.validator in {"const", "enum"} and depth <= 1)


def _either(words: list[str]) -> str:
    return " or ".join(dict.fromkeys(words))
