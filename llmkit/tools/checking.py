"""JSON schemas: whether one is sound, and whether arguments fit it."""

from __future__ import annotations

import re
import threading
from functools import cache, cached_property
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.tools.arguments import misfit
from llmkit.tools.problems import Problem, problems_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema import FormatChecker, Validator  # type: ignore[import-untyped]

_MOST_VIOLATIONS = 20
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_DATA = {"const", "enum", "default", "examples"}
_SCHEMAS_BY_NAME = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}


class SchemaChecker:
    """Checks arguments against a JSON schema, draft 2020-12 unless its ``$schema`` names another.

    Dates, times, addresses and UUIDs must be valid ones, though to the standard ``format`` is a mere remark.

    Parameters
    ----------
    schema : dict
        The schema. It refers to nothing outside itself: nothing is ever fetched.
    generated : bool
        Whether pydantic wrote it. Then its patterns alone are checked at once, because importing jsonschema takes about
        a second where all that JupyterLab brings is installed; that goes on in the background.

    Raises
    ------
    ValidationError
        If the schema itself is wrong.
    """

    def __init__(self, schema: Mapping[str, Any], *, generated: bool = False) -> None:
        self._schema = schema
        if generated:
            _check_patterns(schema)
            _import_early()
        else:
            self._validator  # noqa: B018 - made now, so that a bad schema is refused now

    @cached_property
    def _validator(self) -> Validator:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]
        from jsonschema.validators import validator_for  # type: ignore[import-untyped]
        from referencing import Registry

        schema = self._schema
        kind = validator_for(schema, default=Draft202012Validator)
        try:
            kind.check_schema(schema)
        except SchemaError as error:
            raise _unsound(f"{error.json_path}: {error.message}") from error
        except RecursionError as error:
            raise _unsound("it is nested too deep") from error
        _check_references(schema)
        # An empty registry, because jsonschema would download what it doesn't find.
        return kind(schema, registry=Registry(), format_checker=_format_checker())

    def check(self, arguments: dict[str, Any]) -> None:
        """Check arguments.

        Raises
        ------
        ToolArgumentsError
            ``VALIDATION_ERROR``, with what is wrong field by field.
        """
        try:
            violations = list(islice(self._validator.iter_errors(arguments), _MOST_VIOLATIONS))
            problems = [problem for violation in violations for problem in problems_of(violation)]
        except Exception as error:  # a schema that refers to itself for ever, integers beyond floats
            raise misfit([Problem("", f"can't be checked ({type(error).__name__})")]) from error
        if problems:
            raise misfit(list(dict.fromkeys(problems)))


@cache
def _import_early() -> None:
    """Import jsonschema in a thread, once."""
    threading.Thread(target=import_module, args=("jsonschema",), name="llmkit-import", daemon=True).start()


def _check_patterns(schema: Mapping[str, Any]) -> None:
    """Check that patterns, which pydantic reads as Rust does, can be read by Python too."""
    for each in subschemas(schema):
        pattern = each.get("pattern")
        if isinstance(pattern, str):
            try:
                re.compile(pattern)
            except re.error as error:
                raise _unsound(f"Python can't read the pattern {shown(pattern)}: {error}") from error


def _check_references(schema: Mapping[str, Any]) -> None:
    """Check what the metaschema leaves open: that references lead somewhere within the schema."""
    from referencing import Registry, Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resource = Resource.from_contents(schema, default_specification=DRAFT202012)
    resolver = Registry().resolver_with_root(resource)
    for each in subschemas(schema):
        for reference in (each.get(keyword) for keyword in _REFERENCES):
            if not isinstance(reference, str):
                continue
            if not reference.startswith("#"):
                raise _unsound(f"it refers to another document, {shown(reference)}; put that into its $defs")
            try:
                resolver.lookup(reference)
            except Unresolvable as error:
                raise _unsound(f"it refers to {shown(reference)}, which it doesn't have") from error


def _unsound(why: str) -> ValidationError:
    return ValidationError(f"The tool's JSON schema is invalid: {why}.", field="parameters")


def subschemas(schema: object) -> Iterator[dict[str, Any]]:
    """Yield every schema within a schema, itself included."""
    waiting = [(schema, False)]
    while waiting:
        each, names_schemas = waiting.pop()
        if isinstance(each, list):
            waiting.extend((item, False) for item in each)
        elif isinstance(each, dict):
            if not names_schemas:
                yield each
            for key, value in each.items():
                if names_schemas or key not in _DATA:
                    waiting.append((value, not names_schemas and key in _SCHEMAS_BY_NAME))


def _format_checker() -> FormatChecker:
    """Return a checker of the formats that need no further package, so that it is the same everywhere."""
    from datetime import datetime, time

    from jsonschema import FormatChecker

    checker = FormatChecker(formats=("date", "email", "ipv4", "ipv6", "uuid"))
    for name, read in (("date-time", datetime.fromisoformat), ("time", time.fromisoformat)):
        checker.checks(name, raises=ValueError)(
            lambda value, read=read: not isinstance(value, str) or bool(read(value))
        )
    return checker
