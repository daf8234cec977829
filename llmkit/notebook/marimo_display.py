"""Showing things in marimo, where a cell's output is a value.

Views are the same as in Jupyter, but they stay: a marimo notebook is saved without its outputs. marimo hands on what a
page sends when no cell runs, so a click takes effect once the cell that is running has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.notebook.grid_view import GridView
from llmkit.notebook.job_view import TerminalJob
from llmkit.notebook.run_view import Run, RunView

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.chatting import Chat
    from llmkit.mapping.job import Job
    from llmkit.notebook.grid_comparison import Comparison
    from llmkit.notebook.output import View
    from llmkit.playing import Playground
    from llmkit.presenting import LoadView


class MarimoPresenter:
    """A marimo notebook that is open in a browser."""

    def __init__(self) -> None:
        self._cell: Any = None
        self._ids: set[str] = set()

    def show(self, run: Run, *, asked: bool) -> None:  # noqa: ARG002 - there is but one way here
        """Show a run, live."""
        from llmkit.notebook.run_widget import RunWidget

        self._note(run.id)
        place(RunView(run, RunWidget))

    def show_comparison(self, comparison: Comparison, *, asked: bool) -> None:  # noqa: ARG002 - as above
        """Show a comparison, live."""
        from llmkit.notebook.grid_widget import GridWidget

        self._note(comparison.id)
        place(GridView(comparison, GridWidget))

    def show_job(self, job: Job, *, asked: bool) -> None:  # noqa: ARG002 - as above
        """Print a job's end."""
        self._note(job.id)
        TerminalJob(job)

    def show_chat(self, chat: Chat, *, asked: bool) -> None:  # noqa: ARG002 - as above
        """Show a chat, live."""
        from llmkit.notebook.chat_view import ChatView
        from llmkit.notebook.chat_widget import ChatWidget

        self._note(chat.id)
        place(ChatView(chat, ChatWidget, on_idle=_nothing_to_save))

    def show_playground(self, playground: Playground, *, asked: bool) -> None:  # noqa: ARG002 - as above
        """Show a playground, live."""
        from llmkit.notebook.playground_view import PlaygroundView
        from llmkit.notebook.playground_widget import PlaygroundWidget

        self._note(playground.id)
        place(PlaygroundView(playground, PlaygroundWidget, on_change=_nothing_to_save))

    def shown_here(self, run: Run | Comparison | Job | Chat | Playground) -> bool:
        """Return whether it was shown in the very cell that runs now."""
        return self._cell is not None and self._cell is running_cell() and run.id in self._ids

    def audience(self) -> bool:
        """Return whether anybody could be asked."""
        return True

    def loading(self, title: str) -> LoadView | None:  # noqa: ARG002 - a run's own view shows it
        """Return nothing: an output can't be changed from another thread."""
        return None

    def _note(self, key: str) -> None:
        cell = running_cell()
        if cell is not self._cell:
            self._cell, self._ids = cell, set()
        self._ids.add(key)


def place(view: View) -> None:
    """Put a view in the output of the cell that runs now, and let it follow."""
    import marimo

    widget: Any = view.page
    marimo.output.append(marimo.ui.anywidget(widget))
    view.open()


def output_of_cell(show: Callable[[], None]) -> Any:
    """Show something, and return all that the present cell has shown: it is what takes the place of that.

    This is for marimo's ``_display_``, which returns what to display for a cell's last value:
    https://docs.marimo.io/guides/integrating_with_marimo/displaying_objects/.
    """
    show()
    cell = running_cell()
    return None if cell is None else cell.output.stack()


def running_cell() -> Any:
    """Return marimo's record of the execution of a cell that is going on in this thread, if there is one."""
    from marimo._runtime.context import safe_get_context

    context = safe_get_context()
    return None if context is None else context.execution_context


def _nothing_to_save(_view: object) -> None:
    """Do nothing: what a notebook in marimo shows isn't saved with it."""
