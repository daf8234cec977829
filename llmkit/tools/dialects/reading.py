"""What all readers share: text up to a marker, then a frame, and what becomes of a frame that is no call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.tools.dialects.base import CallBegun, CallEnded, CallUnreadable, MarkupPart, Part, TextPart
from llmkit.tools.dialects.tape import Broken, CutOff, Script, Tape, TooLong

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.tools.tool import Tool

_BLANK = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a frame that can't be read ends.

    Parameters
    ----------
    closings : tuple of str
        The first of these ends it, and belongs to it.
    stops : tuple of str
        Or the first of these, which doesn't.
    """

    closings: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()


class TapeReader(ABC):
    """A reader whose dialect says in :meth:`script` what comes after what.

    Parameters
    ----------
    tools : sequence of Tool
        Those offered.

    Attributes
    ----------
    said : bool
        Whether there was any text yet.
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.tape = Tape()
        self.said = False
        self._begun = ""
        self._blanks: list[str] = []
        self._beside_call = False
        self._opening = 0
        self._script = self.script()

    def feed(self, text: str) -> list[Part]:
        """Take the next piece of the model's text; return what is certain by now."""
        self.tape.push(text)
        next(self._script, None)
        return self.tape.found()

    def finish(self, *, complete: bool = True) -> list[Part]:
        """Return what was held back, now that nothing more comes."""
        self.tape.ended, self.tape.complete = True, complete
        for _ in self._script:  # it waits for nothing any more
            pass
        return self.tape.found()

    @abstractmethod
    def script(self) -> Script[None]:
        """Read all of the text."""

    # Text between frames

    def text(self, markers: tuple[str, ...]) -> Script[str]:
        """Let text out up to the first of some markers, which stays; return that marker, "" at the end."""
        while True:
            text, marker = self.tape.cut(markers)
            self.let_out(text)
            if marker:
                return marker
            if not (yield from self.tape.more()):
                self._let_out_blanks(beside_call=self._beside_call)
                return ""

    def let_out(self, text: str) -> None:
        """Tell text of the answer; blanks wait until it is clear whether they stand beside a call."""
        body = text.rstrip(_BLANK)
        if body:
            start = len(body) - len(body.lstrip(_BLANK))
            self._blanks.append(body[:start])
            self._let_out_blanks(beside_call=self._beside_call)
            self.tape.emit(TextPart(body[start:]))
            self._beside_call = False
            self.said = True
        self._blanks.append(text[len(body) :])

    def markup(self, size: int) -> None:
        """Take so many characters that are neither text nor call."""
        self._let_out_blanks(beside_call=True)
        self.tape.emit(MarkupPart(self.tape.drop(size)))
        self._beside_call = True

    def _let_out_blanks(self, *, beside_call: bool) -> None:
        blanks = "".join(self._blanks)
        self._blanks.clear()
        self.tape.emit(MarkupPart(blanks) if beside_call else TextPart(blanks))

    # Frames

    def frame(self, opening: str, script: Script[None], bounds: Bounds) -> Script[None]:
        """Read a frame.

        Parameters
        ----------
        opening : str
            The marker that begins it, and comes next on the tape.
        script : Script
            Reads what follows. If it finds that broken, the frame is an unreadable call, up to its bounds.
        bounds : Bounds
            Where that ends.
        """
        self._let_out_blanks(beside_call=True)
        self.tape.begin()
        self.tape.take(len(opening))
        self.opened()
        self._beside_call = True
        try:
            yield from script
        except Broken as why:
            yield from self._unreadable(why, bounds)
        self._begun = ""

    def opened(self) -> None:
        """Say that the markers before the call itself have been taken."""
        self._opening = self.tape.mark

    def call_begins(self, name: str) -> None:
        """Tell that a call of ``name`` was begun."""
        try:
            name.encode()
        except UnicodeEncodeError:
            raise Broken("Its name is no Unicode text.") from None
        self._begun = name
        self.tape.emit(CallBegun(name))

    def call_ends(self, arguments: str) -> None:
        """Tell the begun call with all that was taken for it; another may follow in the same frame."""
        self.tape.showing = False
        self.tape.emit(CallEnded(self._begun, arguments, self.tape.raw))
        self._begun = ""
        self.tape.begin()
        self._opening = 0

    def end_of_text(self) -> Script[bool]:
        """Whether the text ends here, with the call as good as whole because the model ended it by itself."""
        if (yield from self.tape.peek()):
            return False
        if not self.tape.complete:
            raise CutOff("It was cut off before its end.")
        return True

    def _unreadable(self, why: Broken, bounds: Bounds) -> Script[None]:
        tape = self.tape
        tape.showing = False
        # What is broken may have swallowed its end: a text without closing quotes does.
        tape.rewind(self._opening)
        try:
            found = yield from tape.until(bounds.closings + bounds.stops)
            if found in bounds.stops and not tape.mark:  # a frame without an opening: it holds at least this
                tape.take(len(found))
                found = yield from tape.until(bounds.closings + bounds.stops)
        except TooLong as too_long:
            tape.emit(CallUnreadable(str(too_long), tape.raw, self._begun))
            yield from self._skip(bounds)
            return
        if found in bounds.closings:
            tape.take(len(found), beyond=True)
        message = "It isn't whole." if found and isinstance(why, CutOff | TooLong) else str(why)
        tape.emit(CallUnreadable(message, tape.raw, self._begun))

    def _skip(self, bounds: Bounds) -> Script[None]:
        """Take the rest of a frame that is too long, without keeping it."""
        while True:
            text, found = self.tape.cut(bounds.closings + bounds.stops)
            self.tape.emit(MarkupPart(text))
            if found or not (yield from self.tape.more()):
                self.tape.emit(MarkupPart(self.tape.drop(len(found) if found in bounds.closings else 0)))
                return


