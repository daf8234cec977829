"""JSON that is still being written: what is certain of its value so far."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

_BLANKS = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER_CHARACTERS = re.compile(r"[-+.0-9eE]*")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_MOST_DIGITS = 4000


class Missing(Enum):
    """The type of :data:`MISSING`."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING
"""Stands for a value of which nothing is certain yet."""


class _Broken(Exception):
    """The text isn't JSON."""


@dataclass(slots=True)
class _Open:
    """An object or array that isn't closed yet.

    Parameters
    ----------
    value : dict or list
        What is in it so far; the open thing within it isn't.
    key : str or None
        In an object, the key whose value is being read.
    state : str
        What comes next: ``"first"``, ``"key"``, ``"colon"``, ``"value"`` or ``"after"``.
    """

    value: dict[str, Any] | list[Any]
    key: str | None = None
    state: str = "first"


@dataclass(slots=True)
class _Text:
    """A string that isn't closed yet: its pieces, and the half of a character that waits for the other."""

    pieces: list[str] = field(default_factory=list)
    high: int | None = None


class PartialJSON:
    """Reads a JSON text piece by piece, and tells its value so far.

    What is shown stays: strings grow, objects and arrays gain members, nothing is taken back (unless a key comes twice:
    then the later value counts, as in :func:`json.loads`). A number is shown once something follows it, a key together
    with its value. Reading a text takes time in proportion to its length, however it is cut into pieces.

    Text that isn't JSON ends the reading: :attr:`broken` is true, and the value stays as it was.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._stack: list[_Open] = []
        self._text: _Text | None = None
        self._done: Any = MISSING
        self._ended = False
        self._changes = 0
        self._elements: list[Any] = []
        self.broken = False
        """Whether the text turned out not to be JSON."""

    @property
    def complete(self) -> bool:
        """Whether the value is closed; of a bare number only :meth:`close` can tell."""
        return self._ended

    def feed(self, text: str) -> bool:
        """Read a piece.

        Returns
        -------
        bool
            Whether the value changed.
        """
        if self.broken:
            return False
        before = self._changes
        self._rest += text
        at = 0
        try:
            while (after := self._step(at)) is not None:
                at = after
        except _Broken:
            self.broken = True
        self._rest = self._rest[at:]
        return self._changes > before

    def close(self) -> bool:
        """Say that the text has ended, which makes a last number certain; return whether the value changed."""
        changed = bool(self._rest) and self._rest[0] in "-0123456789" and self._text is None and self.feed("\n")
        if not self._ended:
            self.broken = True
        return changed

    @property
    def value(self) -> Any:
        """The value so far, in plain JSON values, or :data:`MISSING`; it doesn't change when more is read."""
        shown: Any = self._done
        if self._text is not None and not self._is_key():
            shown = "".join(self._text.pieces)
        for level in reversed(self._stack):
            inner = shown
            shown = level.value.copy()
            if inner is not MISSING:
                if isinstance(shown, dict):
                    shown[level.key] = inner
                else:
                    shown.append(inner)
        return shown

    def take_elements(self) -> list[Any]:
        """Return the elements of a top-level array that were completed since the last call."""
        taken, self._elements = self._elements, []
        return taken

    def _is_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].state in {"first", "key"} and self._in_object()

    def _in_object(self) -> bool:
        return isinstance(self._stack[-1].value, dict)

    def _step(self, at: int) -> int | None:
        """Read one thing from a position on; return where it ends, ``None`` if more is needed."""
        if self._text is not None:
            return self._step_text(self._text, at)
        blanks = _BLANKS.match(self._rest, at)
        at = blanks.end() if blanks else at
        if at == len(self._rest):
            self._rest = ""
            return None
        character = self._rest[at]
        if self._ended:
            raise _Broken
        return self._step_within(self._stack[-1], character, at) if self._stack else self._step_value(character, at)

    def _step_within(self, level: _Open, character: str, at: int) -> int | None:
        in_object = self._in_object()
        expects_key = in_object and level.state in {"first", "key"}
        if character == ("}" if in_object else "]") and level.state in {"first", "after"}:
            self._stack.pop()
            self._put(level.value, grown=False)
        elif character == "," and level.state == "after":
            level.state = "key" if in_object else "value"
        elif character == '"' and expects_key:
            self._text = _Text()
        elif character == ":" and level.state == "colon":
            level.state = "value"
        elif level.state in {"first", "value"} and not expects_key:
            return self._step_value(character, at)
        else:
            raise _Broken
        return at + 1

    def _step_value(self, character: str, at: int) -> int | None:
        """Begin a value, or read a whole one if it is a number or word."""
        if character in "{[":
            self._stack.append(_Open({} if character == "{" else []))
            self._changes += 1
            return at + 1
        if character == '"':
            self._text = _Text()
            self._changes += 1
            return at + 1
        if character in _WORDS:
            word, value = _WORDS[character]
            found = self._rest[at : at + len(word)]
            if not word.startswith(found):
                raise _Broken
            if found != word:
                return None
            self._put(value)
            return at + len(word)
        return self._step_number(at)

    def _step_number(self, at: int) -> int | None:
        run = _NUMBER_CHARACTERS.match(self._rest, at)
        end = run.end() if run else at
        if end == at or end - at > _MOST_DIGITS:
            raise _Broken
        if end == len(self._rest):
            return None
        if not _NUMBER.fullmatch(self._rest, at, end):
            raise _Broken
        self._put(json.loads(self._rest[at:end]))
        return end

    def _step_text(self, text: _Text, at: int) -> int | None:
        """Read a run of plain characters, an escape or the closing quote."""
        plain = _PLAIN.match(self._rest, at)
        if plain and plain.end() > at:
            self._add(text, plain[0])
            return plain.end()
        if self._rest.startswith('"', at):
            self._end_text(text)
            return at + 1
        return self._step_escape(text, at) if at < len(self._rest) else None

    def _step_escape(self, text: _Text, at: int) -> int | None:
        if self._rest[at] != "\\":
            raise _Broken
        letter = self._rest[at + 1 : at + 2]
        if letter == "u":
            digits = self._rest[at + 2 : at + 6]
            if len(digits) < 4:
                return None
            if not _HEX.fullmatch(digits):
                raise _Broken
            self._add_code(text, int(digits, 16))
            return at + 6
        if letter and letter not in _ESCAPES:
            raise _Broken
        if letter:
            self._add(text, _ESCAPES[letter])
        return at + 2 if letter else None

    def _add_code(self, text: _Text, code: int) -> None:
        if text.high is not None and 0xDC00 <= code <= 0xDFFF:
            code = 0x10000 + ((text.high - 0xD800) << 10) + code - 0xDC00
            text.high = None
        if 0xD800 <= code <= 0xDBFF:
            self._add(text, "")
            text.high = code
        else:
            self._add(text, chr(code))

    def _add(self, text: _Text, piece: str) -> None:
        """Add characters; a first half of a character that came before them stays alone, as ``json.loads`` has it."""
        if text.high is not None:
            piece, text.high = chr(text.high) + piece, None
        if piece:
            text.pieces.append(piece)
            self._changes += not self._is_key()

    def _end_text(self, text: _Text) -> None:
        self._add(text, "")
        self._text = None
        value = "".join(text.pieces)
        if self._is_key():
            level = self._stack[-1]
            level.key, level.state = value, "colon"
        else:
            self._put(value, grown=False)

    def _put(self, value: Any, *, grown: bool = True) -> None:
        """Put a whole value where it belongs; ``grown`` if it wasn't shown before."""
        self._changes += grown
        if not self._stack:
            self._done, self._ended = value, True
            return
        level = self._stack[-1]
        if isinstance(level.value, list):
            level.value.append(value)
            if len(self._stack) == 1:
                self._elements.append(value)
        elif level.key is not None:
            level.value[level.key] = value
            level.key = None
        level.state = "after"


def partial(text: str) -> Any:
    """Return what is certain of the value of the beginning of a JSON text, or :data:`MISSING`."""
    reader = PartialJSON()
    reader.feed(text)
    return reader.value
