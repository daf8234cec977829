"""Showing playgrounds: a live view with an output beside it that is saved, or how to use one without a browser.

The live view stays where it is, for there is always something else to try; a view that is replaced would lose the
focus. So what is saved is an output of its own, which the live view hides as long as it is on the page.
"""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any

from llmkit.notebook import playground_static
from llmkit.notebook.output import display_data
from llmkit.notebook.playground_view import PlaygroundView
from llmkit.terminal import CATCH_UP_TIME

if TYPE_CHECKING:
    from llmkit.playing import Playground


class Kept:
    """What is kept of a playground, in an output of the current cell.

    Parameters
    ----------
    playground : Playground
        The playground.
    """

    def __init__(self, playground: Playground) -> None:
        self._playground = playground
        self._context = contextvars.copy_context()  # what is displayed in it lands in the cell that it was made in
        self._one_at_a_time = threading.Lock()
        self._handle: Any = None

    def open(self) -> None:
        """Display it."""
        ended = self._playground.run is None or self._playground.run.ended
        first = playground_static.bundle(self._playground) if ended else {"text/plain": repr(self._playground)}
        self._handle = display_data(first, display_id=True)

    def update(self, view: PlaygroundView) -> None:
        """Bring it up to date, soon."""
        threading.Thread(target=self._context.run, args=(self._update, view), name="llmkit-static", daemon=True).start()

    def _update(self, view: PlaygroundView) -> None:
        with self._one_at_a_time:  # so that the one that comes last shows the latest state
            shown = view.shown
            # A view hears of the end a moment before the run itself says that it is over.
            if self._handle is not None and shown is not None and shown.run.wait(CATCH_UP_TIME):
                self._handle.update(playground_static.bundle(self._playground, shown), raw=True)


def show_live(playground: Playground) -> None:
    """Display a live view of a playground, and what is kept of it."""
    from llmkit.notebook.playground_widget import PlaygroundWidget

    kept = Kept(playground)
    view = PlaygroundView(playground, PlaygroundWidget, on_change=kept.update)
    data, metadata = view.page.mimebundle()
    display_data({**data, "text/plain": repr(playground)}, metadata=metadata)
    kept.open()
    view.open()


def show_static(playground: Playground) -> None:
    """Display the latest answer, its settings and the code; before the first run, how to make one."""
    display_data(playground_static.bundle(playground))


def show_text(playground: Playground) -> None:
    """Print the latest answer, its settings and the code; before the first run, how to make one."""
    print(playground_static.bundle(playground)["text/plain"])  # noqa: T201 - a script's page