@dataclass(frozen=True, slots=True)
class Markers:
    """The markers of a dialect that puts its calls between some.

    Parameters
    ----------
    openings, closing : tuple of str, str
        What begins a call and what ends it; no closing for models that just end.
    section : tuple of (str, str)
        What may stand around one call or several; the openings are then within.
    dropped : tuple of str
        Markers around the answer that are no part of it.
    """

    openings: tuple[str, ...]
    closing: str = ""
    section: tuple[str, str] | None = None
    dropped: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All of them, each once."""
        each = (*(self.section or ()), *self.openings, self.closing, *self.dropped)
        return tuple(dict.fromkeys(filter(None, each)))


class MarkedReader(TapeReader):
    """Reads text with calls between markers in it."""

    def __init__(self, markers: Markers, tools: Sequence[Tool]) -> None:
        super().__init__(tools)
        self.markers = markers
        self._openings = markers.openings + (markers.section[:1] if markers.section else ())
        self._closings = tuple(filter(None, (markers.closing, *(markers.section or ())[1:])))
        self._bounds = Bounds(self._closings, self._openings)

    def script(self) -> Script[None]:
        """Read all of the text."""
        while marker := (yield from self.text(self.markers.all)):
            if marker in self._openings:
                yield from self.frame(marker, self._opened(marker), self._bounds)
            else:
                self.markup(len(marker))

    @abstractmethod
    def call(self) -> Script[None]:
        """Read a call after its opening, its closing included."""

    def call_closes(self) -> Script[None]:
        """Take the end of a call: its closing, which may be left out at the end of the section or of the text."""
        yield from self.tape.blanks()
        if self.markers.closing and (yield from self.tape.accept(self.markers.closing)):
            return
        if not self._closings or (yield from self.tape.next_of(self._closings + self._openings)):
            return
        if not (yield from self.end_of_text()):
            raise Broken(f"There is {(yield from self.tape.peek())!r} after its end.")

    def _opened(self, marker: str) -> Script[None]:
        if self.markers.section and marker == self.markers.section[0] and marker not in self.markers.openings:
            yield from self.tape.blanks()
            if not (yield from self.tape.accept(*self.markers.openings)):
                yield from self.unopened()
                return
            self.opened()
        yield from self.call()

    def unopened(self) -> Script[None]:
        """Read what stands in a section without the opening of a call."""
        yield from self.nothing()

    def nothing(self) -> Script[None]:
        """Say why there is no call where one belongs."""
        if (yield from self.tape.next_of(self._closings)):
            raise Broken("It is empty.")
        character = yield from self.tape.peek()
        if not character:
            raise CutOff("It was cut off before its end.")
        raise Broken(f"There is {character!r} where a call belongs.")
