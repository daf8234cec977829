"""Calls as JSON objects without markers: ``{"name": "f", "parameters": {…}}``, as Llama 3 writes them.

https://github.com/meta-llama/llama-models/blob/main/models/llama3_1/prompt_format.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.tools.dialects.base import literal
from llmkit.tools.dialects.grammar import alternatives, json_expression, repeated, rules
from llmkit.tools.dialects.json_calls import JsonReader
from llmkit.tools.dialects.json_scan import CallKeys
from llmkit.tools.dialects.reading import Bounds, Markers
from llmkit.tools.dialects.tape import Broken, Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.tools.dialects.base import Reader, Token
    from llmkit.tools.tool import Tool

_TAG = "<|python_tag|>"
_KEYS = CallKeys(("name", "function", "tool_name"), ("parameters", "arguments"))
_SEPARATOR = re.compile(r"\s*;?\s*")
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class BareJsonDialect:
    """JSON objects without markers, or behind ``<|python_tag|>``."""

    name: str = "llama3"
    reasons: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts that a tokenizer may hold as control tokens."""
        return (_TAG,)

    def reader(self, tools: Sequence[Tool]) -> Reader:
        """Return a reader for one answer."""
        return BareJsonReader(tools)

    def grammar(self, tools: Sequence[Tool], *, many: bool, token: Token = literal) -> str:  # noqa: ARG002
        """Return Lark rules that let a model write nothing but calls."""
        return rules(
            [
                ("calls", repeated("calls_one", literal("; "), many=many)),
                ("calls_one", alternatives([json_expression(_call_schema(tool)) for tool in tools])),
            ]
        )


def _call_schema(tool: Tool) -> dict[str, Any]:
    """Return the schema of a call: as JSON throughout, a call and another object may begin alike."""
    arguments = dict(tool.parameters)
    definitions: dict[str, Any] = {key: arguments.pop(key) for key in ("$defs", "definitions") if key in arguments}
    return {
        **definitions,
        "type": "object",
        "properties": {_KEYS.name[0]: {"enum": [tool.name]}, _KEYS.arguments[0]: arguments},
        "required": [_KEYS.name[0], _KEYS.arguments[0]],
        "additionalProperties": False,
    }


class BareJsonReader(JsonReader):
    """Reads text with such objects in it.

    An object is a call if its first keys name an offered tool; before any text also if they name another tool and its
    arguments. Else it is text.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        super().__init__(Markers((_TAG,)), tools, _KEYS)

    def script(self) -> Script[None]:
        """Read all of the text."""
        bounds = Bounds(stops=(_TAG, "\n{", "; {", ";{"))
        while marker := (yield from self.text((_TAG, "{"))):
            if marker == _TAG:
                yield from self.frame(_TAG, self.call(), bounds)
            elif (yield from self._is_call()):
                yield from self.frame("", self.call(), bounds)
            else:
                self.let_out(self.tape.drop(1))
                continue
            separator = yield from self.tape.look(_SEPARATOR, _LONGEST)
            if separator is not None and ";" in separator[0]:
                self.markup(len(separator[0]))

    def _is_call(self) -> Script[bool]:
        """Look whether the object that comes next is a call."""
        tape = self.tape
        tape.begin()
        try:
            return (yield from self._begins_call())
        except Broken:
            return False
        finally:
            tape.rewind(0)

    def _begins_call(self) -> Script[bool]:
        tape = self.tape
        tape.take(1)
        while True:
            key = yield from self._key(("type", "id", *_KEYS.name))
            if key == "function" and (yield from tape.accept("{")):
                continue
            text = yield from self._short_text()
            if key in _KEYS.name:
                break
            yield from self._expect(",")
        if text in self.tools:
            return True
        if self.said or not text:
            return False
        yield from self._expect(",")
        yield from self._key(_KEYS.arguments)
        return True

    def _key(self, keys: tuple[str, ...]) -> Script[str]:
        yield from self.tape.blanks()
        key = yield from self._expect(*(f'"{each}"' for each in keys))
        yield from self.tape.blanks()
        yield from self._expect(":")
        yield from self.tape.blanks()
        return key.strip('"')

    def _short_text(self) -> Script[str]:
        yield from self._expect('"')
        start = self.tape.mark
        while (yield from self.tape.peek()) not in {'"', "\\", ""} and self.tape.mark - start < _LONGEST:
            self.tape.take(1)
        text = self.tape.since(start)
        yield from self._expect('"')
        yield from self.tape.blanks()
        return text

    def _expect(self, *literals: str) -> Script[str]:
        found = yield from self.tape.accept(*literals)
        if not found:
            raise Broken("It is no call.")
        return found


DIALECTS = (BareJsonDialect(),)
