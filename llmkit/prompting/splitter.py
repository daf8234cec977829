"""What a model writes, split into text and reasoning as it streams.

Markers are never shown, also when they are split over pieces; everything else comes out unchanged, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llmkit.engines.stops import overlap

Kind = Literal["text", "reasoning"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of what the model wrote, and what it is."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Markers:
    """The texts around a model's reasoning."""

    open: str = "<think>"
    close: str = "</think>"


class Splitter:
    """Tells text from reasoning.

    Parameters
    ----------
    markers : Markers, optional
        What the model puts around its reasoning; ``None`` if it has no reasoning: all is text.
    inside : bool
        Whether the prompt already opened the reasoning.
    """

    def __init__(self, markers: Markers | None, *, inside: bool = False) -> None:
        self._markers = markers
        self._inside = inside and markers is not None
        self._held = ""
        # The newlines that templates put after a marker are part of it, not of what follows.
        self._strip = self._inside

    @property
    def reasoning(self) -> bool:
        """Whether the model is reasoning now."""
        return self._inside

    def feed(self, text: str) -> list[Piece]:
        """Take the next piece of the model's text; return what is certain by now."""
        if self._markers is None:
            return [Piece("text", text)] if text else []
        self._held += text
        pieces: list[Piece] = []
        while (marker := self._marker()) in self._held:
            before, _, self._held = self._held.partition(marker)
            self._emit(before, pieces)
            self._inside = not self._inside
            self._strip = True
        keep = overlap(self._held, self._marker())
        sure = self._held[: len(self._held) - keep]
        self._held = self._held[len(sure) :]
        self._emit(sure, pieces)
        return pieces

    def finish(self) -> list[Piece]:
        """Return what was held back, now that nothing more comes."""
        pieces: list[Piece] = []
        self._emit(self._held, pieces)
        self._held = ""
        return pieces

    def _marker(self) -> str:
        assert self._markers is not None  # noqa: S101 - for the type checker; feed() returned before
        return self._markers.close if self._inside else self._markers.open

    def _emit(self, text: str, pieces: list[Piece]) -> None:
        if self._strip:
            text = text.lstrip("\n")
            self._strip = not text
        if text:
            pieces.append(Piece("reasoning" if self._inside else "text", text))


def markers_of(template: str | None) -> Markers | None:
    """Return the reasoning markers that a chat template speaks of, if any."""
    if template and "</think>" in template:
        return Markers()
    return None
