"""Stop strings in streamed text: hold back what may be the beginning of one, cut at the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class StopMatcher:
    """Watches a stream of text for stop strings.

    The text that comes out is the same however the stream was cut into pieces. Of several stop strings, the one
    that is complete first ends the text; of those complete at the same character, the longest.

    Parameters
    ----------
    stops : sequence of str
        The stop strings; empty ones are left out. With none, all text passes at once.

    Attributes
    ----------
    matched : str or None
        The stop string that was found; from then on nothing comes out.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.matched: str | None = None

    def feed(self, text: str) -> str:
        """Return what can be let out after ``text`` has come: all but a possible beginning of a stop string."""
        if self.matched is not None:
            return ""
        if not self._stops:
            return text
        pending = self._held + text
        found = [(pending.find(stop) + len(stop), -len(stop), stop) for stop in self._stops if stop in pending]
        if found:
            end, _, self.matched = min(found)
            self._held = ""
            return pending[: end - len(self.matched)]
        cut = len(pending) - max(overlap(pending, stop) for stop in self._stops)
        self._held = pending[cut:]
        return pending[:cut]

    def flush(self) -> str:
        """Return the text held back, which turned out to be no stop string; the stream has ended."""
        held, self._held = self._held, ""
        return held


def overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of ``text`` that begins ``stop``."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if stop.startswith(text[-size:])), 0)
