"""The timeline's widget: what a page shows of one run's trace. It knows the protocol's messages and nothing of runs."""

from __future__ import annotations

from llmkit.notebook.live_widget import LiveWidget, built


class TraceWidget(LiveWidget):
    """One timeline's model."""

    _esm = built("trace.js")
    _css = built("trace.css")
