"""How an output is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from llmkit.errors import ValidationError
from llmkit.output.json_output import ArrayOutput, JSONOutput, array_schema
from llmkit.output.spec import OutputSpec
from llmkit.output.text_output import ChoiceOutput, GrammarOutput, RegexOutput, TextOutput
from llmkit.output.typed import TypedValues

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import Enum


class Output:
    """The outputs that aren't simply a type or a JSON schema: ``output=Output.choice(["yes", "no"])``."""

    @staticmethod
    def array(
        element: Any, *, min_items: int | None = None, max_items: int | None = None, name: str = "answer"
    ) -> ArrayOutput:
        """Return an array whose elements may be had one by one while it is written.

        Parameters
        ----------
        element : type or Mapping
            What each element is: a type, or a JSON schema.
        min_items, max_items : int, optional
            How many there are.
        name : str
            What the answer is, for servers that ask for a name.

        Raises
        ------
        ValidationError
            If the schema can't be enforced.
        """
        if isinstance(element, Mapping):
            return ArrayOutput(array_schema(dict(element), min_items, max_items), name=name)
        values = TypedValues(list.__class_getitem__(element))
        schema = {**values.schema, **array_schema({}, min_items, max_items), "items": values.schema["items"]}
        return ArrayOutput(schema, values, TypedValues(element), name=name)

    @staticmethod
    def choice(options: Iterable[str | Enum]) -> ChoiceOutput:
        """Return one of several texts, exactly; of an enumeration, the member whose value it is.

        Raises
        ------
        ValidationError
            If there are none, or two are alike.
        """
        return ChoiceOutput(options)

    @staticmethod
    def json(schema: Mapping[str, Any] | None = None, *, name: str = "answer") -> JSONOutput:
        """Return JSON: any, or what fits a JSON schema of draft 2020-12.

        Raises
        ------
        ValidationError
            If the schema can't be enforced; names the keyword and where it stands.
        """
        return JSONOutput(dict(schema or {}), name=name)

    @staticmethod
    def regex(pattern: str) -> RegexOutput:
        """Return a text that a regular expression matches from beginning to end.

        Raises
        ------
        ValidationError
            If it can't be enforced.
        """
        return RegexOutput(pattern)

    @staticmethod
    def grammar(grammar: str) -> GrammarOutput:
        """Return a text of a grammar in llguidance's Lark, with a rule ``start``.

        Raises
        ------
        ValidationError
            If it can't be read.
        """
        return GrammarOutput(grammar)

    @staticmethod
    def text() -> TextOutput:
        """Return free text, as without an output."""
        return TextOutput()


def output_from(value: Any) -> OutputSpec | None:
    """Return what an answer must be.

    Parameters
    ----------
    value : Any
        ``None``; an :class:`Output`; a JSON schema; a compiled regular expression; or a type: a pydantic model,
        dataclass, TypedDict, or anything else that pydantic's ``TypeAdapter`` takes.

    Raises
    ------
    ValidationError
        If it is none of these, or can't be enforced while decoding; its ``field`` is ``"output"``.
    """
    if value is None or isinstance(value, OutputSpec):
        return value
    if isinstance(value, Mapping):
        return JSONOutput(dict(value), name=str(value.get("title", "answer")))
    if isinstance(value, re.Pattern):
        if value.flags & ~re.UNICODE or not isinstance(value.pattern, str):
            raise ValidationError("A regex with flags can't be an output; write it without.", field="output")
        return RegexOutput(value.pattern)
    if isinstance(value, str | bytes | int | float | list | tuple | set):
        raise ValidationError(
            f"{value!r} can't be an output: it must be a type, a JSON schema, or made by Output.array, Output.choice, "
            "Output.json, Output.regex, Output.grammar.",
            field="output",
        )
    values = TypedValues(value)
    name = getattr(value, "__name__", "answer")
    if values.schema.get("type") == "array" and isinstance(values.schema.get("items"), dict):
        return ArrayOutput(values.schema, values, _element(value), name=name)
    return JSONOutput(values.schema, values, name=name)


def _element(kind: Any) -> TypedValues | None:
    """Return what an element of ``list[T]`` is; ``None`` where a type doesn't tell."""
    arguments = get_args(kind)
    return TypedValues(arguments[0]) if len(arguments) == 1 else None
