"""Blind judging in the grid: pairs go to the page without their labels, verdicts come back.

A page that judges says::

    judge     page, factor            → pair, or tally when nothing is left
    vote      page, pair, verdict (left · right · tie)
    skip      page, pair

and hears, with its own ``page``::

    pair      pair: {id, left, right, prompt, same}, done, total
    tally     levels: {label, wins, losses, ties} of each, total
    problem   message

``left`` and ``right`` are texts, ``same`` the labels that both have.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.errors import Error
from llmkit.judging.pairs import Pair, pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.notebook.grid_comparison import Comparison, Verdict
    from llmkit.notebook.grid_state import GridState

PERSON = "person"
"""Who judges in a grid."""

_logger = logging.getLogger("llmkit")


class Judge:
    """The kernel's side of judging in one view.

    Parameters
    ----------
    comparison : Comparison
        Takes the votes.
    state : GridState
        Has the texts.
    send : callable
        Sends a message to the pages.
    """

    def __init__(self, comparison: Comparison, state: GridState, send: Callable[[dict[str, Any]], None]) -> None:
        self._comparison = comparison
        self._state = state
        self._send = send
        self._lock = threading.Lock()
        self._rounds: dict[str, _Round] = {}
        self._verdicts: dict[frozenset[int], tuple[Pair, Verdict]] = {}

    def receive(self, message: dict[str, Any]) -> bool:
        """Take a message of a page; return whether it was about judging."""
        match message:
            case {"kind": "judge", "page": str(page), "factor": str(factor)} if factor in self._comparison.factors:
                with self._lock:
                    self._rounds[page] = self._round(factor)
                    self._go_on(page)
            case {"kind": "vote", "page": str(page), "pair": int(number), "verdict": "left" | "right" | "tie" as seen}:
                with self._lock:
                    self._vote(page, number, seen)
            case {"kind": "skip", "page": str(page), "pair": int(number)}:
                with self._lock:
                    if self._is_asked(page, number):
                        self._rounds[page].put_back()
                        self._go_on(page)
            case _:
                return False
        return True

    def forget(self, index: int) -> None:
        """Take note that a cell says something else now."""
        self._verdicts = {cells: known for cells, known in self._verdicts.items() if index not in cells}

    def _round(self, factor: str) -> _Round:
        """Return the pairs that aren't judged yet, in this view or elsewhere, or all of them again."""
        self._verdicts |= self._recorded()
        places = {
            index: self._state.place(index)
            for index, cell in enumerate(self._state.cells)
            if cell.status == "done" and cell.text.strip()
        }
        found = pairs(places, factor, seed=f"{self._comparison.id}/{factor}", judged=self._verdicts)
        left = [pair for pair in found if pair.cells not in self._verdicts]
        return _Round(factor, found, deque(left or found))

    def _recorded(self) -> dict[frozenset[int], tuple[Pair, Verdict]]:
        """Return what people have said, in whichever view; a judgement in words of its own is something else."""
        try:
            votes = self._comparison.standing_votes
        except Error as error:
            _logger.warning("Earlier votes could not be read: %s", error)
            return {}
        told = votes[(votes["judge"] == PERSON) & (votes["question"] == "")]
        verdicts = (
            (Pair(int(a), int(b), first), verdict)
            for a, b, first, verdict in told[["a_cell", "b_cell", "first", "verdict"]].itertuples(index=False)
        )
        return {pair.cells: (pair, verdict) for pair, verdict in verdicts}

    def _is_asked(self, page: str, number: int) -> bool:
        """Whether a page's message is about the pair that it was asked about last."""
        return page in self._rounds and self._rounds[page].number == number and bool(self._rounds[page].left)

    def _vote(self, page: str, number: int, seen: str) -> None:
        if not self._is_asked(page, number):
            return
        asked = self._rounds[page]
        pair = asked.left[0]
        verdict = _verdict(pair, seen)
        try:
            self._comparison.vote(pair.a, pair.b, verdict, first=pair.first)
        except Error as error:
            _logger.warning("A vote could not be kept: %s", error)
            self._send({"kind": "problem", "page": page, "message": error.message})
            return
        self._verdicts[pair.cells] = pair, verdict
        asked.left.popleft()
        self._go_on(page)

    def _go_on(self, page: str) -> None:
        """Ask about the next pair, or tell what the verdicts add up to."""
        asked = self._rounds[page]
        asked.number = next(_NUMBERS)
        total = len(asked.pairs)
        if not asked.left:
            self._send({"kind": "tally", "page": page, "levels": self._tally(asked), "total": total})
            return
        done = total - len(asked.left)
        self._send({"kind": "pair", "page": page, "pair": self._told(asked), "done": done, "total": total})

    def _tally(self, asked: _Round) -> list[dict[str, Any]]:
        """Return how often each level won, lost and tied."""
        counts: dict[int, dict[str, int]] = {}
        for pair, verdict in (self._verdicts[each.cells] for each in asked.pairs if each.cells in self._verdicts):
            for cell, name in ((pair.a, "a"), (pair.b, "b")):
                level = self._state.place(cell)[asked.factor]
                count = counts.setdefault(level, {"wins": 0, "losses": 0, "ties": 0})
                count["ties" if verdict == "tie" else "wins" if verdict == name else "losses"] += 1
        labels = self._comparison.factors[asked.factor]
        return [{"label": labels[level], **count} for level, count in sorted(counts.items())]

    def _told(self, asked: _Round) -> dict[str, Any]:
        pair = asked.left[0]
        left, right = (pair.a, pair.b) if pair.first == "a" else (pair.b, pair.a)
        cells = self._state.cells
        same = {
            name: self._comparison.factors[name][level]
            for name, level in self._state.place(pair.a).items()
            if name != asked.factor and len(self._comparison.factors[name]) > 1
        }
        prompt = self._comparison.cells[pair.a].prompt
        shown = prompt if prompt == self._comparison.cells[pair.b].prompt else ""
        texts = {"left": cells[left].text, "right": cells[right].text}
        return {"id": asked.number, **texts, "prompt": shown[:2_000], "same": same}


_NUMBERS = itertools.count(1)


@dataclass(slots=True)
class _Round:
    """One page's way through the pairs of a factor."""

    factor: str
    pairs: list[Pair]
    left: deque[Pair]
    number: int = 0

    def put_back(self) -> None:
        """Let the present pair come last."""
        self.left.rotate(-1)


def _verdict(pair: Pair, seen: str) -> Verdict:
    if seen == "tie":
        return "tie"
    return "a" if (seen == "left") == (pair.first == "a") else "b"
