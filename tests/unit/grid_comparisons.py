"""A comparison for the tests of grids: events come when the test says so, in the test's own thread."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from tests.unit.notebook_runs import FakeRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmkit.errors import Error
    from llmkit.events import Event


class FakeCell:
    """What views see of a cell."""

    def __init__(self, comparison: FakeComparison, index: int, labels: dict[str, str]) -> None:
        self.index = index
        self.labels = labels
        self.prompt = f"Tell me about {labels.get('topic', 'it')}."
        self.error: Error | None = None
        self.asked: list[str] = []
        self.run: FakeRun | None = None
        self._comparison = comparison
        self.begin()

    def begin(self) -> FakeRun:
        """Have a new run."""
        self.run = run = FakeRun(self.index)
        run.subscribe(lambda event: self._comparison.tell(self, event) if self.run is run else None)
        return run

    def fail(self, error: Error) -> None:
        """Be a cell that couldn't be asked."""
        self.run, self.error = None, error
        self._comparison.tell(self, None)

    def rerun(self) -> None:
        self.asked.append("rerun")
        self.error = None
        self._comparison.tell(self, None)
        self.begin()

    def cancel(self) -> None:
        self.asked.append("cancel")


class FakeComparison:
    """What views see of a comparison."""

    id = "comparison-1"

    def __init__(self, rows: Sequence[str] = (), columns: Sequence[str] = (), **factors: Sequence[str]) -> None:
        self.factors: Mapping[str, tuple[str, ...]] = {name: tuple(levels) for name, levels in factors.items()}
        self.rows = tuple(rows) or tuple(self.factors)[:1]
        self.columns = tuple(columns) or tuple(self.factors)[1:]
        self.scores: dict[str, dict[int, float]] = {}
        self.votes: list[dict[str, Any]] = []
        self.refusal: Error | None = None
        self.cancelled = 0
        self._take: list[Callable[[Any, Event | None], None]] = []
        self.cells = tuple(
            FakeCell(self, index, dict(zip(self.factors, labels, strict=True)))
            for index, labels in enumerate(itertools.product(*self.factors.values()))
        )
        assert len(self.cells) == math.prod(map(len, self.factors.values()))

    def run(self, index: int) -> FakeRun:
        """Return a cell's present run."""
        run = self.cells[index].run
        assert run is not None
        return run

    def tell(self, cell: FakeCell | None, event: Event | None) -> None:
        for take in self._take:
            take(cell, event)

    def subscribe(self, take: Callable[[Any, Event | None], None]) -> None:
        for cell in self.cells:
            if cell.run is not None:
                for event in cell.run.events:
                    take(cell, event)
        self._take.append(take)

    def answer(self, text: Callable[[int], str] = "Answer {}.".format) -> None:
        """Have all cells answered."""
        for cell in self.cells:
            if cell.run is not None and not cell.run.wait(0):
                cell.run.answer(text(cell.index))

    def score(self, **scores: dict[int, float]) -> None:
        """Have scores."""
        self.scores |= scores
        self.tell(None, None)

    def cancel(self) -> None:
        self.cancelled += 1

    def wait(self, timeout: float | None = None) -> bool:
        return all(cell.run is None or cell.run.wait(timeout) for cell in self.cells)

    def vote(self, a: int, b: int, verdict: str, **how: Any) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.votes.append({"a": a, "b": b, "verdict": verdict, **how})

    @property
    def standing_votes(self) -> pd.DataFrame:
        columns = ["a_cell", "b_cell", "first", "verdict", "judge", "question"]
        rows = [(v["a"], v["b"], v["first"], v["verdict"], "person", "") for v in self.votes]
        return pd.DataFrame(rows, columns=columns)
