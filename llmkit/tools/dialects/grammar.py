"""Lark for llguidance, as all dialects need it: schemas in line, tools as alternatives, arguments in a row.

The syntax: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md and ``json_schema.md`` beside it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from llmkit.tools.checking import subschemas
from llmkit.tools.dialects.base import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmkit.tools.dialects.base import Token

# One blank after "," and ":", as models are taught. Without bounds on blanks greedy decoding can loop on them.
# Only options that the llguidance inside xllamacpp knows too, which is older than the one beside it.
_COMPACT = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
MOST_CALLS = 16
"""How many calls an answer may make where it is bound; without a limit a small model may never stop."""

# llguidance follows RFC 3339, which has a year 0, seconds up to 60 and a small "z", and takes every year for a leap
# year; Python doesn't.
_LEAP_YEAR = "([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)"
_DATE = f"([1-9][0-9]{{3}}-((0[13-9]|1[0-2])-[0-9]{{2}}|02-([01][0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
_CLOSER = {"date": _DATE, "time": _TIME, "date-time": f"{_DATE}T{_TIME}"}
_CHECKED_FORMATS = {"date", "date-time", "email", "ipv4", "ipv6", "time", "uuid"}


def json_expression(schema: Mapping[str, Any]) -> str:
    """Return the Lark expression for compact JSON that fits a schema."""
    return f"%json {json.dumps({'x-guidance': _COMPACT, **_bindable(schema)}, ensure_ascii=False)}"


def free_text(rule: str, schema: Mapping[str, Any], end: str, token: Token, *, pad: str = "") -> list[tuple[str, str]]:
    """Return rules for a text without quotes or escapes, and what ends it.

    Parameters
    ----------
    rule : str
        The rule to define.
    schema : Mapping
        Of a string, with nothing but its length said.
    end : str
        The marker that ends it, which can't be in it.
    token : Callable
        Returns the Lark expression for a marker.
    pad : str
        What stands between the text and its end.
    """
    least, most = schema.get("minLength", 0), schema.get("maxLength", "")
    marker = re.escape(end).replace("/", r"\/")
    text = f"/(?s:.{{{least},{most}}})/ & ~/(?s:.*){marker}(?s:.*)/"
    if token(end) == literal(end):
        return [(f"{rule}[lazy]", f"( {text} ) {literal(pad + end)}")]
    # A control token ends a text by itself, and can't be part of one.
    return [(rule, f"{rule.upper()} {literal(pad)} {token(end)}"), (rule.upper(), text)]


def rules(definitions: Iterable[tuple[str, str]]) -> str:
    """Return Lark rules, one a line."""
    return "".join(f"{name}: {expression}\n" for name, expression in definitions)


def alternatives(expressions: Sequence[str]) -> str:
    """Return the Lark expression for one of several."""
    return expressions[0] if len(expressions) == 1 else f"( {' | '.join(expressions)} )"


def repeated(one: str, between: str, *, many: bool) -> str:
    """Return the Lark expression for one, or for up to :data:`MOST_CALLS` with something between them."""
    return f"{one} ( {between} {one} ){{0,{MOST_CALLS - 1}}}" if many else one


def in_a_row(prefix: str, items: Sequence[tuple[str, bool]], between: str) -> list[tuple[str, str]]:
    """Return rules for expressions in order, some of them optional, with something between those that are there.

    Parameters
    ----------
    prefix : str
        The name of the rule to start from, and the beginning of the others'.
    items : sequence of (str, bool)
        Expressions, and whether each must be there.
    between : str
        The expression between them.
    """
    definitions: list[tuple[str, str]] = []
    firsts: list[str] = []
    for number, (expression, required) in enumerate(items):
        definitions.append((f"{prefix}_{number}", f"{expression} {prefix}_after_{number}"))
        firsts.append(f"{prefix}_{number}")
        if required:
            break
    for number in range(len(items)):
        rest = '""'
        if number + 1 < len(items):
            expression, required = items[number + 1]
            there = f"{between} {expression}"
            rest = f"{there if required else f'( {there} )?'} {prefix}_after_{number + 1}"
        definitions.append((f"{prefix}_after_{number}", rest))
    if not any(required for _, required in items):
        firsts.append('""')
    return [(prefix, alternatives(firsts)), *definitions]


def _bindable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without formats that nothing checks, some of which llguidance refuses; with the others closer."""
    copy: dict[str, Any] = json.loads(json.dumps(schema))
    for each in subschemas(copy):
        name = each.get("format")
        if isinstance(name, str) and name not in _CHECKED_FORMATS:
            del each["format"]
        elif isinstance(name, str) and name in _CLOSER:
            each.setdefault("pattern", f"^{_CLOSER[name]}$")
    return copy
