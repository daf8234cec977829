"""Values in a notation that is nearly JSON, read from a tape and told as JSON text.

Nothing is evaluated. What the notation allows beyond JSON is named in :class:`Notation`; what JSON has no form for
(bytes, complex numbers, names) is refused.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.tools.arguments import MAX_DEPTH
from llmkit.tools.dialects.tape import Broken, CutOff, Script, Tape

if TYPE_CHECKING:
    from collections.abc import Callable

_WORD = re.compile(r"[\w.+-]*")
_BARE = re.compile(r"[^,:{}\[\]<>\"'\n]*")
_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_NAMES = {"True": "true", "False": "false", "None": "null", "true": "true", "false": "false", "null": "null"}
_ESCAPE = re.compile(
    r"\\(?:(\n)|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|([abfnrtv\\'\"/]))", re.ASCII
)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Notation:
    """How values are written.

    Parameters
    ----------
    quotes : tuple of str
        What stands around texts with escapes.
    delimiter : str
        What stands around texts without escapes; "" if there are none.
    bare : bool
        Whether keys, and texts without special characters, may stand without quotes.
    sets : bool
        Whether there are tuples and sets, which become lists.
    """

    quotes: tuple[str, ...]
    delimiter: str = ""
    bare: bool = False
    sets: bool = False


PYTHON = Notation(('"""', "'''", '"', "'"), sets=True)
"""Python's literals, and JSON's names for true, false and null."""


def literal_value(tape: Tape, notation: Notation, depth: int = 0) -> Script[str]:
    """Take a value; return it as JSON text.

    Parameters
    ----------
    tape : Tape
        To read from; a value comes next, without blanks before it.
    notation : Notation
        How it is written.
    depth : int
        How deep it is nested.
    """
    if depth > MAX_DEPTH:
        raise Broken(f"It is nested deeper than {MAX_DEPTH} levels.")
    text = yield from _text(tape, notation)
    if text is not None:
        return json.dumps(text, ensure_ascii=False)
    match (yield from tape.accept("{", "[", *("(",) * notation.sets)):
        case "[":
            return (yield from _items(tape, notation, depth, "]"))
        case "(":
            return (yield from _items(tape, notation, depth, ")"))
        case "{":
            return (yield from _members(tape, notation, depth))
    return (yield from _scalar(tape, notation))


def listed(tape: Tape, end: str, item: Callable[[], Script[None]]) -> Script[None]:
    """Take items with commas between them, and what ends them."""
    yield from tape.blanks()
    while not (yield from tape.accept(end)):
        yield from item()
        yield from tape.blanks()
        if not (yield from tape.accept(",")) and not (yield from tape.next_of((end,))):
            raise unexpected((yield from tape.peek()), f"where ',' or {end!r} belongs")
        yield from tape.blanks()


def unexpected(character: str, where: str) -> Broken:
    """Return what to raise for a character that doesn't belong where it is, or for the end of the text."""
    if not character:
        return CutOff("It was cut off before its end.")
    return Broken(f"There is {character!r} {where}.")


def _items(tape: Tape, notation: Notation, depth: int, end: str) -> Script[str]:
    items: list[str] = []

    def item() -> Script[None]:
        items.append((yield from literal_value(tape, notation, depth + 1)))

    yield from listed(tape, end, item)
    return f"[{', '.join(items)}]"


def _members(tape: Tape, notation: Notation, depth: int) -> Script[str]:
    """Take what follows ``{``: the members of an object, or the items of a set."""
    members: list[str] = []
    items: list[str] = []

    def member() -> Script[None]:
        if notation.bare:
            key = yield from literal_key(tape, notation)
        else:
            key = yield from literal_value(tape, notation, depth + 1)
        yield from tape.blanks()
        if notation.sets and not members and not (yield from tape.next_of((":",))):
            items.append(key)
            return
        if items or not (yield from tape.accept(":")):
            raise unexpected((yield from tape.peek()), "where ':' belongs")
        if not key.startswith('"'):
            raise Broken(f"The key {key[:80]} isn't a text.")
        yield from tape.blanks()
        members.append(f"{key}: {(yield from literal_value(tape, notation, depth + 1))}")

    yield from listed(tape, "}", member)
    return f"[{', '.join(items)}]" if items else f"{{{', '.join(members)}}}"


def literal_key(tape: Tape, notation: Notation) -> Script[str]:
    """Take a key, with or without quotes; return it as JSON text."""
    text = yield from _text(tape, notation)
    if text is None:
        start = tape.mark
        yield from tape.run(_WORD)
        text = tape.since(start)
        if not text:
            raise unexpected((yield from tape.peek()), "where a key belongs")
    return json.dumps(text, ensure_ascii=False)


def _text(tape: Tape, notation: Notation) -> Script[str | None]:
    """Take a text in quotes; return it, or ``None`` if none comes."""
    quote = yield from tape.accept(*notation.quotes, *filter(None, (notation.delimiter,)))
    if not quote:
        return None
    start = tape.mark
    plain = quote == notation.delimiter
    while True:
        found = yield from tape.until((quote,) if plain else (quote, "\\"))
        if not found:
            raise CutOff("It was cut off within a text.")
        if found == quote:
            text = tape.since(start)
            tape.take(len(quote))
            return text if plain else _unescaped(text)
        tape.take(1)
        yield from tape.peek()
        tape.take(1)


def _unescaped(text: str) -> str:
    """Return what a text with Python's or JSON's escapes says; unknown escapes stay as they are."""
    result = _ESCAPE.sub(_unescape, text)
    try:
        # JSON writes characters beyond the 16-bit ones as two escapes.
        return result.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise Broken("It holds half of a surrogate pair, which is no text.") from None


def _unescape(match: re.Match[str]) -> str:
    line, byte, short, long, octal, letter = match.groups()
    if line:
        return ""
    if letter:
        return _ESCAPED.get(letter, letter)
    code = int(octal, 8) if octal else int(byte or short or long, 16)
    if code > 0x10FFFF:
        raise Broken(f"{match[0]} is no character.")
    return chr(code)


def _scalar(tape: Tape, notation: Notation) -> Script[str]:
    start = tape.mark
    yield from tape.run(_BARE if notation.bare else _WORD)
    word = tape.since(start).strip()
    if not word:
        raise unexpected((yield from tape.peek()), "where a value belongs")
    if word in _NAMES:
        return _NAMES[word]
    number = _number(word)
    if number is None and notation.bare:
        return json.dumps(word, ensure_ascii=False)
    if number is None:
        raise Broken(f"{word[:80]!r} is no value.")
    return number


def _number(word: str) -> str | None:
    """Return a number as JSON writes it: also ``007``, ``1_000``, ``0xff``, ``.5``."""
    if _JSON_NUMBER.fullmatch(word):
        return word
    for base in (10, 0):
        try:
            return str(int(word, base))
        except ValueError:
            continue
    try:
        value = float(word)
    except ValueError:
        return None
    return repr(value) if math.isfinite(value) else None
