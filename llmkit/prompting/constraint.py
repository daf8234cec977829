"""What an answer must look like, as one grammar for the decoder.

This is the one place where grammars are put together: reasoning first if the model reasons, then what the answer may
be. Each is Lark text for llguidance (https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md), which both
local engines read, and is checked here, because llama.cpp goes on without a grammar that it can't read.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmkit.errors import ValidationError
from llmkit.tools.checking import subschemas
from llmkit.tools.dialects.base import literal
from llmkit.tools.dialects.grammar import json_expression
from llmkit.tools.generic import SPOKEN, GenericDialect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.prompting.splitter import Markers
    from llmkit.tools.choice import ToolChoice
    from llmkit.tools.dialects.base import Dialect, Token
    from llmkit.tools.tool import Tool

ANY_OBJECT = {"type": "object"}
"""Stands in for a schema that can't be enforced where the model needn't call: what it writes is checked afterwards."""

_ITEM_TOKENS = 32
_FEWEST_ITEMS = 8
_SHORTEST_LIMIT = 32
_LARGEST = 2**53 - 1
"""The largest whole number that all JSON readers agree on (RFC 8259, section 6)."""


@dataclass(frozen=True, slots=True)
class Thought:
    """How reasoning may come before an answer.

    Parameters
    ----------
    markers : Markers
        What stands around it.
    open : bool
        Whether the prompt has opened it already.
    """

    markers: Markers
    open: bool


@dataclass(frozen=True, slots=True)
class Constraint:
    """The grammar of an answer.

    Parameters
    ----------
    grammar : str
        Of all that the model writes.
    answer : str
        Of what follows once its reasoning is closed.
    """

    grammar: str
    answer: str


def call_rules(
    dialect: Dialect, tools: Sequence[Tool], choice: ToolChoice, *, room: int, token: Token = literal
) -> str | None:
    """Return Lark rules for an answer that may or must be a call; ``None`` if it is free.

    The rule to start from is ``answer``. Where the model has a format of its own and may choose, it is free: it knows
    when to begin a call, and what it writes is checked afterwards. In the generic format it is always bound.

    Parameters
    ----------
    dialect : Dialect
        How the model writes calls.
    tools : sequence of Tool
        What it may call.
    choice : ToolChoice
        Whether it may, must or must not.
    room : int
        So many tokens it may write. Texts and lists without a limit get one that lets a call end within them: small
        models go on without end where nothing stops them.
    token : Callable
        Returns the Lark expression for a marker.

    Raises
    ------
    ValidationError
        For a tool whose schema can't be enforced and that must be called; names the tool and the keyword.
    """
    generic = isinstance(dialect, GenericDialect)
    if choice.mode == "none" or not tools or not (choice.binds or generic):
        return None
    offered = [tool for tool in tools if choice.mode != "named" or tool.name == choice.name]
    problems = {tool.name: problem for tool in offered if (problem := schema_problem(tool)) is not None}
    if choice.binds and problems:
        raise ValidationError(next(iter(problems.values())), field="tools")
    bound = [replace(tool, parameters=ANY_OBJECT if tool.name in problems else tool.parameters) for tool in offered]
    calls = dialect.grammar([fitted(tool, room) for tool in bound], many=choice.mode != "named", token=token)
    if choice.binds:
        return f"answer: calls\n{calls}"
    return f"answer: calls | {literal(SPOKEN)} ANSWER_WORDS\nANSWER_WORDS: /(?s:.*)/\n{calls}"


def fitted(tool: Tool, room: int) -> Tool:
    """Return a tool whose texts, lists and whole numbers end, such that a call takes about ``room`` tokens at most.

    A token is a character at least, mostly. Limits of the schema itself stay.
    """
    parameters = copy.deepcopy(tool.parameters)
    texts, lists = [], []
    for schema in subschemas(parameters):
        if schema.get("type") == "string" and not schema.keys() & {"maxLength", "enum", "const", "format"}:
            texts.append(schema)
        elif schema.get("type") == "array" and "maxItems" not in schema:
            lists.append(schema)
        elif schema.get("type") == "object" and schema.get("additionalProperties") and "maxProperties" not in schema:
            schema["maxProperties"] = len(schema.get("properties", ())) + max(
                _FEWEST_ITEMS, schema.get("minProperties", 0)
            )
        elif schema.get("type") == "integer" and not schema.keys() & {"enum", "const", "multipleOf"}:
            _end_digits(schema)
    items = max(_FEWEST_ITEMS, int((max(room, 0) / _ITEM_TOKENS) ** (1 / max(1, len(lists)))))
    for schema in lists:
        schema["maxItems"] = max(items, schema.get("minItems", 0))
    share = room // max(1, len(texts) * (_FEWEST_ITEMS if lists else 1))
    for schema in texts:
        schema["maxLength"] = max(share, _SHORTEST_LIMIT, schema.get("minLength", 0))
    return replace(tool, parameters=parameters)


def _end_digits(schema: dict[str, Any]) -> None:
    if not schema.keys() & {"minimum", "exclusiveMinimum"}:
        schema["minimum"] = min(-_LARGEST, schema.get("maximum", 0), schema.get("exclusiveMaximum", 0) - 1)
    if not schema.keys() & {"maximum", "exclusiveMaximum"}:
        schema["maximum"] = max(_LARGEST, schema.get("minimum", 0), schema.get("exclusiveMinimum", 0) + 1)


def constraint(
    rules: str, *, ends: Sequence[int], thought: Thought | None = None, token: Token = literal
) -> Constraint:
    """Return the checked grammar of an answer, reasoning first.

    Parameters
    ----------
    rules : str
        Lark rules; the one to start from is ``answer``.
    ends : sequence of int
        Tokens that end a generation. The grammar names them because llama.cpp lets only one of them through, and that
        is often not the one which the model writes after a message: then answers never end.
    thought : Thought, optional
        How reasoning may come before; ``None``: not at all.
    token : Callable
        Returns the Lark expression for a marker.

    Raises
    ------
    ValidationError
        If llguidance can't read the grammar.
    """
    end = f"({' | '.join(f'<[{id_}]>' for id_ in ends)})?" if ends else ""
    answer = f"start: answer {end}\n{rules}\n"
    whole = answer if thought is None else f"{_after_thought(thought, token)} answer {end}\n{rules}\n"
    for grammar in {answer, whole}:
        check_grammar(grammar)
    return Constraint(whole, answer)


def schema_problem(tool: Tool) -> str | None:
    """Return why a tool's arguments can't be bound to their schema, naming tool and keyword; ``None`` if they can."""
    problem = _problem(f"start: {json_expression(tool.parameters)}")
    if problem is None:
        return None
    cause = problem.partition("failed to compile JSON schema: ")[2] or problem
    cause = " ".join(re.split(r"\n\s*\d+ \| ", cause)[0].split())  # the rest shows the grammar
    keywords = re.fullmatch(r"Unimplemented keys: \[(.*)\]", cause)
    if keywords:
        cause = f"the keyword {keywords[1].replace(chr(34), chr(39))} can't be enforced while decoding"
    return (
        f"A call of {tool.name!r} can't be bound to the tool's schema: {cause}. Leave it out of the schema and check "
        "it in the handler, or use tool_choice='auto'."
    )


def check_grammar(grammar: str) -> None:
    """Raise for a grammar that llguidance can't read.

    Raises
    ------
    ValidationError
        With llguidance's own words.
    """
    problem = _problem(grammar)
    if problem is not None:
        raise ValidationError(f"The grammar can't be used: {problem}", field="grammar")


def _problem(grammar: str) -> str | None:
    from llguidance import LLMatcher

    message: str = LLMatcher.validate_grammar(grammar)
    return None if not message or message.startswith("WARNING") else message


def _after_thought(thought: Thought, token: Token) -> str:
    opening, closing = token(thought.markers.open), token(thought.markers.close)
    if closing.startswith("<["):  # a control token, which no text contains
        rest = f"thought_rest: THOUGHT_WORDS {closing}\nTHOUGHT_WORDS: /(?s:.*)/"
    else:
        rest = f"thought_rest[suffix={closing}]: /(?s:.*)/"
    start = "thought_rest" if thought.open else f"({opening} thought_rest)?"
    return f"{rest}\nTHOUGHT_BLANKS: /\\n{{0,2}}/\nstart: {start} THOUGHT_BLANKS"
