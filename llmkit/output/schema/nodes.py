"""A schema within a schema, with where it stands and what its references lead to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.output.schema.checker import Checker
from llmkit.output.schema.keywords import refused

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """A schema, part of a larger one.

    Parameters
    ----------
    schema : dict or bool
        The schema. Two nodes are of the same schema if it is the same object.
    where : str
        A JSON pointer to it, for messages.
    resolver : Any
        What its references are relative to, as :mod:`referencing` has it.
    checker : Checker
        Of the whole schema.
    """

    schema: dict[str, Any] | bool
    where: str
    resolver: Any
    checker: Checker

    @property
    def key(self) -> Hashable:
        """What it is known by."""
        return self.schema if isinstance(self.schema, bool) else id(self.schema)

    def get(self, keyword: str, default: Any = None) -> Any:
        """Return a keyword's value."""
        return default if isinstance(self.schema, bool) else self.schema.get(keyword, default)

    def child(self, *steps: str | int) -> Node:
        """Return the schema at some steps into this one."""
        schema: Any = self.schema
        for step in steps:
            schema = schema[step]
        resolver = self.resolver
        if isinstance(schema, dict) and isinstance(schema.get("$id"), str):
            from referencing.jsonschema import DRAFT202012

            resolver = resolver.in_subresource(DRAFT202012.create_resource(schema))
        return Node(schema, "/".join([self.where, *map(_escaped, steps)]), resolver, self.checker)

    def beside(self, schema: dict[str, Any]) -> Node:
        """Return the node of a schema that takes this one's place; whoever calls it holds on to the schema."""
        return Node(schema, self.where, self.resolver, self.checker)

    def fits(self, value: Any, *, without: Iterable[str] = ()) -> bool:
        """Return whether a value fits, when some keywords of the schema's own are left out.

        Raises
        ------
        ValidationError
            If that can't be told.
        """
        schema = self.schema
        if isinstance(schema, dict):
            schema = {keyword: told for keyword, told in schema.items() if keyword not in without}
        try:
            return self.checker.fits(value, schema)
        except Exception as error:
            why = f"has a list of values that can't be checked against it ({type(error).__name__}: {error})"
            raise refused("enum", self.where, why) from error

    def target(self) -> Node:
        """Return what ``$ref`` leads to.

        Raises
        ------
        ValidationError
            If that isn't within the schema.
        """
        from referencing.exceptions import Unresolvable

        reference = self.get("$ref")
        try:
            found = self.resolver.lookup(reference)
        except Unresolvable as error:
            why = f"leads to {reference!r}, which the schema doesn't have; nothing is fetched"
            raise refused("$ref", self.where, why) from error
        where = reference if reference.startswith("#") else f"{self.where}/$ref"
        return Node(found.contents, where, found.resolver, self.checker)


def root(schema: Mapping[str, Any] | bool, *, checked: bool = False) -> Node:
    """Return the node of a whole schema, from a copy of it; ``checked`` if it is known to be sound.

    Raises
    ------
    ValidationError
        If it isn't JSON or no JSON schema.
    """
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    try:
        copy = json.loads(json.dumps(schema, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"The output's JSON schema isn't JSON: {error}.", field="output") from error
    if not checked:
        _check_sound(copy)
    resource = DRAFT202012.create_resource(copy)
    return Node(copy, "#", Registry().resolver_with_root(resource), Checker(copy))


def distinct(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return nodes without repetition, in order; a schema that allows everything says nothing."""
    return tuple({node.key: node for node in nodes if node.schema is not True and node.schema != {}}.values())


def _check_sound(schema: Any) -> None:
    from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]

    try:  # patterns are read later, and not as Python's
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(formats=()))
    except SchemaError as error:
        why = f"{error.json_path}: {error.message}"
    except RecursionError:
        why = "it is nested too deep"
    else:
        return
    raise ValidationError(f"The output's JSON schema is invalid: {why}.", field="output")


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")
