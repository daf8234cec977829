"""The state of a comparison as the grid shows it, and how each event changes it.

The state is JSON; ``widgets/grid/protocol.ts`` is the same thing in TypeScript::

    id                                the comparison's
    factors                           {name, levels} of each, in the order of the product
    rows, columns                     names of the factors that make them, as suggested
    prompts                           {text, more} of each that is asked: its beginning, and how many characters follow
    progress                          see :class:`llmkit.notebook.grid_progress.Progress`
    cells                             one each:
      place, prompt                     the number of its level of each factor; which prompt
      status                            as in :mod:`llmkit.notebook.run_state`
      share                             of loading or of reading the prompt, in percent; null when neither goes on
      text, reasoning                   what came so far
      calls                             a line for each tool call
      model                             who answers
      tokens, rate                      so far, and per second
      time_to_first_token               in seconds
      summary                           stats in words, at the end
      error                             {kind, code, message}, or null; also when the answer isn't what it must be
      finish_reason                     null until the end
      scores                            by name
      again                             how often it was asked again

A change is JSON too: fields to ``set`` (``progress``, ``rows``, ``columns``), and ``cells``, a list of ``{cell, set,
text, reasoning}``: a cell's fields to set, then what to append.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmkit import events
from llmkit.errors import RunCancelled
from llmkit.notebook.grid_comparison import places
from llmkit.notebook.grid_progress import Progress
from llmkit.notebook.run_state import RunState
from llmkit.notebook.words import FINISH_WORDS, call_line, joined

if TYPE_CHECKING:
    from llmkit.notebook.grid_comparison import Cell, Comparison

LONGEST_PROMPT = 4_000
"""So many characters of a prompt are sent."""

_AS_THEY_ARE = ("status", "model", "rate", "error", "finish_reason")
OVER = frozenset({"done", "cancelled", "error"})


@dataclass(slots=True)
class CellChange:
    """What changed in a cell: fields to set, then pieces to append."""

    set: dict[str, Any] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)

    def to_dict(self, index: int) -> dict[str, Any]:
        """Return what there is of the change as JSON."""
        parts = {"set": self.set, "text": "".join(self.text), "reasoning": "".join(self.reasoning)}
        return {"cell": index, **{name: part for name, part in parts.items() if part}}


class CellState:
    """A cell's state, made from its present run's events.

    Parameters
    ----------
    cell : Cell
        What it is made for.
    again : int
        How often it was asked again.
    """

    def __init__(self, cell: Cell, again: int = 0) -> None:
        self.again = again
        self.tokens = 0
        self.error = cell.error
        self._run = RunState(cell.run.id if cell.run is not None else "")
        self._began: float | None = None
        self._fields: dict[str, Any] = {
            "status": "starting",
            "share": None,
            "calls": [],
            "model": "",
            "tokens": 0,
            "rate": None,
            "time_to_first_token": None,
            "summary": "",
            "error": None,
            "finish_reason": None,
            "scores": {},
            "again": again,
        }
        if isinstance(cell.error, RunCancelled):
            self._fields |= {"status": "cancelled", "finish_reason": "cancelled"}
        elif cell.error is not None:
            error = {"kind": type(cell.error).__name__, "code": cell.error.code, "message": cell.error.message}
            self._fields |= {"status": "error", "error": error, "finish_reason": "error"}

    @property
    def status(self) -> str:
        """What it does now."""
        return str(self._fields["status"])

    @property
    def is_over(self) -> bool:
        """Whether its run has ended, or couldn't begin."""
        return self.status in OVER

    @property
    def has_begun(self) -> bool:
        """Whether anything came of a run."""
        return self._began is not None

    @property
    def text(self) -> str:
        """The answer so far."""
        return self._run.text

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON, but for where the cell stands."""
        return {**self._fields, "tokens": self.tokens, "text": self._run.text, "reasoning": self._run.reasoning}

    def take(self, event: events.Event, change: CellChange) -> int:
        """Take in the run's next event, add to ``change`` what it changed, and return how many tokens came."""
        came = self._run.take(event)
        before = self.tokens
        if came.text:
            change.text.append(came.text)
        if came.reasoning:
            change.reasoning.append(came.reasoning)
        if isinstance(event, events.TextDelta | events.ReasoningDelta | events.ToolInputDelta):
            self.tokens += 1
        if came.set or came.calls or not before:
            found = self._found(event, came.set)
            if came.calls:
                found["calls"] = [call_line(card) for card in self._run.calls]
            self._set(found, change)
        return max(0, self.tokens - before)

    def score(self, scores: dict[str, float], change: CellChange) -> None:
        """Take the cell's scores."""
        self._set({"scores": scores}, change)

    def _found(self, event: events.Event, came: dict[str, Any]) -> dict[str, Any]:
        found = {name: came[name] for name in _AS_THEY_ARE if name in came}
        if "load" in came or "prefill" in came:
            found["share"] = _share(came.get("load"), came.get("prefill"))
        if "rate" in found:
            found["tokens"] = self.tokens
        if self._began is None:
            self._began = event.time
        if self.tokens == 1 and self._fields["time_to_first_token"] is None:
            found["time_to_first_token"] = round(event.time - self._began, 3)
        if isinstance(event, events.End):
            found |= {name: value for name, value in self._ended(came).items() if value is not None}
        return found

    def _ended(self, came: dict[str, Any]) -> dict[str, Any]:
        stats = came.get("stats") or {}
        reason = came.get("finish_reason") or ""
        self.tokens = stats.get("generated_tokens") or self.tokens
        measured = {name: stats.get(known) for name, known in _MEASURED.items()} | {"error": came.get("output_error")}
        return {
            "tokens": self.tokens,
            "summary": joined(stats.get("summary", ""), FINISH_WORDS.get(reason, reason) if reason != "stop" else ""),
            **measured,
        }

    def _set(self, found: dict[str, Any], change: CellChange) -> None:
        new = {name: value for name, value in found.items() if self._fields[name] != value}
        self._fields |= new
        change.set |= new


