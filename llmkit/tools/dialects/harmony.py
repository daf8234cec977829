"""OpenAI's harmony, as gpt-oss writes it: messages with a channel each, reasoning among them.

``<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json``
``<|message|>{…}<|call|>``. https://cookbook.openai.com/articles/openai-harmony
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.tools.dialects.base import MarkupPart, ReasoningPart, literal
from llmkit.tools.dialects.grammar import alternatives, json_expression, rules
from llmkit.tools.dialects.json_scan import value
from llmkit.tools.dialects.reading import Bounds, TapeReader
from llmkit.tools.dialects.tape import Broken, CutOff, Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.tools.dialects.base import Reader, Token
    from llmkit.tools.tool import Tool

_START, _CHANNEL, _MESSAGE, _CONSTRAIN = "<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"
_ENDS = ("<|end|>", "<|call|>", "<|return|>")
_RECIPIENT = re.compile(r"to=([^\s<]+)")
_CHANNEL_NAME = re.compile(r"<\|channel\|>\s*(\w+)")
_REPLY = re.compile(r"\s*(?:t(?:o(?:=)?)?)?")


@dataclass(frozen=True, slots=True)
class HarmonyDialect:
    """Messages with channels; the one that calls a tool is the last of an answer."""

    name: str = "harmony"
    reasons: bool = True

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts that a tokenizer may hold as control tokens."""
        return (_START, _CHANNEL, _MESSAGE, _CONSTRAIN, *_ENDS)

    def reader(self, tools: Sequence[Tool]) -> Reader:
        """Return a reader for one answer."""
        return HarmonyReader(tools)

    def grammar(self, tools: Sequence[Tool], *, many: bool, token: Token = literal) -> str:  # noqa: ARG002 - ends after one
        """Return Lark rules that let a model write nothing but reasoning and then one call."""
        thought = f'{token(_CHANNEL)} "analysis" {token(_MESSAGE)} calls_thought {token(_ENDS[0])}'
        calls = [
            f"{token(_CHANNEL)} {literal(f'commentary to=functions.{tool.name} ')} {token(_CONSTRAIN)} "
            f'"json" {token(_MESSAGE)} {json_expression(tool.parameters)}'
            for tool in tools
        ]
        return rules(
            [
                ("calls", f'( {thought} {token(_START)} "assistant" )? calls_one'),
                ("calls_thought", "/[^<]*/"),
                ("calls_one", alternatives(calls)),
            ]
        )

    def before_words(self, token: Token = literal) -> str:
        """Return the Lark expression for what stands before the words of an answer: reasoning, and their header."""
        thought = f'{token(_CHANNEL)} "analysis" {token(_MESSAGE)} /[^<]*/ {token(_ENDS[0])}'
        return f'( {thought} {token(_START)} "assistant" )? {token(_CHANNEL)} "final" {token(_MESSAGE)}'


class HarmonyReader(TapeReader):
    """Reads messages: their headers, and what they say."""

    def script(self) -> Script[None]:
        """Read all of the text."""
        ahead = yield from self.tape.look(_REPLY, 40)
        if ahead is not None and "to=" in ahead[0]:
            yield from self._message("")
        while marker := (yield from self.text((_START, _CHANNEL, _MESSAGE, *_ENDS))):
            if marker in _ENDS:
                self.markup(len(marker))
            else:
                yield from self._message(marker)

    def _message(self, marker: str) -> Script[None]:
        yield from self.frame(marker, self._header(marker), Bounds(_ENDS, (_START,)))

    def _header(self, marker: str) -> Script[None]:
        """Read the rest of a message's header, and what it says unless that is text of the answer."""
        tape = self.tape
        found = "" if marker == _MESSAGE else (yield from tape.until((_MESSAGE, *_ENDS)))
        header = tape.raw
        recipient = _RECIPIENT.search(header)
        if recipient is not None and not found:
            raise CutOff("It was cut off before its arguments.")
        tape.take(len(_MESSAGE) if found == _MESSAGE else 0)
        if recipient is not None and found == _MESSAGE:
            yield from self._call(recipient[1].removeprefix("functions."))
            return
        tape.emit_taken()
        channel = _CHANNEL_NAME.search(header)
        if channel is not None and channel[1] == "analysis" and found == _MESSAGE:
            yield from self._thought()

    def _call(self, name: str) -> Script[None]:
        tape = self.tape
        self.call_begins(name)
        start = tape.mark
        tape.showing = True
        try:
            yield from self._object()
        except Broken:  # then it is no JSON, and ends at the first marker
            tape.rewind(start)
        found = yield from tape.until((*_ENDS, _START, _CHANNEL))
        tape.showing = False
        arguments = tape.since(start).strip()
        if not found:
            yield from self.end_of_text()
        tape.take(len(found) if found in _ENDS else 0)
        self.call_ends(arguments)

    def _object(self) -> Script[None]:
        """Take arguments that are JSON, which may have markers in its texts, up to a marker or the end."""
        tape = self.tape
        yield from tape.blanks()
        yield from value(tape)
        yield from tape.blanks()
        if not (yield from tape.next_of((*_ENDS, _START, _CHANNEL))) and (yield from tape.peek()):
            raise Broken("It is no JSON.")

    def _thought(self) -> Script[None]:
        tape = self.tape
        while True:
            text, marker = tape.cut((*_ENDS, _START, _CHANNEL))
            tape.emit(ReasoningPart(text))
            if marker or not (yield from tape.more()):
                tape.emit(MarkupPart(tape.drop(len(marker) if marker in _ENDS else 0)))
                return


DIALECTS = (HarmonyDialect(),)
