"""Outputs of cells: what is displayed, and what takes the place of a widget when there is nothing more to come."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.notebook.run_view import Page


class View(Protocol):
    """A view with a widget."""

    @property
    def page(self) -> Page:
        """Its widget."""

    def open(self) -> None:
        """Begin to follow."""

    def release(self) -> None:
        """Close as soon as the page doesn't show it any more."""


class Output:
    """One output of the current cell that holds a widget first, and static output later.

    Parameters
    ----------
    final : Callable
        Returns the static output, as data by MIME type.
    """

    def __init__(self, final: Callable[[], dict[str, str]]) -> None:
        self._final = final
        self._context = contextvars.copy_context()  # what is displayed in it lands in the cell that it was made in
        self._one_at_a_time = threading.Lock()
        self._handle: Any = None

    def open(self, view: View, plain: str) -> None:
        """Display the view's widget, with ``plain`` for where widgets can't be shown, and let it follow."""
        data, metadata = view.page.mimebundle()
        self._handle = display_data({**data, "text/plain": plain}, metadata=metadata, display_id=True)
        view.open()

    def settle(self, view: View) -> None:
        """Put the static output where the widget is, soon; again if something came after the end."""
        threading.Thread(
            target=self._context.run, args=(self._replace, view), name="llmkit-static", daemon=True
        ).start()

    def _replace(self, view: View) -> None:
        with self._one_at_a_time:  # so that the one that comes last shows the latest state
            view.release()
            self._handle.update(self._final(), raw=True)


def display_data(data: dict[str, Any], **options: Any) -> Any:
    """Display data by MIME type in the current cell; ``options`` are those of :func:`IPython.display.display`."""
    from IPython.display import display

    return display(data, raw=True, **options)  # type: ignore[no-untyped-call]
