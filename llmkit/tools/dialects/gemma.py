"""Calls as Gemma writes them: ``call:f{city:<|"|>Paris<|"|>,days:3}`` between markers.

Texts stand between delimiters of their own and have no escapes; keys have no quotes.
https://ai.google.dev/gemma/docs/core/prompt-formatting-gemma4, https://ai.google.dev/gemma/docs/functiongemma
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.tools.dialects.arguments_row import Argument, arguments_of
from llmkit.tools.dialects.base import literal
from llmkit.tools.dialects.grammar import alternatives, free_text, in_a_row, json_expression, repeated, rules
from llmkit.tools.dialects.literals import Notation, listed, literal_key, literal_value, unexpected
from llmkit.tools.dialects.reading import MarkedReader, Markers
from llmkit.tools.dialects.tape import Broken, Script
from llmkit.tools.dialects.values import Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.tools.dialects.base import Reader, Token
    from llmkit.tools.tool import Tool

_NAME = re.compile(r"[\w.-]*")
_WRITTEN_KEY = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class GemmaDialect:
    """Calls as Gemma writes them.

    Parameters
    ----------
    name : str
        The dialect's name.
    opening, closing : str
        The markers around a call.
    delimiter : str
        The marker before and after a text.
    """

    name: str
    opening: str
    closing: str
    delimiter: str
    reasons: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts that a tokenizer may hold as control tokens."""
        return (self.opening, self.closing, self.delimiter)

    def reader(self, tools: Sequence[Tool]) -> Reader:
        """Return a reader for one answer."""
        return GemmaReader(self, tools)

    def grammar(self, tools: Sequence[Tool], *, many: bool, token: Token = literal) -> str:
        """Return Lark rules that let a model write nothing but calls."""
        definitions = [
            ("calls", repeated("calls_one", literal(""), many=many)),
            ("calls_one", alternatives([f"calls_{number}" for number in range(len(tools))])),
        ]
        for number, tool in enumerate(tools):
            row = f"calls_{number}_row"
            items = []
            for place, argument in enumerate(arguments_of(tool, _WRITTEN_KEY)):
                rule = f"calls_{number}_value_{place}"
                definitions += self._value(rule, argument, token)
                items.append((f"{literal(argument.name + ':')} {rule}", argument.required))
            begin, end = literal(f"call:{tool.name}{{"), literal("}")
            definitions.append((f"calls_{number}", f"{token(self.opening)} {begin} {row} {end} {token(self.closing)}"))
            definitions += in_a_row(row, items, literal(","))
        return rules(definitions)

    def _value(self, rule: str, argument: Argument, token: Token) -> list[tuple[str, str]]:
        choices = argument.schema.get("enum", ())
        delimiter = token(self.delimiter)
        if argument.is_text:
            text = f"{rule}_free"
            return [(rule, f"{delimiter} {text}"), *free_text(text, argument.schema, self.delimiter, token)]
        if choices and all(isinstance(each, str) and each and self.delimiter not in each for each in choices):
            return [(rule, f"{delimiter} {alternatives([literal(each) for each in choices])} {delimiter}")]
        return [(rule, json_expression(argument.schema))]


class GemmaReader(MarkedReader):
    """Reads text with such calls in it."""

    def __init__(self, dialect: GemmaDialect, tools: Sequence[Tool]) -> None:
        super().__init__(Markers((dialect.opening,), dialect.closing), tools)
        self._notation = Notation(('"',), dialect.delimiter, bare=True)

    def call(self) -> Script[None]:
        """Read a call after its opening."""
        tape = self.tape
        yield from tape.blanks()
        if not (yield from tape.accept("call:")):
            yield from self.nothing()
        start = tape.mark
        yield from tape.run(_NAME)
        name = tape.since(start)
        if not name or not (yield from tape.accept("{")):
            raise unexpected((yield from tape.peek()), "where a name and its arguments belong")
        self.call_begins(name)
        arguments = yield from self._arguments(name)
        yield from self.call_closes()
        self.call_ends(arguments)

    def _arguments(self, name: str) -> Script[str]:
        tape = self.tape
        parameters = Parameters(self.tools[name].parameters if name in self.tools else None)
        members: dict[str, str] = {}

        def member() -> Script[None]:
            key = yield from literal_key(tape, self._notation)
            yield from tape.blanks()
            if not (yield from tape.accept(":")):
                raise unexpected((yield from tape.peek()), "where ':' belongs")
            if key in members:
                raise Broken(f"It has {key[:80]} twice.")
            yield from tape.blanks()
            text = yield from literal_value(tape, self._notation)
            parameter = json.loads(key)
            if text.startswith('"') and not parameters.takes_text(parameter):
                text = parameters.json_of(parameter, json.loads(text))
            members[key] = text

        tape.showing = True
        yield from listed(tape, "}", member)
        tape.showing = False
        return "{" + ", ".join(f"{key}: {text}" for key, text in members.items()) + "}"


DIALECTS = (
    GemmaDialect("gemma4", "<|tool_call>", "<tool_call|>", '<|"|>'),
    GemmaDialect("function-gemma", "<start_function_call>", "<end_function_call>", "<escape>"),
)
