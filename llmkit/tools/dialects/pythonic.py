"""Calls as Python writes them, in a list: ``[f(a=1), g(b="x")]``.

Llama 3.2 and 4 write them bare, LFM2 between markers. Nothing is evaluated: names, keywords and literals are read.
https://github.com/meta-llama/llama-models/blob/main/models/llama3_2/text_prompt_format.md
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.tools.dialects.arguments_row import Argument, arguments_of
from llmkit.tools.dialects.base import literal
from llmkit.tools.dialects.grammar import alternatives, in_a_row, json_expression, repeated, rules
from llmkit.tools.dialects.literals import PYTHON, listed, literal_value, unexpected
from llmkit.tools.dialects.reading import Bounds, MarkedReader, Markers
from llmkit.tools.dialects.tape import Broken, Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.tools.dialects.base import Reader, Token
    from llmkit.tools.tool import Tool

_NAME = re.compile(r"[\w.-]*")
_KEY = re.compile(r"\w*")
_WRITTEN_KEY = re.compile(r"[^\W\d]\w*")
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class PythonicDialect:
    """A list of calls as Python writes them.

    Parameters
    ----------
    name : str
        The dialect's name.
    opening, closing : str
        The markers around the list; without them a list is one of calls if it begins like one.
    dropped : tuple of str
        Markers that are no part of the answer.
    """

    name: str
    opening: str = ""
    closing: str = ""
    dropped: tuple[str, ...] = ()
    reasons: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts that a tokenizer may hold as control tokens."""
        return tuple(filter(None, (self.opening, self.closing, *self.dropped)))

    def reader(self, tools: Sequence[Tool]) -> Reader:
        """Return a reader for one answer."""
        if self.opening:
            return PythonicReader(Markers((self.opening,), self.closing, dropped=self.dropped), tools)
        return BarePythonicReader(Markers(("[",), "", dropped=self.dropped), tools)

    def grammar(self, tools: Sequence[Tool], *, many: bool, token: Token = literal) -> str:
        """Return Lark rules that let a model write nothing but calls."""
        whole = ['"["', repeated("calls_one", literal(", "), many=many), '"]"']
        if self.opening:
            whole = [token(self.opening), *whole, token(self.closing)]
        definitions = [("calls", " ".join(whole))]
        definitions.append(("calls_one", alternatives([f"calls_{number}" for number in range(len(tools))])))
        for number, tool in enumerate(tools):
            row = f"calls_{number}_row"
            items = [(_keyword(each), each.required) for each in arguments_of(tool, _WRITTEN_KEY)]
            definitions.append((f"calls_{number}", f'{literal(f"{tool.name}(")} {row} ")"'))
            definitions += in_a_row(row, items, literal(", "))
        return rules(definitions)


def _keyword(argument: Argument) -> str:
    """Return the Lark expression for a keyword and its value; the literals of JSON that a reader takes as well."""
    if argument.schema.get("type") == "boolean" and not argument.schema.keys() & {"enum", "const"}:
        return f'{literal(argument.name + "=")} ( "True" | "False" )'
    return f"{literal(argument.name + '=')} {json_expression(argument.schema)}"


class PythonicReader(MarkedReader):
    """Reads text with lists of such calls between markers in it."""

    def call(self) -> Script[None]:
        """Read a list of calls after its opening."""
        tape = self.tape
        yield from tape.blanks()
        if not (yield from tape.accept("[")):
            yield from self.nothing()
        yield from self.calls()
        yield from tape.blanks()

    def calls(self) -> Script[None]:
        """Read what follows the list's bracket."""
        tape = self.tape
        yield from tape.blanks()
        if (yield from tape.next_of(("]",))):
            raise Broken("It is empty.")
        while True:
            name = yield from self.name()
            self.call_begins(name)
            arguments = yield from self._keywords()
            yield from tape.blanks()
            follows = yield from tape.next_of((",", "]"))
            if not follows and not (yield from self.end_of_text()):
                raise unexpected((yield from tape.peek()), "after a call")
            self.call_ends(arguments)
            if follows != ",":
                self.markup(len(follows))
                return
            tape.take(1)
            yield from tape.blanks()
            if (yield from tape.next_of(("]",))):
                self.tape.emit_taken()
                self.markup(1)
                return

    def name(self) -> Script[str]:
        """Take a name and the bracket after it; return the name."""
        start = self.tape.mark
        yield from self.tape.run(_NAME)
        name = self.tape.since(start)
        yield from self.tape.blanks()
        if not name or not (yield from self.tape.accept("(")):
            raise unexpected((yield from self.tape.peek()), "where a call belongs")
        return name

    def _keywords(self) -> Script[str]:
        tape = self.tape
        keywords: dict[str, str] = {}

        def keyword() -> Script[None]:
            start = tape.mark
            yield from tape.run(_KEY)
            key = tape.since(start)
            yield from tape.blanks()
            if not key or not (yield from tape.accept("=")):
                raise unexpected((yield from tape.peek()), "where a parameter's name and '=' belong")
            if key in keywords:
                raise Broken(f"It has {key[:80]!r} twice.")
            yield from tape.blanks()
            keywords[key] = yield from literal_value(tape, PYTHON)

        tape.showing = True
        yield from listed(tape, ")", keyword)
        tape.showing = False
        return "{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in keywords.items()) + "}"


class BarePythonicReader(PythonicReader):
    """Reads text in which a list of calls has no markers.

    A bracket begins one if the name of an offered tool and another bracket follow, or, as the first thing of all, any
    name. Else it is text.
    """

    def script(self) -> Script[None]:
        """Read all of the text."""
        first = True
        while marker := (yield from self.text(self.markers.all)):
            if marker != "[":
                self.markup(len(marker))
            elif (yield from self._begins_calls(first=first and not self.said)):
                yield from self.frame("[", self.calls(), Bounds())
            else:
                self.let_out(self.tape.drop(1))
            first = False

    def _begins_calls(self, *, first: bool) -> Script[bool]:
        """Look whether a call follows the bracket that comes next."""
        ahead = yield from self.tape.look(re.compile(r"\[\s*([\w.-]*)\s*(.?)", re.DOTALL), _LONGEST_NAME)
        if ahead is None or ahead[2] != "(":
            return False
        return ahead[1] in self.tools or (first and bool(ahead[1]))


DIALECTS = (
    PythonicDialect("pythonic", dropped=("<|python_start|>", "<|python_end|>", "<|python_tag|>")),
    PythonicDialect("lfm2", "<|tool_call_start|>", "<|tool_call_end|>"),
)
