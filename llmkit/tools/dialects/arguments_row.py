"""The arguments of a call one by one, for dialects that don't write them as one JSON object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.tools.checking import subschemas
from llmkit.tools.dialects.values import Parameters

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from llmkit.tools.tool import Tool

_OF_THE_WHOLE = {
    *("$ref", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties", "propertyNames"),
    *("minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "unevaluatedProperties"),
}


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a tool.

    Parameters
    ----------
    name : str
        Its name.
    schema : dict
        Its schema, complete in itself.
    required : bool
        Whether a call must give it.
    is_text : bool
        Whether any text does that is as long as the schema says.
    """

    name: str
    schema: dict[str, Any]
    required: bool
    is_text: bool


def arguments_of(tool: Tool, names: re.Pattern[str]) -> tuple[Argument, ...]:
    """Return a tool's parameters in the order of its schema.

    Parameters
    ----------
    tool : Tool
        The tool.
    names : re.Pattern
        What a parameter's name may be, so that it can be written in the dialect.

    Raises
    ------
    ValidationError
        For a schema that says more than what each parameter is, or a name that can't be written.
    """
    return tuple(_arguments(tool, names))


def _arguments(tool: Tool, names: re.Pattern[str]) -> Iterator[Argument]:
    root = tool.parameters
    if strange := sorted(_OF_THE_WHOLE & root.keys()):
        raise _refusal(tool, f"its schema has {strange[0]!r} for all arguments together")
    declared = root.get("properties", {})
    properties = {**declared, **{name: {} for name in root.get("required", ()) if name not in declared}}
    known = Parameters(root)
    for name, schema in properties.items():
        if schema is False and name not in root.get("required", ()):
            continue
        if not names.fullmatch(name):
            raise _refusal(tool, f"its parameter {name!r} can't be written")
        whole = _whole(tool, schema if isinstance(schema, dict) else {})
        yield Argument(name, whole, name in root.get("required", ()), known.is_text(name))


def _whole(tool: Tool, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema with the definitions that it refers to."""
    references = [each["$ref"] for each in subschemas(schema) if isinstance(each.get("$ref"), str)]
    used: dict[str, Any] = {key: tool.parameters[key] for key in ("$defs", "definitions") if key in tool.parameters}
    if any(not reference.startswith(tuple(f"#/{key}/" for key in used)) for reference in references):
        raise _refusal(tool, "its schema refers to other parts of itself than its $defs")
    return {**schema, **used} if references else schema


def _refusal(tool: Tool, why: str) -> ValidationError:
    return ValidationError(
        f"Calls of the tool {tool.name!r} can't be enforced in this model's own way of writing them: {why}. "
        "Simplify the schema, or use tool_choice='auto'.",
        field="tool_choice",
    )
