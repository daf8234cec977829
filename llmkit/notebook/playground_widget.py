"""The playground's widget: what a page shows of it. It knows the protocol's messages and nothing of playgrounds."""

from __future__ import annotations

from llmkit.notebook.live_widget import LiveWidget, built


class PlaygroundWidget(LiveWidget):
    """One playground view's model."""

    _esm = built("playground.js")
    _css = built("playground.css")
