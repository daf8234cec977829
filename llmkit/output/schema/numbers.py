"""Numbers: all bounds of several schemas as one pair, in digits that the grammar's compiler reads exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from llmkit.output.schema.formats import FORMATS, OF_NUMBERS, SAYS_NOTHING
from llmkit.output.schema.keywords import refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmkit.output.schema.nodes import Node

# The compiler reads fractions as 64-bit floats, perhaps one unit off in the last place, and compares at most 18 decimal
# places: fewer digits are exact. Whole numbers it reads as floats too, and then takes for 64-bit integers.
_DIGITS = 15
_PLACES = -12
_LARGEST = {"number": Decimal(10) ** 15, "integer": Decimal(2**63 - 1024)}
_MOST_LISTED = 256
_LARGEST_MULTIPLE = 5000


@dataclass(frozen=True, slots=True)
class _Range:
    low: Decimal | None
    high: Decimal | None


def number(kind: str, parts: Sequence[Node]) -> dict[str, Any] | bool:
    """Return the schema of numbers that fit several schemas; false if there are none.

    Bounds are drawn in a little where the compiler couldn't read them exactly.

    Parameters
    ----------
    kind : {"integer", "number"}
        What kind of number.
    parts : sequence of Node
        The schemas; only what they say of numbers counts.

    Raises
    ------
    ValidationError
        For bounds or multiples that are too large or too fine.
    """
    whole = kind == "integer"
    lows, highs, steps = zip(*(_bounds(part) for part in parts), strict=True) if parts else ((), (), ())
    low = max((each for bounds in lows for each in bounds), default=None, key=lambda bound: (bound[0], bound[1]))
    high = min((each for bounds in highs for each in bounds), default=None, key=lambda bound: (bound[0], not bound[1]))
    step = _common([each for found in steps for each in found])
    if whole:
        step = None if step is None else _least_multiple(step, Fraction(1))
        limits = _Range(_inward_whole(low, up=True), _inward_whole(high, up=False))
    else:
        limits = _Range(_inward(low, up=True), _inward(high, up=False))
    _check_reachable(limits, _LARGEST[kind], parts)
    if limits.low is not None and limits.high is not None and limits.low > limits.high:
        return False
    if step is not None and not (whole and step == 1):
        return _multiples(kind, step, limits, parts)
    return _schema(kind, limits)


def same(value: Any) -> bool:
    """Return whether the grammar's compiler reads a number as it is meant."""
    if isinstance(value, int):
        return abs(value) <= 2**53
    exact = Decimal(repr(value))
    return len(exact.as_tuple().digits) <= _DIGITS and not _fine(exact) and abs(exact) <= _LARGEST["number"]


def _bounds(part: Node) -> tuple[list[tuple[Decimal, bool]], list[tuple[Decimal, bool]], list[Fraction]]:
    """Return lower and upper bounds, each with whether it is excluded, and steps."""
    lows = [(_decimal(part.get(key)), key != "minimum") for key in ("minimum", "exclusiveMinimum") if _has(part, key)]
    highs = [(_decimal(part.get(key)), key != "maximum") for key in ("maximum", "exclusiveMaximum") if _has(part, key)]
    name = part.get("format")
    if name in OF_NUMBERS:
        bounds = OF_NUMBERS[name]
        if bounds is not None:
            lows.append((Decimal(bounds[0]), False))
            highs.append((Decimal(bounds[1]), False))
    elif name is not None and name not in FORMATS and name not in SAYS_NOTHING and part.get("type") in _NUMBERS:
        raise refused("format", part.where, f"is {name!r}, which can't be enforced")
    steps = [Fraction(_decimal(part.get("multipleOf")))] if _has(part, "multipleOf") else []
    return lows, highs, [abs(step) for step in steps]


_NUMBERS = ("integer", "number")


def _has(part: Node, keyword: str) -> bool:
    return part.get(keyword) is not None


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))


def _inward(bound: tuple[Decimal, bool] | None, *, up: bool) -> Decimal | None:
    """Return a bound that counts itself, with few digits, within the given one."""
    if bound is None:
        return None
    value, excluded = bound
    rounding = ROUND_CEILING if up else ROUND_FLOOR
    near = _near(value, rounding)
    if near == value and excluded:
        step = Decimal(1).scaleb(max(value.adjusted() - _DIGITS + 1, _PLACES))
        near = _near(value + (step if up else -step), rounding)
    return near


