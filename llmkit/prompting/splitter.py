"""What a model writes, split into text, reasoning and calls as it streams.

Markers are never shown, also when they are split over pieces; everything else comes out unchanged, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.engines.stops import overlap
from llmkit.tools.dialects.base import CallBegun, CallEnded, CallUnreadable, ReasoningPart, TextPart

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
    """

    def __init__(self, markers: Markers | None, *, inside: bool = False, reader: Reader | None = None) -> None:
        self._markers = markers
        self._inside = inside and markers is not None
        self._reader = reader
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
        if self._markers is None:
            self._emit(text, parts)
            return parts
        self._held += text
        while (marker := self._marker(self._markers)) in self._held:
            before, _, self._held = self._held.partition(marker)
            self._emit(before, parts)
            if self._calling:
                self._emit(marker, parts)
                continue
            self._inside = not self._inside
            self._strip = True
        keep = overlap(self._held, marker)
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
        elif self._reader is None:
            parts.append(TextPart(text))
        else:
            self._watch(self._reader.feed(text), parts)

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
