"""Text that arrives in pieces, read as if it were all there.

What reads is a generator: it says what it wants next and yields when that hasn't come yet. So a reader is written down
in the order of what it reads, holds no more than it must to decide, and decides the same however the text was cut.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from llmkit.engines.stops import overlap
from llmkit.tools.dialects.base import MAX_FRAME, CallInput, MarkupPart, Part, ReasoningPart, TextPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Result = TypeVar("Result")
Script: TypeAlias = Generator[None, None, Result]
"""Reads from a tape and yields whenever it must wait for more of it."""

BLANKS = re.compile(r"[ \t\r\n]*")

_PIECES = (TextPart, ReasoningPart, MarkupPart, CallInput)


class Broken(Exception):
    """What was read is no call; the message says why."""


class CutOff(Broken):
    """The text ended within a call."""


class TooLong(Broken):
    """The call got longer than it may be."""


class Tape:
    """The text to read, what was read of the current frame, and what was found.

    Attributes
    ----------
    ended, complete : bool
        Whether all text has come, and whether the model ended it by itself.
    showing : bool
        Whether what is taken shows as the arguments of a call.
    """

    def __init__(self) -> None:
        self.ended = False
        self.complete = True
        self.showing = False
        self._text = ""
        self._at = 0
        self._frame: list[str] = []
        self._room = MAX_FRAME
        self._shown = 0  # how much of the frame from its start, in characters
        self._taken = 0
        self._found: list[Part] = []

    def push(self, text: str) -> None:
        """Add a piece of text."""
        self._text = self._text[self._at :] + text
        self._at = 0

    def found(self) -> list[Part]:
        """Return what was found since the last time; pieces of text that follow each other become one."""
        parts, self._found = self._found, []
        return merged(parts)

    def emit(self, part: Part) -> None:
        """Tell a part; one without text is left out."""
        if not isinstance(part, _PIECES) or part.text:
            self._found.append(part)

    # What comes next

    def more(self) -> Script[bool]:
        """Wait for more text; return whether any can still come."""
        if self.ended:
            return False
        yield
        return True

    def peek(self) -> Script[str]:
        """Return the next character, "" at the end."""
        while self._at == len(self._text):
            if not (yield from self.more()):
                return ""
        return self._text[self._at]

    def next_of(self, literals: Sequence[str]) -> Script[str]:
        """Return which of some texts comes next, the longest if several do, "" if none does."""
        longest = max(map(len, literals), default=0)
        while True:
            ahead = self._text[self._at : self._at + longest]
            undecided = any(len(ahead) < len(each) and each.startswith(ahead) for each in literals)
            if not undecided or not (yield from self.more()):
                return max((each for each in literals if ahead.startswith(each)), key=len, default="")

    def look(self, pattern: re.Pattern[str], longest: int) -> Script[re.Match[str] | None]:
        """Match what comes next, as soon as the match no longer reaches the end of what has come.

        Parameters
        ----------
        pattern : re.Pattern
            What to match.
        longest : int
            At most so many characters are waited for; with all of them matched there is no match.
        """
        while True:
            match = pattern.match(self._text, self._at, self._at + longest)
            if match is None or match.end() < len(self._text):
                return match if match is not None and match.end() - match.start() < longest else None
            if match.end() - match.start() >= longest:
                return None
            if not (yield from self.more()):
                return match

    # Outside of frames

    def cut(self, markers: tuple[str, ...]) -> tuple[str, str]:
        """Take the text before the first of some markers.

        Returns
        -------
        text, marker : str
            The text, off the tape, and the marker that comes next. Without one: what can't be part of one. No marker
            may be the beginning of another.
        """
        found = _any_of(markers).search(self._text, self._at)
        if found is not None:
            end, marker = found.start(), found[0]
        else:
            tail = self._text[max(self._at, len(self._text) - max(map(len, markers), default=0)) :]
            held = 0 if self.ended else max((overlap(tail, each) for each in markers), default=0)
            end, marker = len(self._text) - held, ""
        text = self._text[self._at : end]
        self._at = end
        return text, marker

    def drop(self, size: int) -> str:
        """Take so many characters that have come."""
        text = self._text[self._at : self._at + size]
        self._at += len(text)
        return text

    # Within a frame: all that is taken is kept

    def begin(self) -> None:
        """Begin a frame."""
        self._frame, self._room, self._shown, self._taken = [], MAX_FRAME, 0, 0
        self.showing = False

    @property
    def raw(self) -> str:
        """All that was taken since the frame began."""
        return "".join(self._frame)

    def emit_taken(self) -> None:
        """Tell what was taken as no part of a call, and begin the frame anew."""
        self.emit(MarkupPart(self.raw))
        self.begin()

    @property
    def mark(self) -> int:
        """The place in the frame, for :meth:`since` and :meth:`rewind`."""
        return len(self._frame)

    def since(self, mark: int) -> str:
        """Return what was taken since then."""
        return "".join(self._frame[mark:])

    def rewind(self, mark: int) -> None:
        """Put back on the tape what was taken since then."""
        text = self.since(mark)
        del self._frame[mark:]
        self._room += _size(text)
        self._taken -= len(text)
        if len(text) <= self._at:
            self._at -= len(text)
        else:
            self._text, self._at = text + self._text[self._at :], 0

    def take(self, size: int, *, beyond: bool = False) -> None:
        """Take so many characters that have come; ``beyond`` the limit too.

        Raises
        ------
        TooLong
            If the frame gets longer than it may be; up to there it was taken.
        """
        text = self._text[self._at : self._at + size]
        fitting = text if beyond or len(text) * 4 <= self._room else _fitting(text, self._room)
        self._at += len(fitting)
        self._room -= _size(fitting)
        if fitting:
            self._frame.append(fitting)
            self._show(fitting)
        if len(fitting) < len(text):
            raise TooLong(f"It is longer than {MAX_FRAME >> 20} MiB.")

    def run(self, pattern: re.Pattern[str]) -> Script[None]:
        """Take all characters that fit a pattern of one character class, repeated."""
        while True:
            match = pattern.match(self._text, self._at)
            if match is not None:
                self.take(match.end() - match.start())
            if self._at < len(self._text) or not (yield from self.more()):
                return

    def blanks(self) -> Script[None]:
        """Take blanks and line ends."""
        yield from self.run(BLANKS)

    def accept(self, *literals: str) -> Script[str]:
        """Take one of some texts if it comes next; return it, or ""."""
        found = yield from self.next_of(literals)
        self.take(len(found))
        return found

    def until(self, literals: tuple[str, ...]) -> Script[str]:
        """Take what comes before the first of some texts, which stays; return that text, "" at the end."""
        while True:
            start = self._at
            text, found = self.cut(literals)
            self._at = start
            self.take(len(text))
            if found or not (yield from self.more()):
                return found

    def show_again(self, text: str) -> None:
        """Show arguments that were taken before their tool was known."""
        self.emit(CallInput(text))

    def _show(self, text: str) -> None:
        """Show what was taken, once, also if it is taken again after a rewind."""
        before = self._taken
        self._taken += len(text)
        if self.showing:
            self.emit(CallInput(text[max(0, self._shown - before) :]))
            self._shown = max(self._shown, self._taken)


def merged(parts: Iterable[Part]) -> list[Part]:
    """Return parts with pieces of one kind that follow each other put together."""
    result: list[Part] = []
    for kind, group in groupby(parts, type):
        if issubclass(kind, _PIECES):
            result.append(kind("".join(each.text for each in group if isinstance(each, _PIECES))))
        else:
            result.extend(group)
    return result


@cache
def _any_of(literals: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, literals)) or r"(?!)")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _fitting(text: str, room: int) -> str:
    """Return as much of the beginning of a text as has ``room`` bytes."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= room:
        return text
    end = room
    while end and encoded[end] & 0xC0 == 0x80:  # within a character
        end -= 1
    return encoded[:end].decode("utf-8", "surrogatepass")
