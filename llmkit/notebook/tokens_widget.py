"""The token view's widget: what a page shows of tokens. It knows the protocol's messages and nothing of runs."""

from __future__ import annotations

from typing import Any

from llmkit.notebook.live_widget import LiveWidget, built


class TokensWidget(LiveWidget):
    """One token view's model."""

    _esm = built("tokens.js")
    _css = built("tokens.css")

    beside: dict[str, str] = {}  # noqa: RUF012 - replaced, never changed
    """Static output that goes with the widget, by MIME type, for where widgets can't be shown."""

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what displays the widget, and the static output beside it."""
        data, metadata = super().mimebundle()
        return {**data, **self.beside}, metadata
