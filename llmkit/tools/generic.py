"""Tool calls for models that have no format of their own: a few lines of prompt, and a line to write before all else.

An answer begins with a line that names a tool, or says that words follow::

    Tool: get_weather({"city": "Tokyo"})

    Tool: answer
    The sky is blue because …

So even a very small model has one plain choice to make, at one place, and the decoder's grammar holds it to the tools
that there are and to their schemas. The line is shown to nobody.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmkit.messages import Message
from llmkit.tools.dialects.base import MarkupPart, literal
from llmkit.tools.dialects.grammar import alternatives, json_expression, repeated, rules
from llmkit.tools.dialects.json_scan import value
from llmkit.tools.dialects.reading import Bounds, TapeReader
from llmkit.tools.dialects.tape import Broken, CutOff, Script
from llmkit.tools.signature_text import signature_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.tools.dialects.base import Token
    from llmkit.tools.tool import Tool

_PREFIX = "Tool: "
_WORDS = "answer"
SPOKEN = f"{_PREFIX}{_WORDS}\n"
"""What stands before an answer in words."""

_OPENINGS = (_PREFIX, f"\n{_PREFIX}")
_LINE = re.compile(rf"{_PREFIX}([\w-]*)(.?)", re.DOTALL | re.ASCII)
_NAME = re.compile(r"[\w-]*", re.ASCII)
_LONGEST = 80

_EXAMPLES = (
    Message("user", "Good morning!"),
    Message("assistant", f"{SPOKEN}Good morning! How can I help you?"),
    Message("user", "What time is it in Rome?"),
    Message("assistant", f'{_PREFIX}get_time({{"city": "Rome"}})'),
    Message("user", "get_time is done. Result: 10:30"),
    Message("assistant", f"{SPOKEN}The time in Rome is 10:30."),
    Message("user", "Who painted the Mona Lisa?"),
    Message("assistant", f"{SPOKEN}Leonardo da Vinci painted it."),
    Message("user", "Book a room for two people."),
    Message("assistant", f'{_PREFIX}book_room({{"people": 2}})'),
    Message("user", 'book_room is done. Result: {"room": 7}'),
    Message("assistant", f"{SPOKEN}The room is number 7."),
)
"""What even the smallest models understand: two answers in words, and two calls with their results.

