"""The seam to whatever shows runs: a notebook's widgets, a terminal, or nothing.

Sessions and runs know this much and no more; :mod:`llmkit.notebook` puts its own presenter in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llmkit.errors import Error
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

    def shown_here(self, run: Run) -> bool:
        """Return whether the run was shown in the very cell that runs now."""

    def audience(self) -> bool:
        """Return whether anybody is there who could be asked."""

    def loading(self, title: str) -> LoadView | None:
        """Return a view of a model being loaded, if there is a place for one."""


def presenter() -> Presenter:
    """Return the presenter for the place where this process runs."""
    from llmkit.notebook.display import presenter_here

    return presenter_here()
