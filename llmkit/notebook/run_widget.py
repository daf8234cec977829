"""The run widget: what a page shows of one run. It knows the protocol's messages and nothing of runs."""

from __future__ import annotations

from llmkit.notebook.live_widget import LiveWidget, built


class RunWidget(LiveWidget):
    """One run view's model."""

    _esm = built("run.js")
    _css = built("run.css")