The wording was found by measuring how often SmolLM2-135M calls a tool that fits, leaves one that doesn't, and answers
once it has a result. The listing and the other texts below belong to it: measure again when you change one, and on
other questions than those it was chosen by.
"""


@dataclass(frozen=True, slots=True)
class GenericDialect:
    """The format for models without one; a :class:`~llmkit.tools.dialects.base.Dialect`."""

    name: str = "generic"
    markers: tuple[str, ...] = ()
    reasons: bool = False

    def reader(self, tools: Sequence[Tool]) -> GenericReader:
        """Return a reader for one answer."""
        return GenericReader(tools)

    def grammar(self, tools: Sequence[Tool], *, many: bool, token: Token = literal) -> str:  # noqa: ARG002 - no markers
        """Return Lark rules for calls and nothing else; see :meth:`llmkit.tools.dialects.base.Dialect.grammar`."""
        lines = [f'{literal(f"{_PREFIX}{tool.name}(")} {json_expression(tool.parameters)} ")"' for tool in tools]
        calls = repeated("calls_line", literal("\n"), many=many)
        return rules([("calls", calls), ("calls_line", alternatives(lines))])

    def messages(
        self, messages: Sequence[Message], tools: Sequence[Tool], *, system: bool = True
    ) -> tuple[Message, ...]:
        """Return the conversation as a template without tools can show it, with the tools and the format explained.

        Parameters
        ----------
        messages : sequence of Message
            The conversation.
        tools : sequence of Tool
            Those offered. Without any, calls and results of the past are shown and nothing is explained.
        system : bool
            Whether the template takes a system message; else the explanation goes into the first message of the user.
        """
        told = [message for message in messages if message.role == "system"]
        rest = [message for message in messages if message.role != "system"]
        shown = [_shown(message, framed=bool(tools), names=_names(messages)) for message in rest]
        if not tools:
            return (*told, *_joined(shown))
        section = "\n\n".join([*(message.text for message in told), _explain(tools)])
        first, *examples = _EXAMPLES
        if system:
            return (Message("system", section), first, *examples, *_joined(shown))
        return (replace(first, content=f"{section}\n\n{first.text}"), *examples, *_joined(shown))


def _explain(tools: Sequence[Tool]) -> str:
    lines = [f"{tool.name}({signature_text(tool.parameters)}) - {' '.join(tool.description.split())}" for tool in tools]
    listed = "\n".join(lines)
    return (
        f"Available tools:\n{listed}\n\n"
        f'Use a tool whenever it fits the question. Else say "{_PREFIX}{_WORDS}" and answer.'
    )


def _names(messages: Sequence[Message]) -> dict[str, str]:
    return {call.id: call.name for message in messages for call in message.tool_calls}


def _shown(message: Message, *, framed: bool, names: dict[str, str]) -> Message:
    if message.role == "tool":
        name = message.name or names.get(message.tool_call_id or "", "the tool")
        return Message("user", f"{name} is done. Result: {message.text}")
    if message.role != "assistant":
        return message
    calls = [f"{_PREFIX}{call.name}({json.dumps(call.arguments, ensure_ascii=False)})" for call in message.tool_calls]
    if not calls:
        return replace(message, content=SPOKEN + message.text) if framed else message
    words = [message.text] if message.text else []
    return replace(message, content="\n".join([*words, *calls]), tool_calls=())


def _joined(messages: Sequence[Message]) -> list[Message]:
    """Put neighbours of one role together: many templates insist on turns."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role == "user" and isinstance(message.content, str):
            joined[-1] = replace(joined[-1], content=f"{joined[-1].text}\n{message.content}")
        else:
            joined.append(message)
    return joined


class GenericReader(TapeReader):
    """Reads an answer in the generic format: lines with a call each, or one that says that words follow."""

    def script(self) -> Script[None]:
        """Read all of the text."""
        while opening := (yield from self.tape.next_of(_OPENINGS)):
            if opening != _PREFIX:
                self.markup(len(opening) - len(_PREFIX))
            line = yield from self.tape.look(_LINE, _LONGEST)
            if line is None:
                break
            name, then = line.groups()
            if name == _WORDS and then in {"\n", ""}:
                self.markup(len(line[0]))
                break
            if name and then == "(":
                yield from self.frame(_PREFIX, self._call(), Bounds(stops=(f"\n{_PREFIX}",)))
            elif not then and not self.tape.complete and not _WORDS.startswith(name):
                yield from self.frame(_PREFIX, self._cut_off(), Bounds())
            else:
                break
        if self.tape.ended and not self.tape.complete:
            self._drop_beginning()
        yield from self.text(())

    def _drop_beginning(self) -> None:
        """Leave out the beginning of a line that was cut off before it said anything."""
        rest = self.tape.drop(_LONGEST)
        if any(f"{opening}{_WORDS}".startswith(rest) for opening in _OPENINGS):
            self.tape.emit(MarkupPart(rest))
        else:
            self.let_out(rest)

    def _call(self) -> Script[None]:
        tape = self.tape
        start = tape.mark
        yield from tape.run(_NAME)
        self.call_begins(tape.since(start))
        tape.take(1)
        tape.showing = True
        arguments = "" if (yield from tape.peek()) == ")" else (yield from value(tape))
        tape.showing = False
        if not (yield from tape.accept(")")) and not (yield from self.end_of_text()):
            raise Broken(f"There is {(yield from tape.peek())!r} after its arguments.")
        self.call_ends(arguments)

    def _cut_off(self) -> Script[None]:
        yield from self.tape.run(_NAME)
        raise CutOff("It was cut off before its arguments.")
