"""The JSON schema of a type, such that whatever fits it is read as the type.

Pydantic's own schemas are a little wider than what pydantic reads: any text for a decimal or complex number or for the
key of a ``dict[int, str]``, any date where it must be a past one, any address for a web address. Here they are as
narrow, or the type is refused. What a validator of the user's own does, no schema tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.output.schema.formats import WEB_ADDRESS
from llmkit.tools.checking import subschemas

if TYPE_CHECKING:
    from pydantic.json_schema import GenerateJsonSchema

_WEB = {"http", "https"}
_WHOLE = "^(0|-?[1-9][0-9]{0,17})$"
_FINITE = {"minimum": -1e15, "maximum": 1e15}
_OF_TIMES = {"ge": "bounds", "gt": "bounds", "le": "bounds", "lt": "bounds", "now_op": "being past or future"}


def described(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of a type, closed to unknown keys.

    Parameters
    ----------
    kind : Any
        Whatever pydantic's ``TypeAdapter`` takes.

    Raises
    ------
    ValidationError
        For a type whose JSON form can't be enforced.
    """
    from pydantic import TypeAdapter

    schema = TypeAdapter(kind).json_schema(schema_generator=_generator())
    root = schema.pop("$ref", None)
    if root is not None:  # a model that contains itself
        schema = {**schema["$defs"][root.rpartition("/")[2]], **schema}
    for each in subschemas(schema):
        if "properties" in each:
            each.setdefault("additionalProperties", False)
    return schema


def _generator() -> type[GenerateJsonSchema]:
    from pydantic.json_schema import GenerateJsonSchema

    class Generate(GenerateJsonSchema):
        # A default that JSON can't tell is simply not told.
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - pydantic's declaration

        def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
            return False

        def float_schema(self, schema: Any) -> dict[str, Any]:
            found = super().float_schema(schema)
            return found if schema.get("allow_inf_nan", True) else {**_FINITE, **found}

        def decimal_schema(self, schema: Any) -> dict[str, Any]:
            finite: Any = {**schema, "allow_inf_nan": bool(schema.get("allow_inf_nan"))}
            return {**super().decimal_schema(finite)["anyOf"][0], **_places(schema)}

        def set_schema(self, schema: Any) -> dict[str, Any]:
            return _set(super().set_schema(schema))

        def frozenset_schema(self, schema: Any) -> dict[str, Any]:
            return _set(super().frozenset_schema(schema))

        def dict_schema(self, schema: Any) -> dict[str, Any]:
            keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
            if keys == {"type": "integer"}:
                return {**super().dict_schema(schema), "propertyNames": {"pattern": _WHOLE}}
            if keys.get("type", "string") != "string":
                raise _refused(f"keys of the type {keys['type']}")
            return super().dict_schema(schema)

        def date_schema(self, schema: Any) -> dict[str, Any]:
            return _any_time(schema, super().date_schema(schema))

        def datetime_schema(self, schema: Any) -> dict[str, Any]:
            return _any_time(schema, super().datetime_schema(schema))

        def time_schema(self, schema: Any) -> dict[str, Any]:
            return _any_time(schema, super().time_schema(schema))

        def timedelta_schema(self, schema: Any) -> dict[str, Any]:
            return _any_time(schema, super().timedelta_schema(schema))

        def url_schema(self, schema: Any) -> dict[str, Any]:
            if not _WEB & set(schema.get("allowed_schemes") or _WEB):
                raise _refused("addresses that aren't web addresses")
            return {**_without(super().url_schema(schema), "format"), "pattern": f"^({WEB_ADDRESS})$"}

        def multi_host_url_schema(self, schema: Any) -> dict[str, Any]:  # noqa: ARG002
            raise _refused("addresses with several hosts")

        def complex_schema(self, schema: Any) -> dict[str, Any]:  # noqa: ARG002
            raise _refused("complex numbers")

        def json_schema(self, schema: Any) -> dict[str, Any]:  # noqa: ARG002
            raise _refused("JSON within a text")

    return Generate


def _set(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a set, whose repeated items are dropped when it is read."""
    return _without(schema, "uniqueItems") if schema.get("minItems", 0) <= 1 else schema


def _any_time(said: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a date or time, if nothing is said of which."""
    for keyword, what in _OF_TIMES.items():
        if said.get(keyword) is not None:
            raise _refused(f"{what} of a {said['type']}")
    if said.get("tz_constraint") not in {None, "aware"}:
        raise _refused(f"a {said['type']} without a time zone")
    return schema


def _places(schema: Any) -> dict[str, Any]:
    """Return what ``max_digits`` and ``decimal_places`` of a decimal number come to."""
    digits, places = schema.get("max_digits"), schema.get("decimal_places")
    found: dict[str, Any] = {}
    if places is not None and schema.get("multiple_of") is None:
        found["multipleOf"] = float(f"1e-{places}")
    elif places is not None or (digits is not None and places is None):
        raise _refused("decimal numbers with max_digits but not decimal_places, or with these and multiple_of")
    if digits is not None:
        limit = 10 ** (digits - places)
        found |= {"exclusiveMaximum": limit, "exclusiveMinimum": -limit}
    return found


def _without(schema: dict[str, Any], keyword: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != keyword}


def _refused(what: str) -> ValidationError:
    return ValidationError(f"The output can't be bound to its type: {what} can't be enforced.", field="output")