_MEASURED = {"rate": "tokens_per_second", "time_to_first_token": "time_to_first_token"}


class GridState:
    """A comparison's state, and what of it hasn't been sent.

    Parameters
    ----------
    comparison : Comparison
        The comparison to show.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._prompts: dict[str, int] = {}
        self._places = places(comparison)
        self._cells = [CellState(cell) for cell in comparison.cells]
        self._asked = [self._prompt(cell) for cell in comparison.cells]
        self._changes: dict[int, CellChange] = {}
        self._open = sum(not cell.is_over for cell in self._cells)
        self._progress = Progress(len(self._cells))
        self._told = self._take_progress()
        self._arranged = self._sent_arrangement = list(comparison.rows), list(comparison.columns)
        self.score()
        self._changes.clear()

    @property
    def cells(self) -> list[CellState]:
        """The cells' states."""
        return self._cells

    @property
    def is_over(self) -> bool:
        """Whether all cells have ended."""
        return self._open == 0

    @property
    def length(self) -> int:
        """How many characters the cells have."""
        return sum(len(cell.text) for cell in self._cells)

    def place(self, index: int) -> dict[str, int]:
        """Return the number of a cell's level of each factor."""
        return dict(zip(self._comparison.factors, self._places[index], strict=True))

    def take(self, index: int, event: events.Event) -> None:
        """Take in a cell's next event."""
        cell = self._cells[index]
        was_over = cell.is_over
        tokens = cell.take(event, self._change(index))
        self._open += was_over - cell.is_over
        if tokens and not isinstance(event, events.End):
            self._progress.count(tokens)

    def begin(self, cell: Cell) -> bool:
        """Forget what a cell had: it begins anew, or couldn't be asked. Return whether that is news."""
        known = self._cells[cell.index]
        if not known.has_begun and known.error is cell.error:
            return False
        if self.is_over:
            self._progress.again()
        self._cells[cell.index] = state = CellState(cell, known.again + 1)
        self._open += known.is_over - state.is_over
        self._changes[cell.index] = CellChange(set=state.to_dict())
        self.score()
        return True

    def score(self) -> bool:
        """Take the comparison's scores, and what makes its rows and columns; return whether any are new."""
        rows, columns = list(self._comparison.rows), list(self._comparison.columns)
        news = (rows, columns) != self._arranged
        self._arranged = rows, columns
        scores = {name: dict(values) for name, values in self._comparison.scores.items()}
        for index, cell in enumerate(self._cells):
            found = {name: values[index] for name, values in scores.items() if index in values}
            change = CellChange()
            cell.score(found, change)
            if change.set:
                news = True
                self._change(index).set |= change.set
        return news

    def patch(self) -> dict[str, Any]:
        """Return what changed since the last patch, as JSON; nothing when nothing has."""
        changes, self._changes = self._changes, {}
        cells = [change.to_dict(index) for index, change in changes.items()]
        cells = [change for change in cells if len(change) > 1]
        progress = self._take_progress()
        told, self._told = self._told, progress
        news: dict[str, Any] = {"progress": progress} if progress != told and (cells or self.is_over) else {}
        if self._arranged != self._sent_arrangement:
            self._sent_arrangement = self._arranged
            news |= dict(zip(("rows", "columns"), self._arranged, strict=True))
        return {**({"set": news} if news else {}), **({"cells": cells} if cells else {})}

    def to_dict(self) -> dict[str, Any]:
        """Return the whole state as JSON."""
        comparison = self._comparison
        return {
            "id": comparison.id,
            "factors": [{"name": name, "levels": list(levels)} for name, levels in comparison.factors.items()],
            "rows": self._sent_arrangement[0],
            "columns": self._sent_arrangement[1],
            "prompts": [
                {"text": text[:LONGEST_PROMPT], "more": max(0, len(text) - LONGEST_PROMPT)} for text in self._prompts
            ],
            "progress": self._told,
            "cells": [
                {"place": list(place), "prompt": prompt, **cell.to_dict()}
                for place, prompt, cell in zip(self._places, self._asked, self._cells, strict=True)
            ],
        }

    def _prompt(self, cell: Cell) -> int:
        return self._prompts.setdefault(cell.prompt, len(self._prompts))

    def _change(self, index: int) -> CellChange:
        return self._changes.setdefault(index, CellChange())

    def _take_progress(self) -> dict[str, Any]:
        over = [cell for cell in self._cells if cell.is_over]
        failed = sum(cell.status == "error" for cell in over)
        tokens = sum(cell.tokens for cell in over)
        still = sum(cell.tokens for cell in self._cells) - tokens
        return self._progress.take(len(over), failed, tokens, still)


def _share(load: dict[str, Any] | None, prefill: dict[str, Any] | None) -> int | None:
    """Return how far loading, or reading the prompt, is in percent."""
    if load is not None and load["percentage"] is not None:
        return int(load["percentage"])
    if prefill is not None:
        return int(100 * prefill["done"] / max(1, prefill["total"]))
    return None
