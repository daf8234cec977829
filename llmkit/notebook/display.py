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
from llmkit.notebook.chat_display import show_live, show_static, show_text
from llmkit.notebook.frontend import Frontend, frontend
from llmkit.notebook.grid_display import GridFollower, show_grid
from llmkit.notebook.grid_terminal import GridTable
from llmkit.notebook.job_view import LiveJob, TerminalJob, job_end
from llmkit.notebook.load_view import HeadlessLoad, LiveLoad, TerminalLoad
from llmkit.notebook.marimo_display import MarimoPresenter
from llmkit.notebook.output import Output, display_data
from llmkit.notebook.run_state import RunState
from llmkit.notebook.run_view import Run, RunView
from llmkit.terminal import TERMINAL
from llmkit.waiting import wait_or_stop

if TYPE_CHECKING:
    from collections.abc import Hashable

    from llmkit.chatting import Chat
    from llmkit.events import Event
    from llmkit.mapping.job import Job
    from llmkit.notebook.grid_comparison import Comparison
    from llmkit.playing import Playground
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


def shown_in_this_cell(run: Run | Comparison | Job | Chat | Playground) -> bool:
    """Return whether the cell that runs now has shown the run, comparison, job, chat or playground already."""
    return _shown.here(run)


class _Shown:
    """The runs, comparisons, jobs, chats and playgrounds that the present cell has shown."""

    def __init__(self) -> None:
        self._cell: Hashable | None = None
        self._ids: set[str] = set()

    def add(self, run: Run | Comparison | Job | Chat | Playground) -> None:
        cell = cell_key()
        if cell != self._cell:
            self._cell, self._ids = cell, set()
        self._ids.add(run.id)

    def here(self, run: Run | Comparison | Job | Chat | Playground) -> bool:
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
        wait_or_stop(self._run)
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

    def show_comparison(self, comparison: Comparison, *, asked: bool) -> None:
        _shown.add(comparison)
        ended = comparison.wait(0)
        if ended and not asked:
            display_data(GridFollower(comparison).final())
        else:
            show_grid(comparison, keep=ended)

    def show_job(self, job: Job, *, asked: bool) -> None:  # noqa: ARG002 - there is but one way here
        _shown.add(job)
        LiveJob(job)

    def show_chat(self, chat: Chat, *, asked: bool) -> None:  # noqa: ARG002 - there is but one way here
        _shown.add(chat)
        show_live(chat)

    def show_playground(self, playground: Playground, *, asked: bool) -> None:  # noqa: ARG002 - as above
        from llmkit.notebook import playground_display

        _shown.add(playground)
        playground_display.show_live(playground)

    def shown_here(self, run: Run | Comparison | Job | Chat | Playground) -> bool:
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

    def show_comparison(self, comparison: Comparison, *, asked: bool) -> None:  # noqa: ARG002 - as above
        _shown.add(comparison)
        follower = GridFollower(comparison)
        at_end_of_cell(lambda: display_data(follower.final()))

    def show_job(self, job: Job, *, asked: bool) -> None:  # noqa: ARG002 - there is but one way here
        _shown.add(job)
        at_end_of_cell(lambda: display_data(_end_of_job(job)))

    def show_chat(self, chat: Chat, *, asked: bool) -> None:  # noqa: ARG002 - as above
        if len(chat):  # a new one shows itself when there is something to show
            _shown.add(chat)
            at_end_of_cell(lambda: show_static(chat))

    def show_playground(self, playground: Playground, *, asked: bool) -> None:  # noqa: ARG002 - as above
        from llmkit.notebook import playground_display

        _shown.add(playground)
        at_end_of_cell(lambda: playground_display.show_static(playground))

    def shown_here(self, run: Run | Comparison | Job | Chat | Playground) -> bool:
        return shown_in_this_cell(run)

    def audience(self) -> bool:
        return False

    def loading(self, title: str) -> LoadView:
        return HeadlessLoad(title)


class _Script:
    """A script or a plain Python prompt; what still runs when the interpreter exits is awaited."""

    def show(self, run: Run, *, asked: bool) -> None:  # noqa: ARG002 - there is but one way here
        TERMINAL.show(run)

    def show_comparison(self, comparison: Comparison, *, asked: bool) -> None:  # noqa: ARG002 - as above
        GridTable(comparison).open()

    def show_job(self, job: Job, *, asked: bool) -> None:  # noqa: ARG002 - there is but one way here
        TerminalJob(job)

    def show_chat(self, chat: Chat, *, asked: bool) -> None:  # noqa: ARG002 - there is but one way here
        _shown.add(chat)
        show_text(chat)

    def show_playground(self, playground: Playground, *, asked: bool) -> None:  # noqa: ARG002 - as above
        from llmkit.notebook import playground_display

        _shown.add(playground)
        playground_display.show_text(playground)

    def shown_here(self, run: Run | Comparison | Job | Chat | Playground) -> bool:
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

    def show_comparison(self, comparison: Comparison, *, asked: bool) -> None:  # noqa: ARG002 - as above
        _shown.add(comparison)
        table = GridTable(comparison)
        table.open()
        at_end_of_cell(table.wait)

    def show_job(self, job: Job, *, asked: bool) -> None:  # noqa: ARG002 - there is but one way here
        _shown.add(job)
        at_end_of_cell(TerminalJob(job).wait)


_PRESENTERS: dict[Frontend, Presenter] = {
    "live": _Live(),
    "headless": _Headless(),
    "marimo": MarimoPresenter(),
    "terminal": _Terminal(),
    "script": _Script(),
}


def _end_of_job(job: Job) -> dict[str, str]:
    """Wait for a job's end and return its static output. An interrupt stops the job."""
    try:
        job.wait()
    except KeyboardInterrupt:
        job.wait()
    return job_end(job)


def _show_widget(run: Run, *, keep: bool) -> None:
    """Display the widget; unless it is to be kept, static output takes its place when the run ends."""
    from llmkit.notebook.run_widget import RunWidget

    output = Output(lambda: static.bundle(view.state.to_dict()))
    view = RunView(run, RunWidget, on_end=None if keep else output.settle)
    output.open(view, f"Run {run.id}")
