"""Answers in JSON."""

from __future__ import annotations

import json
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.output.failure import unfit
from llmkit.output.outline import outline
from llmkit.output.partial import PartialJSON
from llmkit.output.schema import Checker, Enforceable
from llmkit.output.spec import Reading
from llmkit.tools.checking import subschemas
from llmkit.tools.dialects.grammar import json_expression

if TYPE_CHECKING:
    from llmkit.output.spec import OutputKind, OutputReader
    from llmkit.output.typed import TypedValues

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")


class JSONOutput(Reading):
    """An answer in JSON that fits a schema.

    Parameters
    ----------
    schema : dict
        The JSON schema.
    values : TypedValues, optional
        What turns it into values of a type; without, they stay plain.
    name : str
        What the answer is, for servers that ask for a name.

    Raises
    ------
    ValidationError
        If the schema can't be enforced; names the keyword and where it stands.
    """

    kind: OutputKind = "json"

    def __init__(self, schema: dict[str, Any], values: TypedValues | None = None, *, name: str = "answer") -> None:
        self.schema = schema
        self.name = _NOT_IN_NAMES.sub("_", name)[:64] or "answer"
        self._values = values
        self.enforced = Enforceable(schema, generated=values is not None)
        """What decoding is bound to: it allows nothing but what :attr:`schema` does, and may allow less."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    @cached_property
    def _checker(self) -> Checker:
        return Checker(self.schema)

    def rules(self, *, room: int | None = None) -> str:
        """Return Lark rules that bind the answer; with limits that let it end, if there is room for so many tokens."""
        return f"answer: {json_expression(self.enforced.schema if room is None else self.enforced.within(room))}"

    def instructions(self) -> str:
        """Return what to tell the model in the prompt."""
        if not self.schema:
            return "Answer with JSON and nothing else."
        return f"Answer with JSON and nothing else. It must fit this JSON schema:\n{outline(self.schema)}"

    def response_format(self) -> dict[str, Any]:
        """Return ``response_format`` of a request to an OpenAI-style server.

        ``strict`` is set where the schema has the form that OpenAI's strict mode asks for:
        https://platform.openai.com/docs/guides/structured-outputs
        """
        if not self.schema or self.schema == {"type": "object"}:
            return {"type": "json_object"}
        described = {"name": self.name, "schema": self.schema, "strict": _is_strict(self.schema)}
        return {"type": "json_schema", "json_schema": described}

    def reader(self) -> OutputReader:
        """Return a reader of an answer in the making."""
        return PartialJSON()

    def parse(self, text: str, *, finish_reason: str | None = None) -> Any:
        """Return the value of a whole answer.

        Raises
        ------
        OutputError
            If it isn't JSON or doesn't fit.
        """
        if self._values is not None:
            return self._values.from_text(text.strip(), finish_reason)
        try:
            value = json.loads(text, parse_constant=_no_constant)
            problems = [f"{each.field or 'the answer'} {each.message}" for each in self._checker.problems(value)]
        except (ValueError, RecursionError) as error:
            raise unfit(text, [f"it isn't JSON ({error})"], finish_reason) from error
        if problems:
            raise unfit(text, problems, finish_reason)
        return value


class ArrayOutput(JSONOutput):
    """An answer that is a JSON array, whose elements may be had one by one.

    Parameters
    ----------
    schema : dict
        The JSON schema of the array.
    values, element : TypedValues, optional
        What turns the array and an element into values of a type.
    name : str
        What the answer is.

    Raises
    ------
    ValidationError
        If the schema can't be enforced.
    """

    kind: OutputKind = "array"

    def __init__(
        self,
        schema: dict[str, Any],
        values: TypedValues | None = None,
        element: TypedValues | None = None,
        *,
        name: str = "answer",
    ) -> None:
        super().__init__(schema, values, name=name)
        self._element = element

    def element(self, value: Any) -> Any:
        """Return an element that a reader gave.

        Raises
        ------
        OutputError
            If it doesn't fit.
        """
        return value if self._element is None else self._element.from_value(value)


def array_schema(element: dict[str, Any], least: int | None, most: int | None) -> dict[str, Any]:
    """Return the JSON schema of an array.

    Raises
    ------
    ValidationError
        For impossible limits.
    """
    limits = {"minItems": least, "maxItems": most}
    for keyword, limit in limits.items():
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
            raise ValidationError(
                f"{keyword} of an output is {limit!r}; it must be a whole number from 0.", field="output"
            )
    if "$id" not in element and any("$ref" in each for each in subschemas(element)):
        element = {"$id": "urn:element", **element}  # its references are relative to it
    return {"type": "array", "items": element, **{key: limit for key, limit in limits.items() if limit is not None}}


def _is_strict(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "object" and all(
        each.get("additionalProperties") is False and set(each.get("properties", ())) == set(each.get("required", ()))
        for each in subschemas(schema)
        if each.get("type") == "object" or "properties" in each
    )


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")
