"""JSON on a tape: where a value ends, and the object that is a call.

Values are kept as text and read strictly later, by :func:`llmkit.tools.arguments.read_arguments`; here only their
extent is found, and what can't be JSON at all.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.tools.dialects.tape import Broken, CutOff, Script, Tape

if TYPE_CHECKING:
    from collections.abc import Callable

_IN_STRING = re.compile(r'[^"\\]*')
_SCALAR = re.compile(r"[\w.+-]*")
_BETWEEN = re.compile(r"[\s\w.+,:-]*")
_CLOSING = {"{": "}", "[": "]"}


def string(tape: Tape) -> Script[str]:
    """Take a JSON string; return its text, quotes included."""
    start = tape.mark
    tape.take(1)
    while True:
        yield from tape.run(_IN_STRING)
        match (yield from tape.peek()):
            case '"':
                tape.take(1)
                return tape.since(start)
            case "\\":
                tape.take(1)
                yield from tape.peek()
                tape.take(1)
            case _:
                raise CutOff("It was cut off within a text.")


def value(tape: Tape) -> Script[str]:
    """Take a JSON value; return its text."""
    start = tape.mark
    first = yield from tape.peek()
    if first == '"':
        return (yield from string(tape))
    if first not in _CLOSING:
        yield from tape.run(_SCALAR)
        if tape.mark == start:
            raise _unexpected(first, "where a value belongs")
        return tape.since(start)
    awaited: list[str] = []
    while True:
        character = yield from tape.peek()
        if character == '"':
            yield from string(tape)
        elif character in _CLOSING:
            awaited.append(_CLOSING[character])
            tape.take(1)
        elif awaited and character == awaited[-1]:
            awaited.pop()
            tape.take(1)
        else:
            raise _unexpected(character, "in JSON, outside of a text")
        if not awaited:
            return tape.since(start)
        yield from tape.run(_BETWEEN)


@dataclass(frozen=True, slots=True)
class CallKeys:
    """How the keys of a call's object are called.

    Parameters
    ----------
    name, arguments : tuple of str
        Of the tool's name and of its arguments; the first one is what the dialect is taught.
    """

    name: tuple[str, ...] = ("name", "function", "tool_name")
    arguments: tuple[str, ...] = ("arguments", "parameters")


CALL_KEYS = CallKeys()


def call_object(tape: Tape, keys: CallKeys, begin: Callable[[str], None]) -> Script[str]:
    """Take an object that is a call, such as ``{"name": "f", "arguments": {…}}``.

    Parameters
    ----------
    tape : Tape
        To read from.
    keys : CallKeys
        The object's keys; others are read over.
    begin : Callable
        Told the tool's name as soon as that is known.

    Returns
    -------
    str
        The arguments' JSON text.
    """
    reading = _CallObject(tape, keys, begin)
    yield from reading.read()
    if not reading.name:
        raise Broken("It names no tool.")
    if reading.arguments is None:
        raise Broken(f"It has no {keys.arguments[0]}.")
    return reading.arguments


class _CallObject:
    def __init__(self, tape: Tape, keys: CallKeys, begin: Callable[[str], None]) -> None:
        self._tape = tape
        self._keys = keys
        self._begin = begin
        self.name = ""
        self.arguments: str | None = None

    def read(self, *, within: bool = False) -> Script[None]:
        """Read the object; ``within`` another one, which OpenAI's form has: ``{"function": {"name": …}}``."""
        tape = self._tape
        if not (yield from tape.accept("{")):
            raise _unexpected((yield from tape.peek()), "where an object belongs")
        yield from tape.blanks()
        if (yield from tape.accept("}")):
            return
        while True:
            yield from self._member(within=within)
            yield from tape.blanks()
            match (yield from tape.accept(",", "}")):
                case "}":
                    return
                case "":
                    raise _unexpected((yield from tape.peek()), "after a value")
            yield from tape.blanks()

    def _member(self, *, within: bool) -> Script[None]:
        tape = self._tape
        if (first := (yield from tape.peek())) != '"':
            raise _unexpected(first, "where a key belongs")
        key = _text_of((yield from string(tape)))
        yield from tape.blanks()
        if not (yield from tape.accept(":")):
            raise _unexpected((yield from tape.peek()), "after a key")
        yield from tape.blanks()
        first = yield from tape.peek()
        if key == "function" and first == "{" and not within:
            yield from self.read(within=True)
        elif key in self._keys.name and first == '"':
            self._named(_text_of((yield from string(tape))))
        elif key in self._keys.arguments:
            yield from self._read_arguments()
        else:
            yield from value(tape)

    def _named(self, name: str) -> None:
        if self.name:
            raise Broken("It names its tool twice.")
        if not name:
            raise Broken("It names no tool.")
        self.name = name
        self._begin(name)
        if self.arguments is not None:
            self._tape.show_again(self.arguments)

    def _read_arguments(self) -> Script[None]:
        if self.arguments is not None:
            raise Broken("It has its arguments twice.")
        self._tape.showing = bool(self.name)
        text = yield from value(self._tape)
        self._tape.showing = False
        self.arguments = _text_of(text) if text.startswith('"') else text


def _text_of(literal: str) -> str:
    """Return what a JSON string says."""
    try:
        text: str = json.loads(literal)
    except ValueError as error:
        raise Broken(f"{literal[:80]} is no JSON text: {error.args[0].partition(':')[0]}.") from None
    return text


def _unexpected(character: str, where: str) -> Broken:
    if not character:
        return CutOff("It was cut off before its end.")
    return Broken(f"There is {character!r} {where}.")
