"""What views need of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from llmkit.errors import Error
    from llmkit.events import Event

Verdict = Literal["a", "b", "tie"]


class CellRun(Protocol):
    """A cell's run."""

    @property
    def id(self) -> str:
        """The run's id."""


class Cell(Protocol):
    """One place in the grid."""

    @property
    def index(self) -> int:
        """Its number, in the order of the factors' product."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The factors' names, and a short text of the level that each has here."""

    @property
    def prompt(self) -> str:
        """What is asked."""

    @property
    def run(self) -> CellRun | None:
        """The present run; ``None`` when it couldn't be asked."""

    @property
    def error(self) -> Error | None:
        """Why it couldn't."""

    def rerun(self) -> Any:
        """Ask again."""

    def cancel(self) -> Any:
        """Stop the present run."""


class Comparison(Protocol):
    """Many runs that differ in what makes them comparable."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def factors(self) -> Mapping[str, Sequence[str]]:
        """The factors' names, and short texts of their levels."""

    @property
    def rows(self) -> Sequence[str]:
        """The factors that make rows, the outermost first."""

    @property
    def columns(self) -> Sequence[str]:
        """The factors that make columns."""

    @property
    def cells(self) -> Sequence[Cell]:
        """All cells, in the order of the product."""

    @property
    def scores(self) -> Mapping[str, Mapping[int, float]]:
        """Scores by name and cell."""

    def subscribe(self, take: Callable[[Any, Event | None], None]) -> Any:
        """Call `take` with every event of every cell's present run, past ones too.

        A cell without an event begins anew. Neither cell nor event: the scores or the arrangement have changed.
        """

    def cancel(self) -> Any:
        """Stop all cells."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of all cells; return whether it came within `timeout` seconds."""

    def vote(
        self,
        a: int,
        b: int,
        verdict: Verdict,
        *,
        first: Literal["a", "b"],
        judge: str = "person",
        reason: str | None = None,
    ) -> Any:
        """Keep a verdict on two cells."""

    @property
    def standing_votes(self) -> pd.DataFrame:
        """The votes that still hold, a row each."""


def places(comparison: Comparison) -> list[tuple[int, ...]]:
    """Return where each cell stands: the number of its level of each factor.

    The labels tell; the order of the product does where two levels of a factor have the same label.
    """
    levels = list(comparison.factors.values())
    if any(len(set(labels)) < len(labels) for labels in levels):
        sizes = [len(labels) for labels in levels]
        return [_unravelled(index, sizes) for index in range(len(comparison.cells))]
    numbers = {
        name: {label: number for number, label in enumerate(labels)} for name, labels in comparison.factors.items()
    }
    return [tuple(numbers[name][cell.labels[name]] for name in numbers) for cell in comparison.cells]


def _unravelled(index: int, sizes: Sequence[int]) -> tuple[int, ...]:
    place: list[int] = []
    for size in reversed(sizes):
        index, level = divmod(index, size)
        place.append(level)
    return tuple(reversed(place))
