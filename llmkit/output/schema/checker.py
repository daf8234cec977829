"""Whether a value fits a schema, with keywords read as the grammar enforces them."""

from __future__ import annotations

from decimal import Decimal
from functools import cache, cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from llmkit.output.schema.formats import FORMATS
from llmkit.output.schema.patterns import Pattern, PatternError, full, searched
from llmkit.tools.problems import Problem, problems_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema import FormatChecker, Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import ValidationError as SchemaViolation  # type: ignore[import-untyped]

_MOST_PROBLEMS = 20


class Checker:
    """Checks values against a JSON schema of draft 2020-12.

    Other than jsonschema by itself, it takes patterns as ECMA-262 has them, formats as binding, and multiples exactly,
    so that 1.1 is a multiple of 0.1.

    Parameters
    ----------
    schema : dict or bool
        A valid schema. It refers to nothing outside itself: nothing is ever fetched.
    """

    def __init__(self, schema: dict[str, Any] | bool) -> None:
        self._schema = schema

    @cached_property
    def _validator(self) -> Validator:
        from referencing import Registry

        return _kind()(self._schema, registry=Registry(), format_checker=_formats())

    def fits(self, value: Any, schema: dict[str, Any] | bool) -> bool:
        """Return whether a value fits a part of the schema."""
        return bool(self._validator.evolve(schema=schema).is_valid(value))

    def problems(self, value: Any) -> list[Problem]:
        """Return what keeps a value from fitting the whole schema; empty if it fits."""
        violations = islice(self._validator.iter_errors(value), _MOST_PROBLEMS)
        return list(dict.fromkeys(problem for violation in violations for problem in problems_of(violation)))


@cache
def _kind() -> type[Validator]:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend  # type: ignore[import-untyped]

    return extend(Draft202012Validator, {"multipleOf": _multiple, "pattern": _pattern})  # type: ignore[no-any-return]


@cache
def _formats() -> FormatChecker:
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())
    for name, pattern in FORMATS.items():
        checker.checks(name)(partial(_of_format, full(pattern)))
    return checker


def _of_format(pattern: Pattern, value: object) -> bool:
    return not isinstance(value, str) or pattern.matches(value)


def _multiple(_: Validator, step: float, value: Any, _schema: Any) -> Iterator[SchemaViolation]:
    from jsonschema.exceptions import ValidationError as SchemaViolation

    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            rest = Decimal(repr(value)) % Decimal(repr(step))
        except ArithmeticError:
            rest = Decimal(str(value % step))
        if rest:
            yield SchemaViolation(f"{value} is not a multiple of {step}")


def _pattern(_: Validator, pattern: str, value: Any, _schema: Any) -> Iterator[SchemaViolation]:
    from jsonschema.exceptions import ValidationError as SchemaViolation

    if isinstance(value, str) and not _searched(pattern).matches(value):
        yield SchemaViolation(f"{value!r} does not match {pattern!r}")


@cache
def _searched(pattern: str) -> Pattern:
    try:
        return searched(pattern)
    except PatternError as error:
        raise PatternError(f"the pattern {pattern!r} {error}") from error
