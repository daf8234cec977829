"""The grid's widget: what a page shows of one comparison. It knows the protocol's messages and nothing of runs."""

from __future__ import annotations

from llmkit.notebook.live_widget import LiveWidget, built


class GridWidget(LiveWidget):
    """One grid's model."""

    _esm = built("grid.js")
    _css = built("grid.css")
