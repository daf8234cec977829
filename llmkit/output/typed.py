"""Python types as outputs: their JSON schema and their values, through pydantic."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from functools import cached_property, reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.output.failure import unfit
from llmkit.output.type_schema import described
from llmkit.tools.problems import field_path
from llmkit.tools.schema import reason_of

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic import ValidationError as Invalid


class TypedValues:
    """The values of a type.

    Parameters
    ----------
    kind : Any
        Whatever pydantic's ``TypeAdapter`` takes: a pydantic model, dataclass, TypedDict, ``list[int]``, ``Literal``, …

    Raises
    ------
    ValidationError
        If the type has no JSON schema.
    """

    def __init__(self, kind: Any) -> None:
        self.kind = _readable(kind)
        self.schema = _schema(self.kind)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        from pydantic import TypeAdapter

        return TypeAdapter(self.kind)

    def from_text(self, text: str, finish_reason: str | None) -> Any:
        """Return the value of a JSON text.

        Raises
        ------
        OutputError
            If it doesn't fit.
        """
        from pydantic import ValidationError as Invalid

        try:
            return self._adapter.validate_json(text)
        except Invalid as error:
            raise unfit(text, _problems(error), finish_reason) from error

    def from_value(self, value: Any) -> Any:
        """Return the value of plain JSON values.

        Raises
        ------
        OutputError
            If they don't fit.
        """
        import json

        return self.from_text(json.dumps(value), None)


def _schema(kind: Any) -> dict[str, Any]:
    if inspect.isroutine(kind):
        raise _no_output(kind, "it is a function")
    from pydantic.errors import PydanticUserError

    try:
        return described(kind)
    except (PydanticUserError, TypeError, NameError, ImportError) as error:
        raise _no_output(kind, reason_of(error)) from error


def _no_output(kind: Any, why: str) -> ValidationError:
    return ValidationError(
        f"{kind!r} can't be an output: {why}. Use a pydantic model, dataclass, TypedDict, list or Literal, a JSON "
        "schema, or Output.choice, Output.regex, Output.grammar.",
        field="output",
    )


def _readable(kind: Any) -> Any:
    """Return a type with typing_extensions' TypedDict for typing's: before Python 3.12 pydantic asks for it."""
    if sys.version_info >= (3, 12):
        return kind
    import typing_extensions

    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if typing.is_typeddict(kind) and type(kind).__module__ == "typing":
        fields = {}
        for name, told in typing.get_type_hints(kind, include_extras=True).items():
            said = typing.get_origin(told)  # where annotations are texts, `__required_keys__` knows nothing of it
            plain = typing.get_args(told)[0] if said in {typing.Required, typing.NotRequired} else told
            needed = said is typing.Required or (said is not typing.NotRequired and name in kind.__required_keys__)
            fields[name] = (typing_extensions.Required if needed else typing_extensions.NotRequired)[_readable(plain)]
        make: Any = typing_extensions.TypedDict
        return make(kind.__name__, fields)
    if origin is typing.Annotated:
        return typing.Annotated.__class_getitem__((_readable(arguments[0]), *arguments[1:]))
    read = tuple(_readable(each) for each in arguments)
    if read == arguments or origin in {None, typing.Literal}:
        return kind
    return reduce(or_, read) if origin in {typing.Union, types.UnionType} else origin[read]


def _problems(error: Invalid) -> list[str]:
    return [
        f"{field_path(each['loc']) or 'the answer'}: {each['msg']}"
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
