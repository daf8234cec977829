"""A live token view: it follows a run and its branches, and branches when a page says so."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llmkit.errors import Error
from llmkit.notebook.budget import BUDGET, SHORTEST_INTERVAL, Budget
from llmkit.notebook.run_view import UNSEEN_INTERVAL
from llmkit.notebook.tokens_lanes import Lane, lane_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.events import Event
    from llmkit.notebook.run_view import Page
    from llmkit.run import Run

_logger = logging.getLogger("llmkit")


PageT = TypeVar("PageT", bound="Page")


class TokensView(Generic[PageT]):
    """A subscriber of a tree of runs that keeps a widget up to date.

    Every message has the number of the state that it leads to, so that a page knows when it missed one; it has the
    lanes that changed, each without its tokens but for the new ones. Until a page says hello, messages are whole
    states.

    What pages say::

        hello, resync    answered with the state
        branch           lane, token (its number in the lane), id (of the alternative): a new lane, or → refused: text
        stop             lane
        keep             by: put static output in the widget's place, which is saved with the notebook
        gone             the page doesn't show the view any more

    Parameters
    ----------
    root : Run
        The run that all others branched from.
    by : str
        What colours the tokens at first.
    page : callable
        Makes the widget, given a function that returns the state and one that takes the page's messages.
    on_keep : callable
        Called when a page asks for static output.
    budget : Budget
        Says when messages may go.
    """

    def __init__(
        self,
        root: Run,
        by: str,
        page: Callable[[Callable[[], dict[str, Any]], Callable[[Any], None]], PageT],
        *,
        on_keep: Callable[[TokensView[PageT]], None],
        budget: Budget = BUDGET,
    ) -> None:
        self._root = root
        self._by = by
        self._on_keep = on_keep
        self._lanes: list[Lane] = []
        self._sent: list[int] = []  # how many of each lane's tokens pages have
        self._changed: set[int] = set()
        self._seq = 0
        self._lock = threading.RLock()
        self._hellos = 0
        self._released = False
        self._channel = budget.channel(self._flush, UNSEEN_INTERVAL)
        self.page = page(self.snapshot, self.receive)

    def open(self) -> None:
        """Begin to follow the runs."""
        from llmkit.branching import RunTree

        for run in RunTree(self._root):
            self._follow(run)

    def state(self) -> dict[str, Any]:
        """Return the state as it is."""
        with self._lock:
            return {"seq": self._seq, "by": self._by, "lanes": [_copied(lane) for lane in self._lanes]}

    def snapshot(self) -> dict[str, Any]:
        """Return the state, with its number, as of the last message."""
        with self._lock:
            self._send_pending()
            return self.state()

    def receive(self, message: Any) -> None:
        """Take a message from a page; it may hold anything."""
        match message:
            case {"kind": "hello"}:
                self._hellos += 1
                self._channel.interval = SHORTEST_INTERVAL
                self._send_snapshot()
            case {"kind": "resync"}:
                self._send_snapshot()
            case {"kind": "branch", "lane": int(lane), "token": int(token), "id": int(id_)}:
                self._branch(lane, token, id_)
            case {"kind": "stop", "lane": int(lane)} if 0 <= lane < len(self._lanes):
                self._lanes[lane].run.cancel()
            case {"kind": "keep"}:
                by = message.get("by")
                self._by = by if by in {"probability", "entropy"} else self._by
                self._on_keep(self)
            case {"kind": "gone"}:
                if self._released and self._hellos <= 1:
                    self.close()
            case _:
                _logger.warning("The token view got a message that it doesn't know: %.200r", message)

    def release(self) -> None:
        """Close the view as soon as the page says that it doesn't show it any more."""
        self._released = True

    def close(self) -> None:
        """Take the view from the page."""
        self._channel.close()
        self.page.close()

    def _follow(self, run: Run) -> None:
        with self._lock:
            if any(lane.run is run for lane in self._lanes):
                return
            lane, origin = lane_of(run, self._lanes)
            number = len(self._lanes)
            self._lanes.append(lane)
            self._sent.append(0)
            self._changed.add(number)
        run.on_branch(self._follow)
        run.subscribe(lambda event: self._take(number, origin, event))
        self._channel.mark()

    def _take(self, number: int, origin: Lane | None, event: Event) -> None:
        with self._lock:
            if not self._lanes[number].take(event, origin):
                return
            self._changed.add(number)
        self._channel.mark()

    def _branch(self, number: int, token: int, id_: int) -> None:
        try:
            lane = self._lanes[number]
            step, position = lane.place(token)
            if lane.run.ended:
                lane.run.branch(position, id_, step=step, show=False)
        except (Error, IndexError) as error:
            self.page.send({"kind": "refused", "text": str(error)})

    def _flush(self) -> None:
        with self._lock:
            if self._changed and not self._hellos:
                self._advance()
                self._send_snapshot()
            else:
                self._send_pending()

    def _send_pending(self) -> None:
        if self._changed:
            self.page.send({"kind": "patch", "lanes": self._advance(), "seq": self._seq})

    def _advance(self) -> list[dict[str, Any]]:
        """Count the state on; return what changed: lanes with their number, and with the tokens that are new."""
        self._seq += 1
        changes = []
        for number in sorted(self._changed):
            state, sent = self._lanes[number].state, self._sent[number]
            changes.append({**state, "number": number, "sent": sent, "tokens": state["tokens"][sent:]})
            self._sent[number] = len(state["tokens"])
        self._changed.clear()
        return changes

    def _send_snapshot(self) -> None:
        with self._lock:
            self.page.send({"kind": "snapshot", "state": self.snapshot()})


def _copied(lane: Lane) -> dict[str, Any]:
    return {**lane.state, "tokens": list(lane.state["tokens"])}
