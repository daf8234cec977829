"""The seam to whatever shows runs: a notebook's widgets, a terminal, or nothing.

Sessions and runs know this much and no more; :mod:`llmkit.notebook` puts its own presenter in place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from llmkit.chatting import Chat
    from llmkit.errors import Error
    from llmkit.mapping.job import Job
    from llmkit.notebook.grid_comparison import Comparison
    from llmkit.playing import Playground
    from llmkit.run import Run


class LoadView(Protocol):
    """Shows a model being loaded."""

    def update(self, **progress: object) -> None:
        """Take a report; the fields are those of :class:`llmkit.events.Load`."""

    def finish(self, note: str) -> None:
        """Show that it is there."""

    def fail(self, error: Error) -> None:
        """Show why it isn't."""


class Presenter(Protocol):
    """Shows runs where the user is."""

    def show(self, run: Run, *, asked: bool) -> None:
        """Show a run; ``asked`` is False when it shows itself."""

    def show_comparison(self, comparison: Comparison, *, asked: bool) -> None:
        """Show a comparison; ``asked`` is False when it shows itself."""

    def show_job(self, job: Job, *, asked: bool) -> None:
        """Show a job; ``asked`` is False when it shows itself."""

    def show_chat(self, chat: Chat, *, asked: bool) -> None:
        """Show a chat; ``asked`` is False when it shows itself."""

    def show_playground(self, playground: Playground, *, asked: bool) -> None:
        """Show a playground; ``asked`` is False when it shows itself."""

    def shown_here(self, run: Run | Comparison | Job | Chat | Playground) -> bool:
        """Return whether the run, comparison, job, chat or playground was shown in the very cell that runs now."""

    def audience(self) -> bool:
        """Return whether anybody is there who could be asked."""

    def loading(self, title: str) -> LoadView | None:
        """Return a view of a model being loaded, if there is a place for one."""


class Displayed(ABC):
    """What shows itself where it is a cell's last value, in IPython and in marimo."""

    @abstractmethod
    def _ipython_display_(self) -> None:
        """Show it, unless this cell has done so already."""

    def _display_(self) -> Any:
        """Return what marimo displays."""
        from llmkit.notebook.marimo_display import output_of_cell

        return output_of_cell(self._ipython_display_)


def presenter() -> Presenter:
    """Return the presenter for the place where this process runs."""
    from llmkit.notebook.display import presenter_here

    return presenter_here()
