"""What a model writes, split into text, reasoning and calls as it streams.

Markers are never shown, also when they are split over pieces; everything else comes out unchanged, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.engines.stops import overlap
from llmkit.tools.dialects.base import CallBegun, CallEnded, CallUnreadable, MarkupPart, ReasoningPart, TextPart

if TYPE_CHECKING:
    from llmkit.tools.dialects.base import Part, Reader


@dataclass(frozen=True, slots=True)
class Markers:
    """The texts around a model's reasoning."""

    open: str = "<think>"
    close: str = "</think>"


class Splitter:
    """Tells reasoning from the answer, and in the answer calls from text.

    What looks like a call inside the reasoning is none, and what looks like reasoning inside a call is an argument.

    Parameters
    ----------
    markers : Markers, optional
        What the model puts around its reasoning; ``None`` if it has no reasoning, or ``reader`` tells it.
    inside : bool
        Whether the prompt already opened the reasoning.
    reader : Reader, optional
        Reads calls in the answer; ``None``: there are none, all is text.
    json : bool
        Whether the answer is JSON. Once it begins as JSON, and not as a call, all that follows is text: markers may
        well stand in its texts.
    """

    def __init__(
        self, markers: Markers | None, *, inside: bool = False, reader: Reader | None = None, json: bool = False
    ) -> None:
        self._markers = markers
        self._inside = inside and markers is not None
        self._reader = reader
        self._json = json
        self._unseen = ""
        self._calling = False
        self._thinking = False
        self._held = ""
        # The newlines that templates put after a marker are part of it, not of what follows.
        self._strip = self._inside

    @property
    def reasoning(self) -> bool:
        """Whether the model is reasoning now."""
        return self._inside or self._thinking

    def feed(self, text: str) -> list[Part]:
        """Take the next piece of the model's text; return what is certain by now."""
        parts: list[Part] = []
        self._held += text
        while self._markers is not None and (marker := self._marker(self._markers)) in self._held:
            before, _, self._held = self._held.partition(marker)
            self._emit(before, parts)
            if self._calling or self._markers is None:
                self._emit(marker, parts)
                continue
            self._inside = not self._inside
            self._strip = True
        keep = 0 if self._markers is None else overlap(self._held, self._marker(self._markers))
        sure = self._held[: len(self._held) - keep]
        self._held = self._held[len(sure) :]
        self._emit(sure, parts)
        return parts

    def finish(self, *, complete: bool = True) -> list[Part]:
        """Return what was held back, now that nothing more comes.

        Parameters
        ----------
        complete : bool
            Whether the model ended by itself; if not, a call that is still open is unreadable.
        """
        parts: list[Part] = []
        self._emit(self._held, parts)
        self._held = ""
        if self._reader is not None:
            parts += self._reader.finish(complete=complete)
        return parts

    def _marker(self, markers: Markers) -> str:
        return markers.close if self._inside else markers.open

    def _emit(self, text: str, parts: list[Part]) -> None:
        if self._strip:
            text = text.lstrip("\n")
            self._strip = not text
        if not text:
            return
        if self._inside:
            parts.append(ReasoningPart(text))
            return
        found: list[Part] = [TextPart(text)] if self._reader is None else self._reader.feed(text)
        if self._json:
            self._unseen += text
            self._look_for_json(found, parts)
        else:
            self._watch(found, parts)

    def _look_for_json(self, found: list[Part], parts: list[Part]) -> None:
        """Take parts up to the first that is no blank; if that begins as JSON, all the rest is text."""
        for at, part in enumerate(found):
            if isinstance(part, MarkupPart) or (isinstance(part, TextPart) and part.text.isspace()):
                parts.append(part)
                self._unseen = self._unseen[len(part.text) :]
                continue
            self._json = False
            if isinstance(part, TextPart) and part.text.lstrip()[:1] in {"{", "[", '"'}:
                self._reader = self._markers = None
                parts.append(TextPart(self._unseen))
            else:
                self._watch(found[at:], parts)
            return

    def _watch(self, found: list[Part], parts: list[Part]) -> None:
        for part in found:
            if isinstance(part, CallBegun):
                self._calling = True
            elif isinstance(part, CallEnded | CallUnreadable):
                self._calling = False
            if isinstance(part, ReasoningPart | TextPart):
                self._thinking = isinstance(part, ReasoningPart)
        parts += found


def markers_of(template: str | None) -> Markers | None:
    """Return the reasoning markers that a chat template speaks of, if any."""
    if template and "</think>" in template:
        return Markers()
    return None
