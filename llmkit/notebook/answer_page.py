"""The part of a larger page, a chat's or a playground's, that shows an answer: a run view's page inside another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class AnswerPage:
    """A run view's page that is part of a larger one.

    Parameters
    ----------
    send : callable
        Sends a message to the pages, on behalf of the answer.
    snapshot : callable
        Returns the run's state.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None], snapshot: Callable[[], dict[str, Any]]) -> None:
        self.send = send
        self._snapshot = snapshot

    def push_state(self) -> None:
        """Bring the pages' copy of the answer up to date."""
        self.send({"kind": "snapshot", "state": self._snapshot()})

    def mimebundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return nothing: the larger page displays it."""
        return {}, {}

    def close(self) -> None:
        """Do nothing: it goes with the larger page."""
