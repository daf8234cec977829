"""The keywords of JSON schemas: what each asks for, and which are turned down because a grammar can't hold them.

The standard: https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("null", "boolean", "number", "string", "array", "object")
"""The kinds of JSON values; an integer is a number."""

ANNOTATIONS = frozenset(
    {
        "$anchor", "$comment", "$defs", "$dynamicAnchor", "$id", "$schema", "$vocabulary", "contentEncoding",
        "contentMediaType", "contentSchema", "default", "definitions", "deprecated", "description", "discriminator",
        "examples", "readOnly", "title", "writeOnly",
    }
)  # fmt: skip
"""Keywords that say nothing of a value; ``discriminator`` is read together with ``oneOf``."""

APPLICATORS = ("$ref", "allOf", "anyOf", "oneOf")
"""Keywords with further schemas for the same value."""

OF_KIND: dict[str, tuple[str, ...]] = {
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "array": ("prefixItems", "items", "minItems", "maxItems"),
    "object": (
        "properties", "patternProperties", "additionalProperties", "propertyNames", "required", "minProperties",
        "maxProperties",
    ),
}  # fmt: skip
"""Keywords that a grammar can hold, by the kind of value that they are about."""

TURNED_DOWN: dict[str, str | None] = {
    "$dynamicRef": None,
    "$recursiveRef": None,
    "additionalItems": "array",
    "contains": "array",
    "dependencies": "object",
    "dependentRequired": "object",
    "dependentSchemas": "object",
    "if": None,
    "not": None,
    "unevaluatedItems": "array",
    "unevaluatedProperties": "object",
    "uniqueItems": "array",
}
"""Keywords that no grammar here can hold, and the kind of value that each is about; ``None`` for any."""

_WITH_OTHERS = {"else", "maxContains", "minContains", "then"}
_KNOWN = {
    "const",
    "enum",
    "type",
    *APPLICATORS,
    *ANNOTATIONS,
    *_WITH_OTHERS,
    *(k for ks in OF_KIND.values() for k in ks),
}
_DRAFTS = {
    "https://json-schema.org/draft/2020-12/schema": False,
    "https://json-schema.org/draft/2019-09/schema": False,
    "http://json-schema.org/draft-07/schema": True,
    "http://json-schema.org/draft-06/schema": True,
}
"""Drafts whose common keywords mean the same, and whether ``$ref`` hides what stands beside it."""


def refused(keyword: str, where: str, why: str = "can't be enforced while decoding") -> ValidationError:
    """Return the error for a keyword that isn't enforced.

    Parameters
    ----------
    keyword : str
        The keyword.
    where : str
        A JSON pointer to the schema that it stands in.
    why : str
        What is wrong with it.
    """
    return ValidationError(
        f"The output can't be bound to its schema: {keyword!r} at {where} {why}. "
        "Leave it out and check the answer afterwards, or say it another way.",
        field="output",
    )


def check_keywords(schema: Mapping[str, Any], where: str, *, lists: bool = False) -> None:
    """Raise for a keyword that is unknown or can't be enforced and isn't without effect.

    Parameters
    ----------
    schema : Mapping
        The schema.
    where : str
        A JSON pointer to it.
    lists : bool
        Whether it lists its values; then each is checked beforehand, and any known keyword will do.

    Raises
    ------
    ValidationError
        Names the keyword and where it stands.
    """
    _check_draft(schema, where)
    for keyword, value in schema.items():
        if keyword in TURNED_DOWN:
            if not lists and not _without_effect(keyword, value, schema):
                raise refused(keyword, where)
        elif keyword not in _KNOWN and not keyword.startswith("x-"):
            raise refused(keyword, where, "isn't a keyword of JSON Schema 2020-12")
    if isinstance(schema.get("items"), list):
        raise refused("items", where, "is a list, as in older drafts; call it 'prefixItems'")


def _check_draft(schema: Mapping[str, Any], where: str) -> None:
    draft = schema.get("$schema")
    if draft is None:
        return
    hides = _DRAFTS.get(str(draft).removesuffix("#"))
    if hides is None:
        raise refused("$schema", where, f"is {draft!r}; write the schema in draft 2020-12")
    if hides and "$ref" in schema and not set(schema) <= ANNOTATIONS | {"$ref"}:
        raise refused("$ref", where, "has other keywords beside it, which its draft ignores; take them away")


def _without_effect(keyword: str, value: Any, schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type", KINDS)
    about = TURNED_DOWN[keyword]
    if about is not None and about not in ([kinds] if isinstance(kinds, str) else kinds):
        return True
    without: dict[str, bool] = {
        "uniqueItems": value is False or schema.get("maxItems", 2) <= 1,
        "contains": schema.get("minContains") == 0 and "maxContains" not in schema,
        "if": "then" not in schema and "else" not in schema,
        "dependentRequired": value == {},
        "dependentSchemas": value == {},
        "unevaluatedItems": value in (True, {}),
        "unevaluatedProperties": value in (True, {}),
        "not": value is False,
    }
    return without.get(keyword, False)