def _near(value: Decimal, rounding: str) -> Decimal:
    near = Context(prec=_DIGITS, rounding=rounding).plus(value)
    return near.quantize(Decimal(1).scaleb(_PLACES), rounding) if near.adjusted() < 0 or _fine(near) else near


def _fine(value: Decimal) -> bool:
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < _PLACES


def _inward_whole(bound: tuple[Decimal, bool] | None, *, up: bool) -> Decimal | None:
    if bound is None:
        return None
    value, excluded = bound
    whole = math.ceil(value) if up else math.floor(value)
    if whole == value and excluded:
        whole += 1 if up else -1
    near = float(whole)
    if (near < whole) if up else (near > whole):
        near = math.nextafter(near, math.inf if up else -math.inf)
    return Decimal(int(near))


def _check_reachable(limits: _Range, largest: Decimal, parts: Sequence[Node]) -> None:
    for value, sign, keywords in ((limits.low, 1, _BELOW), (limits.high, -1, _ABOVE)):
        if value is not None and value * sign > largest:
            guilty, keyword = next(
                (part, key) for part in parts for key in (*keywords, "format") if part.get(key) is not None
            )
            raise refused(keyword, guilty.where, "leaves only numbers that are too large to be enforced")


_BELOW = ("minimum", "exclusiveMinimum")
_ABOVE = ("maximum", "exclusiveMaximum")


def _schema(kind: str, limits: _Range) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": kind}
    # A bound beyond what can be read is drawn in: without one, numbers would be let through that it forbids.
    if limits.low is not None:
        schema["minimum"] = _plain(max(limits.low, -_LARGEST[kind]))
    if limits.high is not None:
        schema["maximum"] = _plain(min(limits.high, _LARGEST[kind]))
    return schema


def _plain(value: Decimal | Fraction) -> int | float:
    return int(value) if value == int(value) else float(value)


def _common(steps: list[Fraction]) -> Fraction | None:
    common: Fraction | None = None
    for step in steps:
        common = step if common is None else _least_multiple(common, step)
    return common


def _least_multiple(one: Fraction, other: Fraction) -> Fraction:
    denominator = math.lcm(one.denominator, other.denominator)
    return Fraction(math.lcm(int(one * denominator), int(other * denominator)), denominator)


def _multiples(kind: str, step: Fraction, limits: _Range, parts: Sequence[Node]) -> dict[str, Any] | bool:
    """Return the schema of multiples: all of them listed if they are few, else those from zero up.

    The llguidance within llama.cpp knows no negative multiples, and a newer one does.
    """
    first = None if limits.low is None else math.ceil(Fraction(limits.low) / step)
    last = None if limits.high is None else math.floor(Fraction(limits.high) / step)
    if first is not None and last is not None:
        if first > last:
            return False
        if last - first < _MOST_LISTED:
            values = [_plain(step * count) for count in range(first, last + 1)]
            if all(map(same, values)):
                return {"enum": values}
    guilty = next(part for part in parts if part.get("multipleOf") is not None)
    if last is not None and last < 0:
        raise refused("multipleOf", guilty.where, "can't be enforced among many negative numbers")
    if not _readable(_plain(step)):
        raise refused("multipleOf", guilty.where, "has too many digits to be enforced")
    low = Decimal(0) if limits.low is None else max(limits.low, Decimal(0))
    return {**_schema(kind, _Range(low, limits.high)), "multipleOf": _plain(step)}


def _readable(step: float) -> bool:
    """Return whether the compiler, which multiplies by ten until a whole number is left, finds the right one."""
    value, shifts = float(step), 0
    while not value.is_integer() and shifts < 20:
        value, shifts = value * 10, shifts + 1
    return value < _LARGEST_MULTIPLE and Decimal(repr(step)) == Decimal(int(value)).scaleb(-shifts)


def listed(values: Sequence[Any]) -> Iterator[Any]:
    """Yield every number within some values."""
    for value in values:
        if isinstance(value, dict):
            yield from listed([*value.values()])
        elif isinstance(value, list):
            yield from listed(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield value
