"""Calls whose name stands before their arguments' JSON, each behind a marker of its own.

``[TOOL_CALLS]f[ARGS]{…}``, ``<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{…}<|tool_call_end|>``, ….
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.tools.dialects.base import literal
from llmkit.tools.dialects.grammar import alternatives, json_expression, repeated, rules
from llmkit.tools.dialects.json_calls import JsonDialect, JsonReader
from llmkit.tools.dialects.json_scan import value
from llmkit.tools.dialects.reading import Markers
from llmkit.tools.dialects.tape import Broken, CutOff, Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.tools.dialects.base import Reader, Token
    from llmkit.tools.tool import Tool

_NAME = "{name}"


@dataclass(frozen=True, slots=True)
class NamedDialect:
    """A header with the name, then the arguments as a JSON object.

    Parameters
    ----------
    name : str
        The dialect's name.
    marked : Markers
        What stands around a call, and around all of them.
    header : tuple of str
        What is written between the opening and the arguments: markers, texts where ``{name}`` is the tool's, and
        patterns between slashes.
    pattern : re.Pattern
        What a header may look like, without blanks around it; its group is the name.
    footer : str
        What is written after the arguments.
    between : str
        What is written between two calls.
    """

    name: str
    marked: Markers
    header: tuple[str, ...]
    pattern: re.Pattern[str]
    footer: str = ""
    between: str = ""
    reasons: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts that a tokenizer may hold as control tokens."""
        return (*self.marked.all, *(each for each in self.header if _is_marker(each)))

    def reader(self, tools: Sequence[Tool]) -> Reader:
        """Return a reader for one answer."""
        return NamedReader(self, tools)

    def grammar(self, tools: Sequence[Tool], *, many: bool, token: Token = literal) -> str:
        """Return Lark rules that let a model write nothing but calls."""
        begin, end = self.marked.section or ("", "")
        calls = repeated("calls_one", literal(self.between), many=many)
        one = [token(self.marked.openings[0]), "calls_named", literal(self.footer)]
        if self.marked.closing:
            one.append(token(self.marked.closing))
        named = [f"{self._header(tool, token)} {json_expression(tool.parameters)}" for tool in tools]
        return rules(
            [
                ("calls", f"{token(begin)} {calls} {token(end)}" if begin else calls),
                ("calls_one", " ".join(one)),
                ("calls_named", alternatives(named)),
            ]
        )

    def _header(self, tool: Tool, token: Token) -> str:
        return " ".join(self._written(each, tool, token) for each in self.header)

    def _written(self, piece: str, tool: Tool, token: Token) -> str:
        if piece.startswith("/"):
            return piece
        return token(piece) if _is_marker(piece) else literal(piece.replace(_NAME, tool.name))


class NamedReader(JsonReader):
    """Reads text with such calls in it, and with the JSON objects that earlier models of a family wrote instead."""

    def __init__(self, dialect: NamedDialect, tools: Sequence[Tool]) -> None:
        super().__init__(dialect.marked, tools)
        self._pattern = dialect.pattern
        self._last = dialect.header[-1].replace(_NAME, "").strip()
        self._footer = dialect.footer.strip()

    def call(self) -> Script[None]:
        """Read a call after its opening."""
        tape = self.tape
        yield from tape.blanks()
        if (yield from tape.next_of(("[", "{"))):
            yield from super().call()
            return
        arguments = ""
        follows = yield from self._header()
        if not follows:
            yield from self.end_of_text()
        if follows == "{":
            tape.showing = True
            arguments = yield from value(tape)
            tape.showing = False
            yield from tape.blanks()
            if self._footer:
                yield from tape.accept(self._footer)
        yield from self.call_closes()
        self.call_ends(arguments)

    def _header(self) -> Script[str]:
        """Take what stands before the arguments; return what follows."""
        start = self.tape.mark
        follows = yield from self.tape.until(("{", *self._bounds.closings, *self._bounds.stops))
        header = self.tape.since(start).strip()
        match = self._pattern.fullmatch(header)
        if match is None or not (follows == "{" or header.endswith(self._last)):
            if not follows:
                raise CutOff("It was cut off before its arguments.")
            raise Broken(f"{header[:80]!r} isn't a tool's name before its arguments." if header else "It is empty.")
        self.call_begins(match[1])
        return follows


class MistralDialect(JsonDialect):
    """The list of objects that Mistral's models wrote until version 11 of their tokenizer; they are read both ways."""

    def reader(self, tools: Sequence[Tool]) -> Reader:
        """Return a reader for one answer."""
        return NamedReader(_MISTRAL_ARGS, tools)


def _is_marker(piece: str) -> bool:
    return piece[:1] in {"<", "["}


_MISTRAL_ARGS = NamedDialect(
    "mistral-args",
    Markers(("[TOOL_CALLS]",)),
    ("{name}", "[ARGS]"),
    re.compile(r"([^\s\[\]{}]+)\s*(?:\[CALL_ID\]\s*\w*\s*)?(?:\[ARGS\])?"),
)

DIALECTS = (
    MistralDialect("mistral", "[TOOL_CALLS]", listed=True),
    _MISTRAL_ARGS,
    NamedDialect(
        "kimi-k2",
        Markers(
            ("<|tool_call_begin|>",),
            "<|tool_call_end|>",
            ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
        ),
        ("functions.{name}:", "/[0-9]{1,3}/", "<|tool_call_argument_begin|>"),
        re.compile(r"(?:functions\.)?(\S+?)(?::\d+)?\s*<\|tool_call_argument_begin\|>"),
    ),
    NamedDialect(
        "deepseek-v3",
        Markers(("<｜tool▁call▁begin｜>",), "<｜tool▁call▁end｜>", ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")),
        ("function", "<｜tool▁sep｜>", "{name}\n```json\n"),
        re.compile(r"(?:function)?<｜tool▁sep｜>(\S+?)\s*(?:```(?:json)?)?"),
        footer="\n```",
        between="\n",
    ),
    NamedDialect(
        "deepseek-v3.1",
        Markers(("<｜tool▁call▁begin｜>",), "<｜tool▁call▁end｜>", ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")),
        ("{name}", "<｜tool▁sep｜>"),
        re.compile(r"(\S+?)<｜tool▁sep｜>"),
    ),
    NamedDialect("functionary", Markers(("<function=",), "</function>"), ("{name}>",), re.compile(r"([^\s<>]+)>")),
)
