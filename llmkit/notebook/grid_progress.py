"""How far a comparison is: cells done, tokens per second of all together, time left."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 4.0
"""Seconds over which the rate is taken."""

SHORTEST = 0.5
"""Seconds between two rates: digits that change faster can't be read."""


class Progress:
    """Counts cells and tokens.

    Parameters
    ----------
    total : int
        Cells in all.
    clock : callable
        Seconds; never goes back.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._clock = clock
        self._tokens = 0
        self._began: float | None = None
        self._ended = 0.0
        self._marks: deque[tuple[float, int]] = deque()
        self._rate: float | None = None

    def count(self, tokens: int = 1) -> None:
        """Take note of tokens that came just now."""
        if self._began is None:
            self._began = self._clock()
        self._tokens += tokens

    def take(self, done: int, failed: int, tokens_done: int, tokens_open: int) -> dict[str, Any]:
        """Return the progress as JSON.

        Parameters
        ----------
        done, failed : int
            Cells that have ended, those that failed among them.
        tokens_done, tokens_open : int
            Tokens of the cells that have ended, and so far of those that haven't.

        Returns
        -------
        dict
            ``done``, ``failed``, ``total``; ``tokens``; ``rate`` in tokens per second, ``None`` when nothing was
            decoded lately; ``left`` in seconds, ``None`` when unknown; ``time`` in seconds from the first token to the
            end, ``None`` before it.
        """
        now = self._clock()
        if done < self._total:
            self._mark(now)
        elif self._began is not None and self._ended < self._began:
            self._ended = now
        return {
            "done": done,
            "failed": failed,
            "total": self._total,
            "tokens": tokens_done + tokens_open,
            "rate": self._overall() if done == self._total else self._rate,
            "left": self._left(done, tokens_done, tokens_open),
            "time": self._ended - self._began if done == self._total and self._began is not None else None,
        }

    def again(self) -> None:
        """Begin a new stretch: a cell is asked again."""
        self._tokens = 0
        self._began, self._ended, self._rate = None, 0.0, None
        self._marks.clear()

    def _mark(self, now: float) -> None:
        if self._marks and now - self._marks[-1][0] < SHORTEST:
            return
        self._marks.append((now, self._tokens))
        while len(self._marks) > 2 and now - self._marks[1][0] > WINDOW:
            self._marks.popleft()
        (then, before) = self._marks[0]
        came = self._tokens - before
        self._rate = round(came / (now - then), 1) if came and now > then else None

    def _overall(self) -> float | None:
        """Return the rate from the first token to the end."""
        if self._began is None or self._ended - self._began < 0.1:
            return None
        return round(self._tokens / (self._ended - self._began), 1)

    def _left(self, done: int, tokens_done: int, tokens_open: int) -> float | None:
        """Return the time left if the rest is as long as what has ended."""
        if not 0 < done < self._total or not self._rate or not tokens_done:
            return None
        expected = tokens_done / done * (self._total - done) - tokens_open
        return round(max(expected, 0.0) / self._rate, 1)
