"""A call's arguments as the model wrote them: read strictly, or refused with a reason.

JSON as in RFC 8259, with what it leaves open settled: a name occurs once, numbers are finite, text is valid Unicode.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from llmkit.errors import ValidationError
from llmkit.tools.calls import ToolCallError
from llmkit.tools.problems import Problem, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

MAX_BYTES = 1 << 20
"""The longest arguments that are read, in bytes of UTF-8."""

MAX_DEPTH = 64
"""The deepest nesting of objects and lists that is read."""

_MOST_PROBLEMS = 10


class ToolArgumentsError(ValidationError):
    """Arguments that can't be read or don't fit the tool's schema.

    Attributes
    ----------
    code : str
        ``PARSE_ERROR`` or ``VALIDATION_ERROR``.
    problems : tuple of Problem
        What is wrong, field by field; empty if the text can't be read at all.
    """

    code: Literal["PARSE_ERROR", "VALIDATION_ERROR"]

    def __init__(
        self, message: str, *, code: Literal["PARSE_ERROR", "VALIDATION_ERROR"], problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, field="arguments")
        self.code = code
        self.problems = tuple(problems)

    def to_call_error(self, raw: str) -> ToolCallError:
        """Return the error as a run reports it; ``raw`` is the text that the model wrote."""
        return ToolCallError(self.code, self.message, raw)


def misfit(problems: Sequence[Problem]) -> ToolArgumentsError:
    """Return the error for arguments that don't fit the schema."""
    told = "; ".join(str(problem) for problem in problems[:_MOST_PROBLEMS])
    more = "; and more" if len(problems) > _MOST_PROBLEMS else ""
    return ToolArgumentsError(
        f"The arguments don't fit the schema: {told}{more}.", code="VALIDATION_ERROR", problems=problems
    )


def read_arguments(arguments: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments as JSON values, a copy that shares nothing with what was given.

    Parameters
    ----------
    arguments : str or mapping
        JSON text, where an empty one counts as ``{}``; or JSON values by parameter name.

    Raises
    ------
    ToolArgumentsError
        ``PARSE_ERROR`` for text that is no JSON, is over 1 MiB or nested deeper than 64 levels, or has a name twice,
        a number that isn't finite, or half a surrogate pair. ``VALIDATION_ERROR`` for JSON that is no object.
    """
    text = arguments if isinstance(arguments, str) else _written(arguments)
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        _refuse("are longer than 1 MiB")
    value = _parsed(text) if text.strip() else {}
    if not isinstance(value, dict):
        raise misfit([Problem("", f"must be a JSON object, but is {shown(value)}")])
    if _depth(value) > MAX_DEPTH:
        _refuse(f"are nested deeper than {MAX_DEPTH} levels")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        _refuse("hold half of a surrogate pair, which is no Unicode text")
    return value


def last_of_each_name(text: str) -> str:
    """Return JSON text in which a name that an object has twice counts once, with its last value.

    A grammar can't keep a model from writing a name twice; for words that it bound, this is what most JSON readers
    make of them. Other text comes back as it is.
    """
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _refuse(why: str) -> NoReturn:
    raise ToolArgumentsError(f"The arguments {why}.", code="PARSE_ERROR")


def _written(arguments: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(arguments), allow_nan=False)
    except RecursionError:
        _refuse(f"are nested deeper than {MAX_DEPTH} levels")
    except (TypeError, ValueError) as error:
        _refuse(f"aren't JSON values: {error}")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_not_a_number, parse_float=_float)
    except json.JSONDecodeError as error:
        around = text[max(0, error.pos - 20) : error.pos + 20]
        _refuse(f"are no JSON: {error.msg} at line {error.lineno}, column {error.colno}, near {shown(around)}")
    except RecursionError:
        _refuse(f"are nested deeper than {MAX_DEPTH} levels")
    except ToolArgumentsError:
        raise
    except ValueError:  # Python reads integers up to sys.get_int_max_str_digits() long
        _refuse("hold an integer of too many digits")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            _refuse(f"have {shown(name)} twice in one object")
        found[name] = value
    return found


def _not_a_number(word: str) -> NoReturn:
    _refuse(f"hold {word}, which JSON doesn't have; use null or a finite number")


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        _refuse(f"hold the number {shown(digits)[1:-1]}, which is too large")
    return value


def _depth(value: Any) -> int:
    """Return how deep ``value`` is nested, without recursion."""
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
    return depth
