"""What all live views' widgets share: a state that is read when it is needed, and messages both ways."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from llmkit.errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable

_STATIC = Path(__file__).parent.parent / "static"


def built(name: str) -> Path:
    """Return the path of a built front-end file.

    Raises
    ------
    Error
        When the front end isn't built, which happens in a source checkout only.
    """
    path = _STATIC / name
    if not path.exists():
        raise Error(
            f"llmkit's front end isn't built: {name} is missing. "
            "Install the package (`pip install -e .`), or run `npm install && npm run build` in widgets/."
        )
    return path


def _snapshot(_value: None, widget: LiveWidget) -> dict[str, Any]:
    return widget.snapshot()


class LiveWidget(anywidget.AnyWidget):
    """One live view's model.

    The trait ``state`` holds no value of its own: whoever reads the widget's state (a page that opens or reloads)
    gets the state of that moment. While a run goes on, changes travel as patches.

    Parameters
    ----------
    snapshot : callable
        Returns the state as JSON.
    receive : callable
        Takes each message of the front end.
    """

    state = traitlets.Any(None, allow_none=True).tag(sync=True, to_json=_snapshot)

    def __init__(self, snapshot: Callable[[], dict[str, Any]], receive: Callable[[Any], None]) -> None:
        self.snapshot = snapshot
        super().__init__()
        self.on_msg(lambda _widget, content, _buffers: receive(content))

    def push_state(self) -> None:
        """Bring the page's copy of the whole state up to date."""
        self.send_state("state")

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what displays the widget: data and metadata."""
        return self._repr_mimebundle_() or ({}, {})

    def close(self) -> None:
        """Take the widget, and the layout that each widget has, from the page and the kernel."""
        layout = self.layout
        super().close()
        layout.close()
