"""Showing runs where the user is: a live widget, static output at the end of the cell, or text in a terminal.

A live notebook's output first holds the widget. When the run ends, static output takes its place, because a saved
widget can't be shown without its kernel. Without a browser nobody could update an output, so each run's static
output comes once, at the end of its cell.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from llmkit.notebook import static, waiting
from llmkit.notebook.cells import at_end_of_cell, cell_key
from llmkit.notebook.frontend import Frontend, frontend
from llmkit.notebook.load_view import HeadlessLoad, LiveLoad, TerminalLoad
from llmkit.notebook.output import Output, display_data
from llmkit.notebook.run_state import RunState
from llmkit.notebook.run_view import Run, RunView
from llmkit.terminal import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Hashable

    from llmkit.events import Event
    from llmkit.presenting import LoadView, Presenter

CATCH_UP_TIME = 5.0
"""Seconds that the events of a run which has ended may take to arrive."""


def presenter_here() -> Presenter:
    """Return the presenter for the place where this process runs."""
    waiting.install()
    return _PRESENTERS[frontend()]


def show(run: Run, *, live: bool = False) -> None:
    """Show a run where the user is.

    Parameters
    ----------
    run : Run
        Running or ended.
    live : bool
        Also of a run that has ended, give a live view. It can't be saved with the notebook.
    """
    presenter_here().show(run, asked=live)  # type: ignore[arg-type]  # anything that is like a run


def shown_in_this_cell(run: Run) -> bool:
    """Return whether the cell that runs now has shown the run already."""
    return _shown.here(run)


class _Shown:
    """The runs that the present cell has shown."""

    def __init__(self) -> None:
        self._cell: Hashable | None = None
        self._ids: set[str] = set()

    def add(self, run: Run) -> None:
        cell = cell_key()
        if cell != self._cell:
            self._cell, self._ids = cell, set()
        self._ids.add(run.id)

    def here(self, run: Run) -> bool:
        cell = cell_key()
        return cell is not None and cell == self._cell and run.id in self._ids


_shown = _Shown()


class Follower:
    """A subscriber that keeps a run's state until it ends.

    Parameters
    ----------
    run : Run
        The run to follow.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._state = RunState(run.id)
        self._ended = threading.Event()
        run.subscribe(self._take)

    def final(self) -> dict[str, str]:
        """Wait for the run's end and return its static output. An interrupt stops the run."""
        try:
            self._run.wait()
        except KeyboardInterrupt:
            self._run.cancel()
            self._run.wait()
        self._ended.wait(CATCH_UP_TIME)
        return static.bundle(self._state.to_dict())

    def _take(self, event: Event) -> None:
        self._state.take(event)
        if self._state.is_over:
            self._ended.set()


class _Live:
    """A notebook with a browser."""

    def show(self, run: Run, *, asked: bool) -> None:
        _shown.add(run)
        ended = run.wait(0)
        if ended and not asked:
            display_data(Follower(run).final())
        else:
            _show_widget(run, keep=ended)

    def shown_here(self, run: Run) -> bool:
        return shown_in_this_cell(run)

    def audience(self) -> bool:
        return True

    def loading(self, title: str) -> LoadView:
        return LiveLoad(title)


class _Headless:
    """A notebook without a browser: nbclient, nbconvert, papermill, nbval."""

    def show(self, run: Run, *, asked: bool) -> None:  # noqa: ARG002 - there is but one way here
        _shown.add(run)
        follower = Follower(run)
        at_end_of_cell(lambda: display_data(follower.final()))

    def shown_here(self, run: Run) -> bool:
        return shown_in_this_cell(run)

    def audience(self) -> bool:
        return False

    def loading(self, title: str) -> LoadView:
        return HeadlessLoad(title)


class _Script:
    """A script or a plain Python prompt; what still runs when the interpreter exits is awaited."""

    def show(self, run: Run, *, asked: bool) -> None:  # noqa: ARG002 - there is but one way here
        TERMINAL.show(run)

    def shown_here(self, run: Run) -> bool:
        return shown_in_this_cell(run)

    def audience(self) -> bool:
        return False

    def loading(self, title: str) -> LoadView:
        return TerminalLoad(title)


class _Terminal(_Script):
    """IPython in a terminal: its prompt comes back when the runs have ended."""

    def show(self, run: Run, *, asked: bool) -> None:
        _shown.add(run)
        super().show(run, asked=asked)
        at_end_of_cell(TERMINAL.wait)


_PRESENTERS: dict[Frontend, Presenter] = {
    "live": _Live(),
    "headless": _Headless(),
    "terminal": _Terminal(),
    "script": _Script(),
}


def _show_widget(run: Run, *, keep: bool) -> None:
    """Display the widget; unless it is to be kept, static output takes its place when the run ends."""
    from llmkit.notebook.run_widget import RunWidget

    output = Output(lambda: static.bundle(view.state.to_dict()))
    view = RunView(run, RunWidget, on_end=None if keep else output.settle)
    output.open(view, f"Run {run.id}")
