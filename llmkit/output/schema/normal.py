"""A JSON schema written anew, in the few forms that the grammar's compiler holds to.

llguidance compiles JSON schemas by itself, but not all that it takes does it enforce: the order of keywords changes
what they mean, names spelled with escapes slip past ``properties``, some bounds are off, and its version within
llama.cpp differs from the one beside it. So every schema is resolved here, with the standard's meaning, into one
without ``$ref`` beside other keywords, ``allOf``, ``oneOf`` and the like, and is refused where that can't be done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.output.grammar import grammar_problem
from llmkit.output.schema.alternatives import Alternatives, Kind, Value
from llmkit.output.schema.arrays import arrays
from llmkit.output.schema.keywords import ANNOTATIONS, KINDS, check_keywords, refused
from llmkit.output.schema.nodes import distinct, root
from llmkit.output.schema.numbers import listed, number, same
from llmkit.output.schema.objects import objects
from llmkit.output.schema.room import fitted, rounded
from llmkit.output.schema.strings import string
from llmkit.output.schema.writing import written
from llmkit.tools.dialects.grammar import json_expression

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from llmkit.output.schema.nodes import Node

_MOST = 2000


def enforceable(schema: Mapping[str, Any] | bool, *, generated: bool = False) -> dict[str, Any]:
    """Return a JSON schema that decoding can be bound to and that allows nothing but what the given one does.

    It may allow less. Properties stand in the order of the schema. Where properties are named, further ones need
    ``additionalProperties``. Whole numbers are written without a fraction. Bounds of more than 15 digits are drawn in.
    Formats and patterns allow what Python, pydantic and ECMA-262 all do.

    Parameters
    ----------
    schema : Mapping or bool
        A JSON schema of draft 2020-12, or of an older one with keywords that still mean the same.
    generated : bool
        Whether pydantic wrote it, so that it needs no check of its own: importing jsonschema takes about a second where
        all that JupyterLab brings is installed.

    Raises
    ------
    ValidationError
        For a keyword that can't be enforced; names it and where it stands. Also if nothing fits the schema.
    """
    return Enforceable(schema, generated=generated).schema


class Enforceable:
    """A schema that decoding can be bound to; see :func:`enforceable`.

    Parameters
    ----------
    schema : Mapping or bool
        A JSON schema.
    generated : bool
        Whether pydantic wrote it, or it was checked already.

    Raises
    ------
    ValidationError
        For a keyword that can't be enforced, and if nothing fits the schema.

    Attributes
    ----------
    schema : dict
        What decoding is bound to, however long the answer gets.
    """

    def __init__(self, schema: Mapping[str, Any] | bool, *, generated: bool = False) -> None:
        made = _Normal()
        self._start = made.name((root(schema, checked=generated),))
        made.finish()
        self._definitions = made.definitions
        result = written(made.definitions, self._start)
        if result is None:
            raise ValidationError("The output can't be bound to its schema: nothing fits it.", field="output")
        problem = grammar_problem(f"start: {json_expression(result)}")
        if problem is not None:
            raise ValidationError(f"The output can't be bound to its schema: {problem}", field="output")
        self.schema: dict[str, Any] = result
        self._fitted: dict[int, dict[str, Any]] = {}

    def within(self, room: int) -> dict[str, Any]:
        """Return what decoding is bound to if there are so many tokens for it."""
        room = rounded(room)
        if room not in self._fitted:
            limited = written(*fitted(self._definitions, self._start, room))
            writable = limited is not None and grammar_problem(f"start: {json_expression(limited)}") is None
            self._fitted[room] = limited if limited is not None and writable else self.schema
        return self._fitted[room]


class _Normal:
    """Writes schemas anew, each set of schemas that hold together once."""

    def __init__(self) -> None:
        self.definitions: dict[str, dict[str, Any] | bool] = {}
        self._names: dict[tuple[Hashable, ...], str] = {}
        self._waiting: list[tuple[str, tuple[Node, ...]]] = []
        self._alternatives = Alternatives()

    def name(self, nodes: tuple[Node, ...]) -> str:
        """Return the name of the definition of what fits all of some schemas."""
        nodes = distinct(_followed(node) for node in nodes)
        key = tuple(node.key for node in nodes)
        if key not in self._names:
            if len(self._names) == _MOST:
                raise ValidationError(
                    f"The output can't be bound to its schema: it has more than {_MOST} parts.", field="output"
                )
            self._names[key] = str(len(self._names))
            self._waiting.append((self._names[key], nodes))
        return self._names[key]

    def finish(self) -> None:
        """Write all that has been named."""
        while self._waiting:
            name, nodes = self._waiting.pop()
            self.definitions[name] = self._schema(self._alternatives.of_all(nodes))

    def _of(self, nodes: tuple[Node, ...]) -> dict[str, Any] | bool:
        if any(node.schema is False for node in nodes):
            return False
        return {"$ref": self.name(nodes)}

    def _schema(self, alternatives: Sequence[Value | Kind]) -> dict[str, Any] | bool:
        kinds = [each for each in alternatives if isinstance(each, Kind)]
        if [kind.name for kind in kinds if not kind.parts] == list(KINDS):
            return {}
        values = [each for each in alternatives if isinstance(each, Value)]
        for value in values:
            if not all(map(same, listed([value.value]))):
                raise refused("enum", value.where, "has a number with too many digits to be enforced")
        schemas = [{"enum": [value.value for value in values]}] if values else []
        options = [*schemas, *(schema for kind in kinds if (schema := self._kind(kind)) is not False)]
        return False if not options else options[0] if len(options) == 1 else {"anyOf": options}

    def _kind(self, kind: Kind) -> Any:
        match kind.name:
            case "number" | "integer":
                return number(kind.name, kind.parts)
            case "string":
                return _matchable(kind)
            case "array":
                return arrays(kind.parts, self._of)
            case "object":
                return objects(kind.parts, self._of, self._alternatives.of_all)
        return {"type": kind.name}


def _followed(node: Node) -> Node:
    """Return what a schema that only refers to another refers to."""
    passed = set()
    while isinstance(node.schema, dict) and "$ref" in node.schema and set(node.schema) <= ANNOTATIONS | {"$ref"}:
        check_keywords(node.schema, node.where)
        if node.key in passed:
            raise refused("$ref", node.where, "leads back to itself, so it says nothing")
        passed.add(node.key)
        node = node.target()
    return node


def _matchable(kind: Kind) -> dict[str, Any] | bool:
    """Return the schema of texts, once it is sure that the compiler can read its patterns and that one fits them."""
    schema = string(kind.parts)
    if isinstance(schema, bool) or not {"pattern", "allOf"} & set(schema):
        return schema
    problem = grammar_problem(f"start: {json_expression(schema)}")
    if problem is None:
        return schema
    if "Regex is empty" in problem:
        return False
    guilty = next(part for part in kind.parts if part.get("pattern") or part.get("format"))
    raise refused("pattern" if guilty.get("pattern") else "format", guilty.where, "is too large to be enforced")
