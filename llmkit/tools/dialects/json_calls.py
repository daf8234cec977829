"""Calls as JSON objects between markers: what Hermes began, and most models write in one form or another.

One object a frame, ``<tool_call>{"name": "f", "arguments": {…}}</tool_call>``; or a list of them, or several below each
other. A reader takes all three, whatever its dialect is taught.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.tools.dialects.base import literal
from llmkit.tools.dialects.grammar import alternatives, json_expression, repeated, rules
from llmkit.tools.dialects.json_scan import CALL_KEYS, CallKeys, call_object
from llmkit.tools.dialects.reading import MarkedReader, Markers
from llmkit.tools.dialects.tape import Broken, Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.tools.dialects.base import Reader, Token
    from llmkit.tools.tool import Tool


@dataclass(frozen=True, slots=True)
class JsonDialect:
    """JSON objects between markers.

    Parameters
    ----------
    name : str
        The dialect's name.
    opening, closing : str
        The markers; no closing one for models that just end.
    listed : bool
        Whether all calls stand as a list in one frame.
    padding : str
        What stands between markers and calls, and between calls that aren't listed.
    keys : CallKeys
        The keys of an object.
    others : tuple of str
        Further openings that models of the family write.
    dropped : tuple of str
        Markers around the answer that are no part of it.
    """

    name: str
    opening: str
    closing: str = ""
    listed: bool = False
    padding: str = ""
    keys: CallKeys = CALL_KEYS
    others: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    reasons: bool = False

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts that a tokenizer may hold as control tokens."""
        return self._marked.all

    def reader(self, tools: Sequence[Tool]) -> Reader:
        """Return a reader for one answer."""
        return JsonReader(self._marked, tools, self.keys)

    def grammar(self, tools: Sequence[Tool], *, many: bool, token: Token = literal) -> str:
        """Return Lark rules that let a model write nothing but calls."""
        begin = f"{token(self.opening)} {literal(self.padding + '[' * self.listed)}"
        end = literal("]" * self.listed + self.padding) + (f" {token(self.closing)}" if self.closing else "")
        if self.listed:
            whole = f"{begin} {repeated('calls_one', literal(', '), many=many)} {end}"
            return rules([("calls", whole), ("calls_one", call_expression(tools, self.keys))])
        frame = f"{begin} calls_object {end}"
        return rules(
            [
                ("calls", repeated("calls_one", literal(self.padding), many=many)),
                ("calls_one", frame),
                ("calls_object", call_expression(tools, self.keys)),
            ]
        )

    @property
    def _marked(self) -> Markers:
        return Markers((self.opening, *self.others), self.closing, dropped=self.dropped)


def call_expression(tools: Sequence[Tool], keys: CallKeys) -> str:
    """Return the Lark expression for an object that is a call of one of the tools."""
    return alternatives(
        [
            literal(f'{{"{keys.name[0]}": "{tool.name}", "{keys.arguments[0]}": ')
            + f" {json_expression(tool.parameters)} "
            + literal("}")
            for tool in tools
        ]
    )


class JsonReader(MarkedReader):
    """Reads text with frames of JSON objects in it."""

    def __init__(self, markers: Markers, tools: Sequence[Tool], keys: CallKeys = CALL_KEYS) -> None:
        super().__init__(markers, tools)
        self._keys = keys

    def call(self) -> Script[None]:
        """Read what follows an opening: an object, several, or a list of them."""
        tape = self.tape
        yield from tape.blanks()
        if (yield from tape.accept("[")):
            yield from self._listed()
        elif not (yield from tape.next_of(("{",))):
            yield from self.nothing()
        else:
            yield from self._objects()

    def unopened(self) -> Script[None]:
        """Read what stands in a section without the opening of a call: objects, if anything."""
        yield from JsonReader.call(self)

    def _objects(self) -> Script[None]:
        another = True
        while another:
            arguments = yield from call_object(self.tape, self._keys, self.call_begins)
            yield from self.tape.blanks()
            another = bool((yield from self.tape.next_of(("{",))))
            if not another:
                yield from self.call_closes()
            self.call_ends(arguments)

    def _listed(self) -> Script[None]:
        tape = self.tape
        yield from tape.blanks()
        if (yield from tape.next_of(("]",))):
            raise Broken("It is empty.")
        while True:
            arguments = yield from call_object(tape, self._keys, self.call_begins)
            yield from tape.blanks()
            follows = yield from tape.next_of((",", "]"))
            if not follows and not (yield from self.end_of_text()):
                raise Broken(f"There is {(yield from tape.peek())!r} after its end.")
            self.call_ends(arguments)
            if follows != ",":
                self.markup(len(follows))
                return
            tape.take(1)
            yield from tape.blanks()


HERMES = JsonDialect("hermes", "<tool_call>", "</tool_call>", padding="\n")
"""Hermes 2 Pro and 3, Qwen 2.5 and 3, Granite 4, and many more.

https://github.com/NousResearch/Hermes-Function-Calling
"""

DIALECTS = (
    HERMES,
    JsonDialect("granite", "<|tool_call|>", listed=True, others=("<tool_call>",)),
    JsonDialect("phi4", "<|tool_call|>", "<|/tool_call|>", listed=True, others=("functools",)),
    JsonDialect("functools", "functools", listed=True, dropped=("<|tool_call|>",)),
    JsonDialect("nemotron", "<TOOLCALL>", "</TOOLCALL>", listed=True),
    JsonDialect("apriel", "<tool_calls>", "</tool_calls>", listed=True),
    JsonDialect("minimax-m1", "<tool_calls>", "</tool_calls>", padding="\n"),
    JsonDialect(
        "command-r7b",
        "<|START_ACTION|>",
        "<|END_ACTION|>",
        listed=True,
        keys=CallKeys(("tool_name", "name"), ("parameters", "arguments")),
        dropped=("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"),
    ),
)
